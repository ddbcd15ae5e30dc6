"""Colours: of classes that name none, of objects, of channels; and the one reader of ``#rrggbb``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

COLOR = "#[0-9a-fA-F]{6}"
"""What ``#rrggbb`` is, as a regular expression."""
BACKGROUND = "#000000"
"""Colour of class 0, which is seldom drawn."""
UNKNOWN = "#808080"
"""Colour of what has no class: pixels that don't count."""
PALETTE = ("#2ca02c", "#ffbf00", "#1f77b4", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")
"""Colours of classes from 1 on, where a recipe names none; they repeat."""
IMPORTED = (*PALETTE[:5], *reversed(PALETTE[5:]), "#bcbd22")
"""Those of the classes of imported models, which have one more and always had the last ones the other way round."""

OME_RGB = ("FF0000", "00FF00", "0000FF")
"""Red, green and blue as OME metadata writes them."""
OME_CHANNELS = ("FFFFFF", "00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
"""Colours of the channels of other images, as OME metadata writes them; they repeat."""

IDS = 256
"""Ids that a class map can hold."""
MANY = 1021
"""Colours of objects; a prime, so that ids in a pattern don't share one."""
GOLDEN = 0.6180339887
"""Share of the colour circle between the colours of two objects in a row: any few of them are far apart."""


def rgb_of(color: str) -> tuple[int, int, int]:
    """Return red, green and blue of ``#rrggbb``, or of ``RRGGBB`` as OME writes it.

    >>> rgb_of("#ff8000"), rgb_of("00FF00")
    ((255, 128, 0), (0, 255, 0))

    Raises:
        ValueError: if it is no such colour.
    """
    if re.fullmatch(COLOR, f"#{color.removeprefix('#')}") is None:
        msg = f"{color!r} is no color #rrggbb"
        raise ValueError(msg)
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def color_of(rgb: Iterable[int]) -> str:
    """Return ``#rrggbb``.

    >>> color_of((255, 128, 0))
    '#ff8000'
    """
    return f"#{bytes(rgb).hex()}"


def ome_of(color: str) -> str:
    """Return ``#rrggbb`` as OME metadata writes it.

    >>> ome_of("#ff8000")
    'FF8000'
    """
    return color.removeprefix("#").upper()


class Colored(Protocol):
    """A class that has a colour."""

    @property
    def id(self) -> int:
        """Its value in the class map."""
        ...

    @property
    def color(self) -> str:
        """``#rrggbb``."""
        ...


def color_table(classes: Iterable[Colored]) -> np.ndarray:
    """Return the colour of every class id, (256, 3) uint8: black where ``classes`` have none."""
    table = np.zeros((IDS, 3), np.uint8)
    for known in classes:
        table[known.id] = rgb_of(known.color)
    return table


def object_colors(ids: np.ndarray) -> np.ndarray:
    """Return bright colours that tell neighbours apart, (..., 3) float32 up to 255, of objects' ids."""
    picked: np.ndarray = _OBJECT_COLORS[ids % MANY]
    return picked


def _circle() -> np.ndarray:
    """Return `MANY` hues, (MANY, 3) float32."""
    sixths = 6 * (GOLDEN * np.arange(MANY) % 1)[:, None] + np.array([0, 4, 2])
    colors: np.ndarray = 255 * np.clip(np.abs(sixths % 6 - 3) - 1, 0, 1)
    return colors.astype(np.float32)


_OBJECT_COLORS = _circle()
