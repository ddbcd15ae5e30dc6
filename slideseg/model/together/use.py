"""How a model's network is used: in which views it sees an image, and how its probabilities are smoothed. Knows no PyTorch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from slideseg.errors import ConfigError, explain

Tta = Literal["none", "flips", "d4", "scales"]
"""Test-time augmentation: the image as it is, flipped, in all eight ways that a square can lie, or in three sizes."""
ONE = Fraction(1)
SCALES: dict[Tta, tuple[Fraction, ...]] = {
    "none": (ONE,),
    "flips": (ONE,) * 4,
    "d4": (ONE,) * 8,
    "scales": (ONE, Fraction(3, 4), Fraction(5, 4)),
}
"""The size of each view."""
TRUNCATED = 4.0
"""Deviations at which the Gaussian ends, as in `scipy.ndimage.gaussian_filter`."""
LARGEST_SIGMA = 64.0
"""Of smoothing, in pixels: it is about single pixels, not about objects."""


@dataclass(frozen=True, slots=True)
class Use:
    """How a network is used.

    Raises:
        ConfigError: if there is no such augmentation or smoothing.
    """

    __pydantic_config__ = {"extra": "forbid", "use_attribute_docstrings": True}  # noqa: RUF012 - as of `ObjectRules`

    tta: Tta = "none"
    """Test-time augmentation: none, flips, d4 (all eight ways that a square lies) or scales (three sizes)."""
    smooth: float = 0.0
    """Deviation in pixels of a Gaussian that smooths the probabilities; 0 for none."""

    def __post_init__(self) -> None:
        if self.tta not in SCALES:
            raise ConfigError(explain("no such test-time augmentation", got=self.tta, want=", ".join(SCALES)))
        smooth: object = self.smooth  # JSON may have held anything
        if not isinstance(smooth, int | float) or not 0 <= smooth <= LARGEST_SIGMA:
            raise ConfigError(explain("smoothing can't be like that", got=smooth, want=f"0 to {LARGEST_SIGMA:g} pixels"))

    @property
    def is_plain(self) -> bool:
        """Whether the network is used as it is."""
        return self == Use()

    @property
    def scales(self) -> tuple[Fraction, ...]:
        """The sizes that an image is seen in, one a view."""
        return SCALES[self.tta]

    @property
    def smoothing_radius(self) -> int:
        """Pixels on each side that smoothing sees."""
        return math.ceil(TRUNCATED * self.smooth)
