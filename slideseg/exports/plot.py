"""Draw a result with matplotlib: `slideseg.plot`."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt
from matplotlib.patches import Patch, Rectangle

from slideseg.errors import ConfigError, explain
from slideseg.result.overlay import Overlay
from slideseg.result.result import open_result

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes

    from slideseg.result.result import Result

SHARE = 0.2
"""Length of a scale bar, of the picture's width at most."""
STEPS = (5, 2, 1)
"""Numbers that a scale bar may begin with."""
MILLIMETRE = 1000
"""Microns."""


def plot(
    result: str | os.PathLike[str],
    *,
    size: int = 1024,
    opacity: float = 0.5,
    plane: int = 0,
    labels: str = "segmentation",
    axes: Axes | None = None,
) -> Axes:
    """Draw a result: the image it carries under its class colours, with a legend and a scale bar.

    Args:
        result: what `open_result` returned, or where the result lies.
        size: pixels of the picture's longer side; reads the smallest level of the pyramids that has them.
        opacity: of the class colours, from 0 to 1.
        plane: plane of a stack.
        labels: ``segmentation``, or ``objects`` for instances in colours of their own.
        axes: where to draw; None makes a figure.

    Returns:
        The axes. Coordinates are pixels (x, y) of the class map, the picture's edges those of its pixels. Pixels are drawn in
        the form that they have in microns.

    Raises:
        ResultError: if the result is unfinished, damaged or has no such labels.
        ConfigError: if an argument is out of range.
    """
    opened = open_result(result)
    picture = _overlay(opened, size, opacity, plane, labels).picture()
    rows, columns = opened.segmentation.shape[-2:]
    if axes is None:
        axes = plt.subplots(layout="constrained")[1]
    tall, wide = opened.mpp_yx or opened.level_0_scale
    axes.imshow(picture, extent=(0, columns, rows, 0), interpolation="nearest", aspect=tall / wide)
    axes.set_axis_off()
    if labels == "segmentation":
        _draw_legend(axes, opened)
    if opened.mpp_yx is not None:
        _draw_scale_bar(axes, (rows, columns), opened.mpp_yx[1])
    return axes


def _overlay(result: Result, size: int, opacity: float, plane: int, labels: str) -> Overlay:
    if labels not in ("segmentation", "objects"):
        raise ConfigError(explain("no such labels", got=labels, want="segmentation or objects"))
    return Overlay(result, size, opacity=opacity, plane=plane, of_objects=labels == "objects")


def _draw_legend(axes: Axes, result: Result) -> None:
    patches = [Patch(color=known.color, label=known.name) for known in result.classes if known.id > 0]
    axes.legend(handles=patches, loc="upper right", framealpha=0.8)


def _draw_scale_bar(axes: Axes, shape_yx: tuple[int, int], mpp: float) -> None:
    """Draw a bar along x, where pixels are ``mpp`` microns wide."""
    rows, columns = shape_yx
    microns = bar_length(SHARE * columns * mpp)
    width, height, margin = microns / mpp, 0.012 * rows, 0.03 * min(rows, columns)
    axes.add_patch(Rectangle((margin, rows - margin - height), width, height, facecolor="black", edgecolor="white"))
    text = f"{microns / MILLIMETRE:g} mm" if microns >= MILLIMETRE else f"{microns:g} µm"
    place = (margin + width / 2, rows - margin - 1.5 * height)
    box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1.5}
    axes.text(*place, text, ha="center", va="bottom", bbox=box)


def bar_length(most: float) -> float:
    """Return the longest round length up to ``most``.

    >>> bar_length(830), bar_length(0.3), bar_length(20)
    (500.0, 0.2, 20.0)
    """
    power = 10.0 ** floor(log10(most))
    return next(step * power for step in STEPS if step * power <= most * (1 + 1e-9))
