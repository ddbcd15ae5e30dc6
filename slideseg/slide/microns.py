"""Microns per pixel: units that files name, and which sizes are believed."""

from __future__ import annotations

MICRONS = {
    "micron": 1.0,
    "microns": 1.0,
    "um": 1.0,
    "\u00b5m": 1.0,
    "\u03bcm": 1.0,
    "\\u00b5m": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "pm": 1e-6,
    "\u00e5": 1e-4,
    "angstrom": 1e-4,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "inch": 25400.0,
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
}
"""Microns in each unit of length that OME, OME-Zarr or ImageJ may name, in lower case."""
PLAUSIBLE_MPP = (0.001, 1000.0)
"""Microns per pixel that are believed; a file that says anything else says nothing."""


def plausible_mpp(
    *values: float | None, low: float = PLAUSIBLE_MPP[0], high: float = PLAUSIBLE_MPP[1]
) -> tuple[float, float] | None:
    """Return ``values`` (microns per pixel along y and x, or of both), or None unless each is a plausible number."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values) or not all(low <= value <= high for value in known):
        return None
    return known[0], known[-1]


def to_float(text: object) -> float | None:
    """Return the number that ``text`` spells (a decimal comma is one too), or None."""
    try:
        return float(str(text).strip().replace(",", "."))
    except ValueError:
        return None
