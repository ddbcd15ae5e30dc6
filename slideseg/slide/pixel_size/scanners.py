"""What scanners of whole slides, and programs that convert their files, write of the size of a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.slide.pixel_size.claims import Claim, claim
from slideseg.slide.pixel_size.text import as_text, description_of, number_behind, start_tags
from slideseg.slide.pixel_size.units import to_float

if TYPE_CHECKING:
    from collections.abc import Mapping

_MPP = r"(?:^|[|;,{\s\"'])MPP[\"']?\s*[=:]\s*[\"']?([^|;}\s\"']+?),?(?:[|;}\s\"']|$)"
_MAGNIFICATION = r"\|\s*AppMag\s*=\s*([^|\s]+)"
_MICRONS_AT_1X = 10.0
"""Microns of a camera's pixel, about: scanners of 40x have pixels of 0.25 microns."""
_MOST_MAGNIFIED = 250
_XMP = 700


def aperio_claim(tif: Any, page: Any) -> Claim | None:
    """Return the number behind ``MPP =`` in a description, as Aperio and those who write such files put it."""
    if tif.is_svs and page.index != 0:  # its thumbnail has a copy of it
        return Claim("Aperio's description", doubt="is that of the slide")
    description = description_of(page)
    if mpp := number_behind(_MPP, description):
        return claim("MPP in the description", (mpp, "um"), (mpp, "um"))
    if not description.startswith("Aperio"):
        return None
    return Claim("Aperio's description", doubt=f"names no MPP{hint_of(number_behind(_MAGNIFICATION, description))}")


def hint_of(magnification: object) -> str:
    """Return, in brackets, what pixels at a magnification usually are; nothing where that is not known.

    >>> hint_of("40")
    ' (at 40x it is about 0.25 µm)'
    """
    power = to_float(magnification)
    if power is None or not 1 <= power <= _MOST_MAGNIFIED:
        return ""
    return f" (at {power:g}x it is about {_MICRONS_AT_1X / power:.2g} \u00b5m)"


def openslide_claim(properties: Mapping[str, str]) -> Claim:
    """Return what OpenSlide says of a slide."""
    y, x = (properties.get(f"openslide.mpp-{axis}") for axis in "yx")
    if y is None and x is None:
        return Claim("OpenSlide", doubt=f"says no size{hint_of(properties.get('openslide.objective-power'))}")
    return claim("OpenSlide's mpp-y and mpp-x", None if y is None else (y, "um"), None if x is None else (x, "um"))


def vips_claim(_tif: Any, page: Any) -> Claim | None:
    """Return OpenSlide's size as libvips copies it into the description of TIFFs that it makes of slides."""
    description = description_of(page)
    y, x = (number_behind(rf"<name>openslide\.mpp-{axis}</name>\s*<value[^<>]*>([^<]*)</value>", description) for axis in "yx")
    if y is None or x is None:
        return None
    return claim("OpenSlide's mpp-y and mpp-x, kept by libvips", (y, "um"), (x, "um"))


def philips_claim(tif: Any, page: Any) -> Claim | None:
    """Return the finest DICOM_PIXEL_SPACING in Philips' XML: that of level 0, rows first."""
    if not page.is_tiled or not tif.pages.first.is_philips:
        return None
    parts = description_of(tif.pages.first).split("DICOM_PIXEL_SPACING")[1:]
    pairs = [part.partition(">")[2].partition("<")[0].replace("&quot;", " ").replace('"', " ").split() for part in parts]
    spacings = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2 and None not in map(to_float, pair)]
    if not spacings:
        return Claim("Philips' XML", doubt="names no DICOM_PIXEL_SPACING")
    y, x = min(spacings, key=lambda pair: to_float(pair[0]) or 0.0)
    return claim("Philips' DICOM_PIXEL_SPACING", (y, "mm"), (x, "mm"))


def leica_claim(tif: Any, page: Any) -> Claim | None:
    """Return the size of the image in Leica's XML (nanometres) that has ``page``, by its number of pixels."""
    if not tif.pages.first.is_scn:
        return None
    rows, columns = str(page.imagelength), str(page.imagewidth)
    pixels: dict[str, str] = {}
    mine = False
    for name, attributes in start_tags(description_of(tif.pages.first)):
        if name == "pixels":
            pixels, mine = attributes, False
        elif name == "dimension":
            same = (attributes.get("sizeY"), attributes.get("sizeX")) == (rows, columns)
            mine = mine or (same and attributes.get("ifd", str(page.index)) == str(page.index))
        elif name == "view" and mine:
            return claim("Leica's XML", *(_per_pixel(attributes, pixels, axis) for axis in "YX"))
    return Claim("Leica's XML", doubt="says nothing of this image")


def _per_pixel(view: dict[str, str], pixels: dict[str, str], axis: str) -> tuple[object, object] | None:
    length, number = to_float(view.get(f"size{axis}")), to_float(pixels.get(f"size{axis}"))
    return None if length is None or not number else (length / number, "nm")


def ventana_claim(tif: Any, page: Any) -> Claim | None:
    """Return the ScanRes of Ventana's XML, which lies in the XMP tag of one of its pages."""
    if not page.is_bif and not tif.pages.first.is_bif:
        return None
    for each in (page, tif.pages.first):
        for name, attributes in start_tags(as_text(each.tags.valueof(_XMP))):
            if name == "iScan" and "ScanRes" in attributes:
                said = (attributes["ScanRes"], "um")
                return claim("Ventana's ScanRes", said, said)
    return Claim("Ventana's XML", doubt="names no ScanRes")
