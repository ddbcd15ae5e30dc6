"""The learning curves of a run as one picture: losses on top, Dice and IoU below."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    Rows = Sequence[Mapping[str, float]]

INCHES, DPI = (9.0, 7.0), 100
"""900 x 700 pixels."""
MARGINS = {"left": 0.09, "right": 0.985, "bottom": 0.075, "top": 0.98, "hspace": 0.06}
"""Fixed ones: finding them would take longer than drawing."""
LOSSES = {"train_loss": ("training", "#0072b2"), "val_loss": ("validation", "#d55e00")}
SCORES = {"val_dice": ("Dice", "#009e73"), "val_iou": ("IoU", "#cc79a7")}
"""Column of ``metrics.csv``: what the legend says, and a colour that colour-blind people tell apart."""
LOGARITHMIC_FROM = 20
"""Highest by lowest loss from which small ones could not be told apart on an even scale."""
FEW = 40
"""Up to so many epochs each has a dot: a single one is no line."""


def draw_curves(rows: Rows, best_epoch: int | None = None) -> bytes:
    """Return the curves as a PNG of 900 x 700 pixels.

    Rows are those of ``metrics.csv``; a column that a row lacks leaves a gap that is bridged. ``best_epoch`` is marked.
    """
    figure = Figure(INCHES, DPI)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw=MARGINS)
    halves = ((above, LOSSES, "loss", "upper right"), (below, SCORES, "validation score", "lower right"))
    for axes, columns, name, corner in halves:
        drawn = [_draw_column(axes, rows, column, *style) for column, style in columns.items()]
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        if best_epoch is not None:
            axes.axvline(best_epoch, color="0.4", linestyle="--", linewidth=1, label=f"best: epoch {best_epoch}")
        if any(drawn):
            axes.legend(loc=corner, framealpha=0.9)
    if _spread(rows) > LOGARITHMIC_FROM:
        _stretch(above)
    below.set_xlabel("epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw_column(axes: Axes, rows: Rows, column: str, name: str, color: str) -> bool:
    """Draw one column with its newest value in the legend; tell whether it has any."""
    points = [(row["epoch"], row[column]) for row in rows if column in row]
    if points:
        epochs, values = zip(*points, strict=True)
        marker = "o" if len(points) <= FEW else None
        axes.plot(epochs, values, color=color, marker=marker, markersize=4, label=f"{name}, last {values[-1]:.4g}")
    return bool(points)


def _stretch(axes: Axes) -> None:
    """Make small values as visible as large ones, and write them as people do."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(NullLocator())


def _spread(rows: Rows) -> float:
    """Return the highest loss by the lowest; 0 where one is not positive."""
    losses = [row[column] for row in rows for column in LOSSES if column in row]
    return max(losses) / min(losses) if losses and min(losses) > 0 else 0.0
