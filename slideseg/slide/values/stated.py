"""Which values a user calls black and white."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.values import Range

Auto = Literal["auto"]


def stated_range(said: str | Sequence[float] | None) -> Range | Auto | None:
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
