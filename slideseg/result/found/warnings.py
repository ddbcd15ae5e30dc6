"""What whoever uses a result should know of it: what was said of its slide, and what is odd about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.result.found.plausible import doubts_of

if TYPE_CHECKING:
    from slideseg.result.record import BadTile, RunRecord
    from slideseg.result.result import Result

FEW = 3
"""Places that are named."""


def warnings_of(result: Result) -> tuple[str, ...]:
    """Return what was said of the slide when its run began, which damaged tiles count as not scanned, and what is implausible.

    Raises:
        ResultError: if the objects, or their table, are damaged.
    """
    return (*said_of(result.record), *doubts_of(result))


def said_of(record: RunRecord) -> tuple[str, ...]:
    """Return what was said of the slide when its run began, and which damaged tiles count as not scanned."""
    return (*record.notes, *of_damage(record.damaged_tiles))


def of_damage(tiles: tuple[BadTile, ...]) -> tuple[str, ...]:
    """Return a note of the damaged tiles that were taken for places where nothing was scanned."""
    if not tiles:
        return ()
    first = "; ".join(f"rows {one.box.y0} to {one.box.y1}, columns {one.box.x0} to {one.box.x1}" for one in tiles[:FEW])
    more = f" and {len(tiles) - FEW} more" if len(tiles) > FEW else ""
    return (f"{len(tiles)} damaged tiles count as not scanned: {first}{more}",)
