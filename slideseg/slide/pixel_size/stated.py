"""The size of a pixel as a user states it."""

from __future__ import annotations

import math

from slideseg.errors import ConfigError, explain


def stated_sides(value: object) -> tuple[float, float] | None:
    """Return the microns along y and x that a user states: a number, (y, x), or text as on the command line, ``"X,Y"``.

    None stays None: nothing is stated.

    >>> stated_sides(0.25), stated_sides((0.5, 0.25)), stated_sides("0.25,0.5")
    ((0.25, 0.25), (0.5, 0.25), (0.5, 0.25))

    Raises:
        ConfigError: if it is no size.
    """
    if value is None:
        return None
    named = value if isinstance(value, tuple | list) else str(value).split(",")[::-1]
    try:
        sides = [float(side) for side in named]
    except (TypeError, ValueError):
        sides = []
    if len(sides) not in (1, 2) or not all(0 < side < math.inf for side in sides):
        raise ConfigError(explain("no such size of a pixel", got=value, want="microns above 0", try_="0.25, or 0.25,0.5 (x,y)"))
    return sides[0], sides[-1]
