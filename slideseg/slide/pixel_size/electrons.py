"""What electron microscopes write into TIFFs of the size of a pixel."""

from __future__ import annotations

from typing import Any

from slideseg.slide.pixel_size.claims import Claim, claim
from slideseg.slide.pixel_size.text import as_text, number_behind
from slideseg.slide.pixel_size.units import to_float

_TESCAN = 50431
_GATAN_UNITS, _GATAN_SCALES = (65003, 65004, 65005), (65009, 65010, 65011)
"""Tags of DigitalMicrograph, along x, y and z."""
_ZEISS_WIDTH = 1024
"""Columns of the display that Zeiss' number without a name is for."""


def fei_claim(tif: Any, _page: Any) -> Claim | None:
    """Return PixelWidth and PixelHeight (metres) of FEI and Thermo Fisher, from the section of the file that has them."""
    if not tif.pages.first.is_fei:
        return None
    sections = [section for section in tif.fei_metadata.values() if isinstance(section, dict)]
    said = next((each for each in sections if "PixelWidth" in each and "PixelHeight" in each), None)
    if said is None:
        return Claim("FEI's tags", doubt="say no PixelWidth")
    return claim("FEI's PixelWidth and PixelHeight", (said["PixelHeight"], "m"), (said["PixelWidth"], "m"))


def zeiss_claim(tif: Any, page: Any) -> Claim | None:
    """Return the Image Pixel Size of a Zeiss SEM, with its unit, or what stands for it where it has no name (metres)."""
    if not tif.pages.first.is_sem:
        return None
    tags = tif.sem_metadata
    for name in ("ap_image_pixel_size", "ap_pixel_size"):
        _, size, unit = (*tags.get(name, ()), None, None, None)[:3]
        if unit is not None:
            return claim(f"Zeiss' {tags[name][0]}", (size, unit), (size, unit))
    unnamed = tags.get("", ())
    if len(unnamed) > 3 and (size := to_float(unnamed[3])):
        side = size * _ZEISS_WIDTH / page.imagewidth
        return claim("Zeiss' SEM tag", (side, "m"), (side, "m"))
    return Claim("Zeiss' SEM tag", doubt="says no Image Pixel Size")


def tvips_claim(tif: Any, _page: Any) -> Claim | None:
    """Return PixelSizeX and PixelSizeY (nanometres) of TVIPS' EM-Menu."""
    if not tif.pages.first.is_tvips:
        return None
    said = tif.tvips_metadata or {}
    if "PixelSizeX" not in said or "PixelSizeY" not in said:
        return Claim("TVIPS' tag", doubt="says no PixelSizeX")
    return claim("TVIPS' PixelSizeX and PixelSizeY", (said["PixelSizeY"], "nm"), (said["PixelSizeX"], "nm"))


def tescan_claim(_tif: Any, page: Any) -> Claim | None:
    """Return PixelSizeX and PixelSizeY (metres) of Tescan."""
    if _TESCAN not in page.tags:
        return None
    text = as_text(page.tags.valueof(_TESCAN))
    y, x = (number_behind(rf"PixelSize{axis}\s*=\s*([-+\d.eE]+)", text) for axis in "YX")
    return None if y is None or x is None else claim("Tescan's PixelSizeX and PixelSizeY", (y, "m"), (x, "m"))


def gatan_claim(_tif: Any, page: Any) -> Claim | None:
    """Return the scales and units of Gatan's DigitalMicrograph."""
    units = [as_text(page.tags.valueof(tag)) for tag in _GATAN_UNITS]
    scales = [page.tags.valueof(tag) for tag in _GATAN_SCALES]
    if not units[0] or not isinstance(scales[0], float):
        return None
    x, y, z = (None if scale is None else (scale, unit) for scale, unit in zip(scales, units, strict=True))
    return claim("DigitalMicrograph's scale", y, x, z)
