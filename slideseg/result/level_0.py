"""How the pixels of a result lie on the slide's level 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slideseg.result.layout import ResultLayout


def level_0_scale(record: dict[str, Any], layout: ResultLayout) -> float:
    """Return the side of a pixel of the class map in pixels of the slide's level 0, by what the run wrote about itself.

    The images share their upper left corner. The number of rows and columns was rounded, so it does not tell the scale where
    anything else does: a run by another resolution than a level's knows microns.
    """
    slide = record.get("slide", {})
    if layout.mpp is not None and slide.get("mpp"):
        return float(layout.mpp / slide["mpp"])
    if not slide.get("level"):
        return float(record.get("run", {}).get("factor", 1.0))
    rows, columns = layout.grid.shape_yx
    height, width = slide["shape"][-3:-1]
    return float((height / rows + width / columns) / 2)
