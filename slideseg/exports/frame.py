"""From where coordinates are counted: from the corner of the whole slide, or of the part that was scanned, as QuPath does.

A file that is written says which it is, since the numbers alone don't.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from slideseg.result.result import Result

FrameName = Literal["slide", "bounds"]
"""The whole slide, or the part of it that was scanned."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What coordinates are counted from."""

    name: FrameName
    """``slide``, also where a slide has no bounds: the two are one then."""
    corner_yx: tuple[int, int]
    """Its corner, in pixels of the slide's level 0."""
    shape_yx: tuple[int, int]
    """Rows and columns that it has of them."""

    @property
    def said(self) -> dict[str, Any]:
        """What a file tells of it."""
        y, x = self.corner_yx
        return {"frame": self.name, "frame_corner_xy": [x, y]}


def frame_of(result: Result, wanted: FrameName) -> Frame:
    """Return the frame that is wanted of a result's slide."""
    slide = result.record.slide
    if wanted == "bounds" and slide.bounds is not None:
        return Frame("bounds", (slide.bounds.y0, slide.bounds.x0), slide.bounds.shape)
    rows, columns = slide.shape[-3:-1]
    return Frame("slide", (0, 0), (rows, columns))


def facts_of(result: Result, frame: Frame) -> dict[str, Any]:
    """Return in a few words what was found in which slide and by what, and the frame; what is not known is left out."""
    record = result.record
    facts = {
        "slide": record.slide.path,
        "slide_mpp": record.slide.mpp,
        "slide_mpp_yx": _list(record.slide.mpp_yx),
        "model": record.model.name,
        "model_sha256": record.model.sha256,
        "mpp": result.mpp,
        "mpp_yx": _list(result.mpp_yx),
        "version": record.version,
        **frame.said,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _list(sides: tuple[float, float] | None) -> list[float] | None:
    return None if sides is None else list(sides)
