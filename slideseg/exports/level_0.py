"""How the pixels of a result lie on the slide's level 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.store.boxes import levels_of
from slideseg.store.layout import SEGMENTATION

if TYPE_CHECKING:
    from slideseg.store.result import Result


def level_0_scale(result: Result) -> tuple[float, float]:
    """Return the rows and columns of the slide's level 0 that a pixel of the class map has.

    Both images share their outer edges; where a whole number of pixels was not left, the factor of the run is the scale.
    """
    factor = result.info.get("run", {}).get("factor", 1.0)
    rows, columns = levels_of(result.url, SEGMENTATION)[0].shape_yx
    slide = result.info.get("slide", {})
    if slide.get("level", 0) == 0:
        return float(factor), float(factor)
    height, width = slide["shape"][-3:-1]
    return height / rows, width / columns
