"""What objects a model learnt from: how large they were, how much of a picture they covered, which colour they had.

So what is found can be told to be like that or not. Sizes are in pixels of the model's resolution.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

DARKEST = 1 / 255
"""Values that densities are taken of, at least."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """The objects of a model's training images, seen in windows of them.

    Raises:
        ValueError: if a number can't be used.
    """

    __pydantic_config__ = {"extra": "forbid", "use_attribute_docstrings": True}  # noqa: RUF012 - as of `ObjectRules`

    objects: int
    """How many were looked at."""
    size: tuple[float, float, float]
    """The median size of the objects in a window: that of the windows with the smallest, in the middle, and with the largest;
    19 of 20 windows lie between."""
    largest: float
    """The size that 199 of 200 objects don't exceed."""
    covered: float
    """The share of a window that is covered by objects; 39 of 40 windows have less."""
    color: tuple[float, float, float] | None = None
    """Optical density of the objects in red, green and blue, of length 1; None where they are not in colour on white."""
    color_off: float | None = None
    """Degrees by which that of a window's objects may be off; of 39 of 40 windows it is less."""

    def __post_init__(self) -> None:
        numbers = [self.objects, *self.size, self.largest, self.covered, *(self.color or ()), self.color_off or 0.0]
        if not all(math.isfinite(one) and one >= 0 for one in numbers):
            msg = f"what was learnt must be numbers from 0 (got {numbers})"
            raise ValueError(msg)
        if not 0 < self.size[0] <= self.size[1] <= self.size[2] or self.covered > 1:
            msg = f"sizes must rise, and a share be at most 1 (got {self.size}, {self.covered})"
            raise ValueError(msg)
        if (self.color is None) != (self.color_off is None):
            msg = f"a colour has densities and an angle (got {self.color}, {self.color_off})"
            raise ValueError(msg)

    def at(self, mpp: float | None, own: float | None) -> Learnt:
        """Return the same, in pixels of ``own`` microns, in those of ``mpp``; as it is where either is unknown."""
        if not mpp or not own:
            return self
        low, middle, high = (one * (own / mpp) ** 2 for one in self.size)
        return replace(self, size=(low, middle, high), largest=self.largest * (own / mpp) ** 2)

    def to_json(self) -> dict[str, Any]:
        """Return what is said, as a model file keeps it."""
        said = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Learnt:
        """Return what `to_json` gave.

        Raises:
            TypeError: if something is unknown or missing.
            ValueError: if a number can't be used.
        """
        told: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
        for name in ("size", "color"):
            if len(told.get(name) or (0, 0, 0)) != 3:
                msg = f"{name} must be three numbers (got {told[name]})"
                raise ValueError(msg)
        return cls(**told)


def density_of(color: np.ndarray) -> np.ndarray:
    """Return the optical density of a colour (red, green, blue; white is 1), of length 1."""
    density: np.ndarray = -np.log(np.clip(color, DARKEST, 1.0))
    return density / max(float(np.linalg.norm(density)), 1e-9)


def angle_between(one: np.ndarray, other: np.ndarray) -> float:
    """Return the angle between two directions of length 1, in degrees."""
    return math.degrees(math.acos(min(1.0, max(-1.0, float(one @ other)))))
