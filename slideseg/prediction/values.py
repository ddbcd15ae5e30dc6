"""Which values are black and white to the network, and what is told where that may not be what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.model.values import stated_range
from slideseg.slide.values.doubt import doubt_of_values
from slideseg.slide.values.measured import look_at_values, measure_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.info import ModelInfo
    from slideseg.model.values import Range
    from slideseg.slide.base import Slide

ALIKE = "--range auto: all values are the same, or no numbers, so black and white are those of the pixels' type"


def choose_range(
    slide: Slide, level: int, info: ModelInfo, said: str | Sequence[float] | None
) -> tuple[Range | None, tuple[str, ...]]:
    """Return the values of black and white of a slide whose ``level`` is read, None for those of its type, and notes.

    Args:
        slide: the slide.
        level: of its pyramid.
        info: the model.
        said: what its user says: ``auto``, ``"LOW,HIGH"``, two numbers, or None for what the model says.

    Raises:
        ConfigError: if ``said`` is none of that.
        SlideError: if they are to be measured, and the slide can't be read.
    """
    limits = stated_range(info.input.range if said is None else said)
    if limits == "auto":
        measured = measure_values(slide, level)
        return (None, (ALIKE,)) if measured is None else (measured.limits, ())
    white = info.input.white
    if limits is None and white is None:  # it learnt from whatever values its images had
        return None, ()
    doubt = doubt_of_values(slide.dtype, look_at_values(slide, level), limits, 1.0 if white is None else white)
    return limits, () if doubt is None else (str(doubt),)
