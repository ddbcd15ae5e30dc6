"""What is wished for behind the ``?`` of an address: a range of a measure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Range:
    """Objects whose measure is from ``low`` to ``high``, both included; those without a value are outside."""

    by: str
    """The measure's column."""
    low: float
    high: float

    @classmethod
    def of(cls, wishes: Mapping[str, str]) -> Range | None:
        """Return what ``by``, ``low`` and ``high`` say; None where all objects are wanted.

        >>> Range.of({"by": "area_um2", "low": "10"})
        Range(by='area_um2', low=10.0, high=inf)

        Raises:
            ConfigError: if a limit is no number.
        """
        by = wishes.get("by")
        if not by or not (wishes.get("low") or wishes.get("high")):
            return None
        return cls(by, number(wishes, "low", -math.inf), number(wishes, "high", math.inf))


def number(wishes: Mapping[str, str], name: str, otherwise: float) -> float:
    """Return a number that is wished for.

    Raises:
        ConfigError: if it is none.
    """
    word = wishes.get(name)
    try:
        value = float(word) if word else None
    except ValueError:
        value = math.nan
    if value is None:
        return otherwise
    if math.isnan(value):
        raise ConfigError(explain(f"{name} is no number", got=word))
    return value


def whole(wishes: Mapping[str, str], name: str, otherwise: int, most: int) -> int:
    """Return a whole number from 0 to ``most`` that is wished for; a larger one is the largest.

    Raises:
        ConfigError: if it is none.
    """
    word = wishes.get(name) or str(otherwise)
    if not (word.isascii() and word.isdecimal()):
        raise ConfigError(explain(f"{name} is no whole number", got=word))
    return min(int(word[:20]), most)
