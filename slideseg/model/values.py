"""Which values of an image are black and which are white, and the image on the scale where black is 0 and white is 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence

Level = float | tuple[float, ...]
"""A value of all channels, or one for each."""
Range = tuple[Level, Level]
"""The values of black and of white."""
Auto = Literal["auto"]
FULL_SCALE = {
    **{name: float(np.iinfo(name).max) for name in ("uint8", "uint16", "uint32", "int8", "int16", "int32")},
    **dict.fromkeys(("float16", "float32", "float64"), 1.0),
}
"""The value of white by dtype, where nobody says another; black is 0. Other dtypes are refused."""


LARGEST = 1e30
"""Floats beyond this are as good as infinite: with the end of their range some programs mark what they have no value of."""


def are_numbers(values: np.ndarray) -> np.ndarray:
    """Return which values are numbers and finite, as far as `LARGEST` goes."""
    if values.dtype.kind != "f":
        return np.ones(values.shape, bool)
    return np.asarray(np.abs(values) <= min(LARGEST, float(np.finfo(values.dtype).max)))


def on_unit_scale(image: np.ndarray, limits: Range | None = None) -> np.ndarray:
    """Return an image of one of the types of `FULL_SCALE` as float32, black at 0 and white at 1; an array of its own.

    Pixel by pixel: a value gives the same number in any part of the image. What is no number is black, infinity is white.

    Args:
        image: of any shape.
        limits: the values of black and white: what is below or above is black or white too. None for the type's own, with
            floats left as they are.
    """
    if limits is None:
        scaled = np.array(image, np.float32, order="C")
        if image.dtype.kind == "f":
            # one pixel that is no number, or infinite, would make everything within a network's reach no number
            scaled[scaled > LARGEST] = 1.0
            scaled[~(scaled >= -LARGEST)] = 0.0
        scaled /= np.float32(FULL_SCALE[image.dtype.name])
        return scaled
    low, high = (np.asarray(level) for level in limits)  # of one number, or of one for each channel
    # wide enough for each value of the type, so that those that lie close together far from 0 stay apart
    wide = np.array(image, np.result_type(image.dtype, np.float32), order="C")
    with np.errstate(over="ignore"):  # to infinity, which is black or white as well
        wide -= low
        wide /= high - low
    np.nan_to_num(np.clip(wide, 0, 1, out=wide), copy=False, nan=0.0)
    return wide.astype(np.float32, copy=False)


def brightest(level: Level) -> float:
    """Return the highest value of any channel."""
    return max(level) if isinstance(level, tuple) else level


def range_in_words(limits: Range) -> str:
    """Return black and white as people read them, of each channel where they differ.

    >>> range_in_words((0.0, 4095.0)), range_in_words(((3.0, 1.0), (900.0, 40.0)))
    ('0 to 4095', '3 to 900 and 1 to 40')
    """
    low, high = (level if isinstance(level, tuple) else (level,) for level in limits)
    return " and ".join(f"{number(black)} to {number(white)}" for black, white in zip(low, high, strict=True))


def stated_range(said: str | Sequence[float] | None) -> tuple[float, float] | Auto | None:
    """Return the values of black and white as a user gave them: ``"LOW,HIGH"``, both numbers, ``auto`` or None.

    >>> stated_range("0,4095"), stated_range([0.5, 2]), stated_range("auto")
    ((0.0, 4095.0), (0.5, 2.0), 'auto')

    Raises:
        ConfigError: if they are no two numbers, the first below the second.
    """
    if said is None or said == "auto":
        return None if said is None else "auto"
    given = said.split(",") if isinstance(said, str) else list(said)
    try:
        low, high = map(float, given)
    except (ValueError, TypeError):
        low, high = math.nan, math.nan
    if not (low < high and math.isfinite(high - low)):
        want = "auto, or LOW,HIGH: the value of black, and a higher one of white"
        got = said if isinstance(said, str) else ",".join(map(str, given))
        raise ConfigError(explain("the range can't be used", got=got, want=want, try_="--range 0,4095"))
    return low, high
