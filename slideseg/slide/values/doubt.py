"""Whether the values that a slide has are hardly those that its black and white are taken for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slideseg.model.values import FULL_SCALE
from slideseg.words import number

if TYPE_CHECKING:
    import numpy as np

    from slideseg.slide.values.measured import Values

LITTLE = {"uint8": 1 / 16, "int8": 1 / 16, "float16": 1 / 8, "float32": 1 / 8, "float64": 1 / 8}
"""Values that fill this share of what is between black and white, or less, fill little of it: pictures of fluorescence are
as dark as an eighth in 8 bits, and nobody meant another white ..."""
LITTLE_ELSE = 1 / 4
"""... and of wider types this: 14 bits in 16, with which models of bright field miss half of what they find else."""
OUTSIDE = 0.01
"""By this share values may be below black or above white, from sharpening or resampling."""
BITS = (8, 10, 12, 14, 16, 24)
"""Of what cameras and files have, ..."""
FEWEST_LEVELS = 128
"""... of values of at least so many levels."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a slide has for black and white is hardly what it is taken for."""

    seen: Values
    """What it has."""
    limits: tuple[float, float]
    """What is taken for black and for white."""
    stated: bool
    """Whether its user says so; else its type does."""

    def __str__(self) -> str:
        """Return it in one line, with what helps on the command line."""
        return self.in_words("--range {}", "--range auto")

    def in_words(self, stated: str, auto: str) -> str:
        """Return it in one line; ``stated`` with both numbers and ``auto`` are how another range is said."""
        (low, high), (black, white) = (tuple(map(number, pair)) for pair in ((self.seen.low, self.seen.high), self.limits))
        who = "the range says that " if self.stated else ""
        better = "" if (bits := self._bits) is None else f"{stated.format(f'0,{(1 << bits) - 1}')} or "
        return f"nearly all values are {low} to {high}, where {who}black is {black} and white {white}: try {better}{auto}"

    @property
    def _bits(self) -> int | None:
        """Return the fewest bits of a camera that hold the values; None where they are not of whole numbers, or hardly."""
        if self.seen.low < 0 or self.seen.largest < FEWEST_LEVELS:
            return None
        bits = next((bits for bits in BITS if self.seen.largest < 1 << bits), None)
        return None if bits is None or self.limits == (0, (1 << bits) - 1) else bits


def doubt_of_values(
    dtype: np.dtype, seen: Values | None, limits: tuple[float, float] | None = None, white: float = 1.0
) -> Doubt | None:
    """Return whether what a slide has for black and white is hardly what it is taken for.

    Args:
        dtype: type of its pixels.
        seen: which values it has, as `look_at_values` says.
        limits: the values of black and white that its user states; None for those of the type.
        white: what is white to the model, as a share of the type's white: less, if it learnt from images as dark.
    """
    if seen is None:
        return None
    taken = limits or (0.0, FULL_SCALE[dtype.name])
    little = LITTLE.get(dtype.name, LITTLE_ELSE)
    black, bright = ((value - taken[0]) / (taken[1] - taken[0]) for value in (seen.low, seen.high))
    if limits is None:
        doubtful = bright <= little * white or black < -OUTSIDE or bright > 1 + OUTSIDE
    else:
        doubtful = min(bright, 1.0) - max(black, 0.0) <= little
    return Doubt(seen, taken, limits is not None) if doubtful else None
