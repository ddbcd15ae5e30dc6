"""Areas, sizes and densities of a row in words: in millimetres and microns where its pixels have a size, else in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.words import amount, number

if TYPE_CHECKING:
    from collections.abc import Mapping

UM2, MM2 = "\u00b5m\u00b2", "mm\u00b2"
PER_MM2, PER_MPX = f"per {MM2}", "per Mpx"
MEGA = 1e6


def area_told(pixels: int | None, mm2: float | None) -> str:
    """Return an area; nothing where it is not known.

    >>> area_told(2_000_000, 0.125), area_told(2_000_000, None), area_told(None, None)
    ('0.125 mm²', '2 Mpx', '')
    """
    return f"{number(mm2)} {MM2}" if mm2 is not None else "" if pixels is None else f"{number(pixels / MEGA)} Mpx"


def size_told(pixels: float | None, um2: float | None) -> str:
    """Return the size of an object; nothing where there is none.

    >>> size_told(350.5, 21.90625), size_told(350.5, None)
    ('21.91 µm²', '350.5 px')
    """
    return f"{number(um2)} {UM2}" if um2 is not None else "" if pixels is None else f"{number(pixels)} px"


def density_of(row: Mapping[str, Any], of: str, *, in_microns: bool) -> float | None:
    """Return objects a square millimetre, or a million pixels where no slide's pixels have a size."""
    if in_microns:
        return row.get(f"per_mm2{of}")
    count, pixels = row.get(f"objects{of}"), row.get("tissue_pixels")
    return None if count is None or not pixels else MEGA * count / pixels


def density_told(row: Mapping[str, Any], of: str = "") -> str:
    """Return how dense objects are, of all classes or of one; nothing where that is not known."""
    dense, loose = (density_of(row, of, in_microns=known) for known in (True, False))
    return f"{amount(dense)} {PER_MM2}" if dense is not None else "" if loose is None else f"{amount(loose)} {PER_MPX}"
