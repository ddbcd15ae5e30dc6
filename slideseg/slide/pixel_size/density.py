"""Resolutions: pixels in a unit of length, in the tags of TIFFs and the heads of pictures."""

from __future__ import annotations

from typing import Any

from slideseg.slide.facts import PixelSize
from slideseg.slide.pixel_size.claims import Claim, density_claim, microns, settle
from slideseg.slide.pixel_size.text import description_of, number_behind
from slideseg.slide.pixel_size.units import microns_in

_X, _Y, _UNIT = 282, 283, 296
_UNITS = {1: "", 2: "inch", 3: "cm", 4: "mm", 5: "um"}
"""Units of TIFF's tag; the last two are extensions."""
_LONGEST = 10
"""A pixel whose sides are in two units and differ more than so many times was not meant."""
_GROUND = 33550
_TURNED = (5, 6, 7, 8)
"""Orientations, of TIFF and Exif, whose rows are columns."""


def imagej_claim(tif: Any, page: Any) -> Claim | None:
    """Return the size by ImageJ's unit and the resolution tags, and its spacing of planes."""
    description = description_of(tif.pages.first)
    if not description.startswith(("ImageJ=", "SCIFIO=")):
        return None
    unit, y_unit, z_unit, spacing = (_line(name, description) for name in ("unit", "yunit", "zunit", "spacing"))
    y = _resolution(page, _Y)
    inside, y_inside = microns_in(unit), microns_in(y_unit or unit)
    said = density_claim("ImageJ", y if not (y and inside and y_inside) else y * inside / y_inside, _resolution(page, _X), unit)
    if said.yx is not None and (y_inside is None or (y_inside != inside and max(said.yx) > _LONGEST * min(said.yx))):
        return Claim("ImageJ", doubt=f"counts in {unit} along x, but in {y_unit} along y")
    step = None if spacing is None else microns((spacing.lstrip("-"), z_unit or unit))
    return Claim(said.source, said.yx, step or None, said.doubt)


def _line(name: str, description: str) -> str | None:
    return number_behind(rf"(?m:^){name}=(.*)", description)


def ground_claim(_tif: Any, page: Any) -> Claim | None:
    """Say of a map that its pixels are of the ground."""
    if _GROUND not in page.tags and not page.is_geotiff:
        return None
    return Claim("GeoTIFF", doubt="it is a map, whose pixels are of the ground, not of a specimen")


def tags_claim(_tif: Any, page: Any) -> Claim | None:
    """Return the size by the resolution tags; None where there are none, or those that stand for none."""
    y, x = _resolution(page, _Y), _resolution(page, _X)
    number = page.tags.valueof(_UNIT, 2)
    unit = _UNITS.get(int(number), "") if isinstance(number, int) else ""
    stands_for_none = not unit and (x == y == 1 or page.is_imagej)  # ImageJ names the unit of these tags elsewhere
    if (_X not in page.tags and _Y not in page.tags) or stands_for_none:
        return None
    return density_claim("resolution tags", y, x, unit)


def pixel_of_picture(density: object, *, turned: bool) -> PixelSize:
    """Return the size by the ``density`` that Pillow found in the head of a PNG or JPEG: dots an inch, x first.

    ``turned`` says that the picture is shown on its side.
    """
    if not isinstance(density, tuple) or len(density) != 2:
        return PixelSize()
    said = density_claim("density in the picture's head", float(density[1]), float(density[0]), "inch")
    return settle([said.turned() if turned else said])[0]


def is_turned(orientation: int) -> bool:
    """Tell whether a picture of that orientation, of TIFF or Exif, is shown on its side."""
    return orientation in _TURNED


def _resolution(page: Any, tag: int) -> float | None:
    """Return a tag of resolution, a fraction or a number; None if it is neither."""
    value = page.tags.valueof(tag)
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0] / value[1])
    return float(value) if isinstance(value, int | float) else None
