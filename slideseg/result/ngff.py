"""OME-NGFF 0.5 metadata: what makes a result open in any viewer, class map and image on top of each other.

Coordinates are those of pixel centres, and those of the slide. All levels share their outer corner, so that of a level whose
pixels have the side ``s`` the first centre is ``s/2 - w/2`` from that of level 0, whose pixels have the side ``w``.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from slideseg.colors import OME_CHANNELS, OME_RGB, ome_of, rgb_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.info import ModelClass
    from slideseg.result.coordinates import Coordinates
    from slideseg.slide.facts import Channel

VERSION = "0.5"
"""Version of the specification."""
AXIS_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def multiscales(
    name: str, axes: str, datasets: Sequence[tuple[str, tuple[float, float]]], coordinates: Coordinates, method: str
) -> dict[str, Any]:
    """Return one entry of ``multiscales``.

    ``datasets`` are (path, (rows, columns)): a pixel's sides in pixels of the working resolution, level 0 first.
    ``coordinates`` are those of the working resolution. ``method`` says how levels are made.
    """
    return {
        "name": name,
        "axes": [_axis(axis, coordinates) for axis in axes],
        "datasets": [{"path": path, "coordinateTransformations": _place(axes, pixel, coordinates)} for path, pixel in datasets],
        "type": method,
        "metadata": {"description": f"each pixel is the {method} of 2 x 2 pixels of the level before"},
    }


def image_metadata(multiscale: dict[str, Any], omero: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return ``attributes.ome`` of an image group."""
    return {"version": VERSION, "multiscales": [multiscale], **({} if omero is None else {"omero": omero})}


def labels_metadata(names: Sequence[str]) -> dict[str, Any]:
    """Return ``attributes.ome`` of the group ``labels``."""
    return {"version": VERSION, "labels": list(names)}


def label_metadata(multiscale: dict[str, Any], classes: Sequence[ModelClass], source: str | None) -> dict[str, Any]:
    """Return ``attributes.ome`` of one label image; ``classes`` are none for instances."""
    label: dict[str, Any] = {}
    if classes:
        label["colors"] = [{"label-value": known.id, "rgba": _rgba(known.id, known.color)} for known in classes]
        label["properties"] = [{"label-value": known.id, "name": known.name} for known in classes]
    if source is not None:
        label["source"] = {"image": source}
    return {**image_metadata(multiscale), "image-label": label}


def omero_metadata(
    channels: int, *, rgb: bool, windows: Sequence[Sequence[float]] | None = None, known: Sequence[Channel] = ()
) -> dict[str, Any]:
    """Return ``omero``: how viewers show the channels.

    Black and white of each are in ``windows`` (0 and 255 without), names and colours in ``known`` where the slide has any.
    """
    colors = list(itertools.islice(itertools.cycle(OME_RGB if rgb else OME_CHANNELS), channels))
    names = list(("red", "green", "blue") if rgb else (f"channel {c}" for c in range(channels)))
    for c, channel in enumerate(known[:channels] if not rgb else ()):
        names[c] = channel.name or names[c]
        colors[c] = colors[c] if channel.color is None else ome_of(channel.color)
    shown = [(0, 255)] * channels if windows is None else windows
    return {
        "channels": [
            {"label": names[c], "color": colors[c], "active": True, "window": _window(*shown[c])} for c in range(channels)
        ]
    }


def _window(black: float, white: float) -> dict[str, float]:
    return {"min": black, "max": white, "start": black, "end": white}


def _axis(axis: str, coordinates: Coordinates) -> dict[str, str]:
    known = {"z": coordinates.z_step is not None, "y": coordinates.in_microns, "x": coordinates.in_microns}
    unit = {"unit": "micrometer"} if known.get(axis) else {}
    return {"name": axis, "type": AXIS_TYPES[axis], **unit}


def _place(axes: str, pixel: tuple[float, float], coordinates: Coordinates) -> list[dict[str, Any]]:
    scale, translation = {"z": coordinates.z_step or 1.0}, {"z": coordinates.z_first}
    for axis, side, first, of_it in zip("yx", coordinates.side_yx, coordinates.first_yx, pixel, strict=True):
        scale[axis] = side * of_it
        translation[axis] = first + side * (of_it - 1.0) / 2.0
    return [
        {"type": "scale", "scale": [scale.get(axis, 1.0) for axis in axes]},
        {"type": "translation", "translation": [translation.get(axis, 0.0) for axis in axes]},
    ]


def _rgba(class_id: int, color: str) -> list[int]:
    """Return a class's colour; background is transparent."""
    return [*rgb_of(color), 0 if class_id == 0 else 255]
