"""At which resolution a slide is segmented, and what is told where its own is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, explain
from slideseg.slide.pixel_size.claims import in_words
from slideseg.slide.resampled import AS_IT_IS, TOLERANCE, Source, choose_level, resampled_shape
from slideseg.words import number

if TYPE_CHECKING:
    from slideseg.model.info import ModelInfo
    from slideseg.prediction.options import PredictOptions
    from slideseg.slide.base import Slide

MOST_ENLARGED = 32
"""Pixels are not made smaller than this part of those that were scanned: there is nothing to be seen in them."""
NOTHING, MOST_SHRUNK = 8, 32
"""A slide that is shrunk by more than this to a longer side of fewer pixels is refused: its size is not what was said."""
ENLARGED = 2.5
"""Pixels so many times as large as the model's, or more, show less than it knows: those of a scan at 10x for one at 40x."""
SHRUNK = 10
"""Of pixels that are so many times smaller than the model's, or more, a slide is hardly of the model's kind."""
FEWEST = 32
"""Pixels a side that are so few that a slide of more was probably not meant to be shrunk to them."""


def choose_source(slide: Slide, info: ModelInfo, options: PredictOptions) -> tuple[Source, tuple[str, ...]]:
    """Return what is read, and what its user should know before it is segmented.

    Raises:
        ConfigError: if there is no such level, or the slide can't be brought to the resolution.
    """
    level, factors = 0, AS_IT_IS
    wanted = options.mpp if options.mpp is not None else info.input.mpp
    if options.level is not None:
        level = options.level
        if level >= len(slide.levels):
            raise ConfigError(explain(f"{slide.path} has no level {level}", want=f"0 to {len(slide.levels) - 1}"))
    elif wanted is not None and (slide.mpp is not None or options.mpp is not None):
        level, factors = choose_level(slide, wanted)
        check_resolution(slide, wanted, level, factors)
    source = Source(str(slide.path), level, factors, options.selection)
    return source, (*_unknown(slide, info, level), *(_tiny(slide, source) or _unusual(slide, info, options)))


def working_shape(slide: Slide, source: Source) -> tuple[int, int]:
    """Return the rows and columns that are segmented."""
    return resampled_shape(slide.levels[source.level].shape, source.factors)


def check_resolution(slide: Slide, wanted: float, level: int, factors: tuple[float, float]) -> None:
    """Refuse ``wanted`` microns per pixel where ``level``, shrunk by ``factors``, has nothing to say of them.

    Raises:
        ConfigError: if the slide is too coarse for them, or nothing would be left of it.
    """
    _check_enlarged(slide, wanted, factors)
    _check_shrunk(slide, wanted, level, factors)


def _check_enlarged(slide: Slide, wanted: float, factors: tuple[float, float]) -> None:
    if min(factors) * MOST_ENLARGED >= 1:
        return
    raise ConfigError(
        explain(
            f"{slide.path} is too coarse to be segmented at {number(wanted)} \u00b5m a pixel",
            got=f"pixels of {in_words(slide.mpp_yx)} by {slide.pixel.source}",
            want=f"at most {number(wanted * MOST_ENLARGED)} \u00b5m",
            try_="--mpp-of-slide if that is not their size, or --level 0",
        )
    )


def _check_shrunk(slide: Slide, wanted: float, level: int, factors: tuple[float, float]) -> None:
    left = max(resampled_shape(slide.levels[level].shape, factors))
    if left >= NOTHING or left * MOST_SHRUNK >= max(slide.levels[0].shape):
        return
    raise ConfigError(
        explain(
            f"nothing is left of {slide.path} at {number(wanted)} \u00b5m a pixel",
            got=f"pixels of {in_words(slide.mpp_yx)} by {slide.pixel.source}",
            want=f"a side of {NOTHING} pixels at least",
            try_="--mpp-of-slide if that is not their size, or --level 0",
        )
    )


def _unknown(slide: Slide, info: ModelInfo, level: int) -> tuple[str, ...]:
    """Return what is assumed of a slide of unknown resolution by a model that has one."""
    if slide.mpp is not None or info.input.mpp is None:
        return ()
    why = f"how large its pixels are is not known ({slide.pixel.source})"
    assumed = f"so level {level} is taken to be at the {number(info.input.mpp)} \u00b5m a pixel of model {info.name}"
    return (f"{why}, {assumed}; where it is not, objects are missed: try --mpp-of-slide, of a scan at 40x 0.25, at 20x 0.5",)


def _unusual(slide: Slide, info: ModelInfo, options: PredictOptions) -> tuple[str, ...]:
    """Return that pixels are not square, or of another order than the model's, by whatever their size is known."""
    sides = slide.mpp_yx
    if sides is None or options.mpp_of_slide is not None:
        return ()
    said, notes = f"{in_words(sides)} by {slide.pixel.source}", []
    if max(sides) > (1 + TOLERANCE) * min(sides):
        notes.append(f"pixels are not square, {said}: try --mpp-of-slide if that is not their size")
    if options.mpp is None and options.level is None and info.input.mpp is not None:
        larger = max(sides) / info.input.mpp
        if larger >= ENLARGED:
            notes.append(f"pixels are {said}, {number(larger)} times as large as model {info.name}'s: what is small is missed")
        if larger <= 1 / SHRUNK:
            notes.append(
                f"pixels are {said}, {number(1 / larger)} times smaller than model {info.name}'s: is it made for this?"
            )
    return tuple(notes)


def _tiny(slide: Slide, source: Source) -> tuple[str, ...]:
    """Return that next to nothing is left of a slide whose pixels are much finer than the model's."""
    rows, columns = working_shape(slide, source)
    if max(rows, columns) > FEWEST or max(slide.levels[0].shape) <= FEWEST or source.factors == AS_IT_IS:
        return ()
    was = " x ".join(map(str, slide.levels[0].shape))
    left = f"only {rows} x {columns} pixels are left of {was} at this resolution"
    return (f"{left} (pixels of {in_words(slide.mpp_yx)} by {slide.pixel.source}): try --level 0, or --mpp-of-slide",)
