"""What one place in a file says of the size of a pixel, whether it is believed, and which of several is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slideseg.slide.facts import PixelSize
from slideseg.slide.pixel_size.units import legible, microns_in, to_float
from slideseg.words import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    Length = tuple[object, object]
    """A number and its unit, as a file writes them."""

SMALLEST, LARGEST = 1e-6, 1e4
"""Microns of a pixel that are believed: a picometre, which is less than any microscope resolves, to a centimetre."""
COARSEST_BY_DENSITY = 20.0
"""Microns of a pixel that tags of resolution are believed up to (1270 dpi): below that they speak of screens and paper."""
SCREENS_AND_PRINTERS = (72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 240, 300, 360, 400, 600, 720, 1200)
"""Dots an inch that programs write into pictures of which they know no size."""
SAME = 0.05
"""Two sizes that are closer than this share don't disagree."""
_MICRONS_PER_INCH = 25400.0


@dataclass(frozen=True, slots=True)
class Claim:
    """What one place in a file says."""

    source: str
    """Which place it is."""
    yx: tuple[float, float] | None = None
    """Microns along y and x; None if it says none that is believed."""
    z: float | None = None
    """Microns from plane to plane."""
    doubt: str = ""
    """Why it says none."""

    def turned(self) -> Claim:
        """Return what it says of the picture on its side, whose rows were columns."""
        return self if self.yx is None else Claim(self.source, (self.yx[1], self.yx[0]), self.z)


def claim(source: str, y: Length | None, x: Length | None, z: Length | None = None) -> Claim:
    """Judge the sides of a pixel, and the step from plane to plane, as a file writes them; None where it writes none."""
    step = None if z is None else microns(z)
    step = step if step is not None and SMALLEST <= step <= LARGEST else None
    if y is None or x is None:
        which = "no size" if y is x else f"a size along {'y' if x is None else 'x'} alone"
        return Claim(source, None, step, f"says {which}")
    if doubt := next((doubt for doubt in (_doubt(side) for side in (y, x)) if doubt), ""):
        return Claim(source, None, step, doubt)
    return Claim(source, (_sure(y), _sure(x)), step)


def claim_in_microns(source: str, y: float | None, x: float | None, z: float | None = None) -> Claim:
    """Judge sides and step that are in microns already; 0 is what writers put who know none."""
    lengths = [(side, "um") if side else None for side in (y, x, z)]
    return claim(source, *lengths)


def density_claim(source: str, y: float | None, x: float | None, unit: object) -> Claim:
    """Judge a resolution along y and x: pixels in a ``unit`` of length."""
    inside = microns_in(unit)
    if inside is None:
        return Claim(source, doubt=f"per {legible(unit)}, which is no length" if legible(unit) else "without a unit of length")
    if y is None or x is None or not all(0 < each < math.inf for each in (y, x)):
        return Claim(source, doubt="no numbers above 0")
    if y == x == 1:
        return Claim(source, doubt=f"one pixel per {legible(unit)}, which stands for an unknown size")
    sides = inside / y, inside / x
    if max(sides) > COARSEST_BY_DENSITY and inside in (microns_in("inch"), microns_in("cm")):
        dpi = f"{number(_MICRONS_PER_INCH / max(sides))} dpi"
        return Claim(source, doubt=f"{dpi} is of a screen or a printer, no pixel size")
    return claim(source, (sides[0], "um"), (sides[1], "um"))


def settle(claims: Iterable[Claim]) -> tuple[PixelSize, tuple[str, ...]]:
    """Return the first size that is believed, in words who says it or why it is unknown, and notes of who says another one."""
    listed = tuple(claims)
    sizes = [said for said in listed if said.yx is not None]
    z = next((said.z for said in listed if said.z is not None), None)
    if not sizes:
        doubts = dict.fromkeys(f"{said.source}: {said.doubt}" for said in listed if said.doubt)
        return PixelSize(None, "; ".join(doubts) or PixelSize().source, z), ()
    first = sizes[0]
    notes = tuple(
        f"pixels are {in_words(first.yx)} by {first.source}; {in_words(other.yx)} by {other.source} is not used"
        for other in sizes[1:]
        if not _alike(first.yx, other.yx)
    )
    return PixelSize(first.yx, first.source, z), notes


def in_words(yx: tuple[float, float] | None) -> str:
    """Return a size of a pixel as people say it, x first.

    >>> in_words((0.25, 0.25)), in_words((0.5, 0.25)), in_words((0.0008, 0.0008)), in_words(None)
    ('0.25 µm', '0.25 x 0.5 µm', '0.8 nm', 'unknown')
    """
    if yx is None:
        return "unknown"
    factor, unit = (1e3, "nm") if max(yx) < 0.01 else (1.0, "\u00b5m")
    y, x = (number(side * factor) for side in yx)
    return f"{x} {unit}" if x == y else f"{x} x {y} {unit}"


def microns(length: Length) -> float | None:
    """Return a length in microns, or None if it is no number of a unit of length."""
    value, unit = to_float(length[0]), microns_in(length[1])
    return None if value is None or unit is None else value * unit


def _sure(length: Length) -> float:
    side = microns(length)
    assert side is not None  # its doubt was asked for
    return side


def _doubt(length: Length) -> str:
    """Return why a side of a pixel is not believed, or nothing."""
    said = f"{length[0]} {legible(length[1])}".strip()
    if to_float(length[0]) is None:
        return f"says {said}, which is no number"
    if microns_in(length[1]) is None:
        return f"says {said}, which is no length" if legible(length[1]) else f"says {said} without a unit"
    side = _sure(length)
    if not SMALLEST <= side <= LARGEST:
        return f"says {said}, which can't be the size of a pixel"
    dpi = _MICRONS_PER_INCH / side
    if any(abs(dpi - usual) <= 1e-3 * usual for usual in SCREENS_AND_PRINTERS):
        return f"says {said}, that is {number(dpi)} dpi, of a screen or a printer, no pixel size"
    return ""


def _alike(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    return one is None or other is None or all(abs(a - b) <= SAME * max(a, b) for a, b in zip(one, other, strict=True))
