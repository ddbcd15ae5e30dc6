"""What a TIFF says of its pixels: microns, in Aperio's, OME's or ImageJ's words or in the resolution tags; and how many."""

from __future__ import annotations

import math
import re
from typing import Any

from slideseg.slide.microns import MICRONS, plausible_mpp, to_float

_FINEST_PRINT = 20.0
"""Resolution tags above this many microns a pixel (below 1270 dpi) speak of screens and paper, not of the specimen."""
_PIXELS = r"<(?:\w+:)?Pixels\b[^>]*>"
_UNITS = {2: "inch", 3: "cm"}


def microns_per_pixel(tif: Any, page: Any) -> tuple[float, float] | None:
    """Return the microns per pixel (y, x) of a tifffile file whose level 0 has ``page``; None where it does not say."""
    if tif.is_svs:
        return plausible_mpp(aperio_mpp(page.description))
    if tif.is_ome:
        return ome_mpp(tif.ome_metadata or "", (page.imagelength, page.imagewidth))
    if tif.is_imagej:
        unit = str((tif.imagej_metadata or {}).get("unit", "")).lower()
        return plausible_mpp(*(_per_pixel(page, tag, MICRONS.get(unit)) for tag in (283, 282)))
    microns = MICRONS.get(_UNITS.get(_resolution_unit(page), ""))
    return plausible_mpp(*(_per_pixel(page, tag, microns) for tag in (283, 282)), high=_FINEST_PRINT)


def aperio_mpp(description: str) -> float | None:
    """Return the number behind ``MPP =`` in an Aperio image description, or None.

    >>> aperio_mpp("Aperio Image Library v11.2.1|AppMag = 20|MPP = 0.4990")
    0.499
    """
    found = re.search(r"\|\s*MPP\s*=([^|]*)", description)
    return to_float(found.group(1)) if found else None


def ome_mpp(xml: str, shape: tuple[int, int]) -> tuple[float, float] | None:
    """Return the microns per pixel (y, x) of the image of ``shape`` (rows, columns) in OME-XML, or None.

    The XML is read by pattern, so no entity is ever expanded.
    """
    images = [dict(re.findall(r"(\w+)\s*=\s*[\"']([^\"']*)[\"']", tag)) for tag in re.findall(_PIXELS, xml)]
    sides = (str(shape[0]), str(shape[1]))
    attributes = next((image for image in images if (image.get("SizeY"), image.get("SizeX")) == sides), {})
    sizes = []
    for axis in "YX":
        size = to_float(attributes.get(f"PhysicalSize{axis}"))
        microns = MICRONS.get(attributes.get(f"PhysicalSize{axis}Unit", "um").lower())
        sizes.append(None if size is None or microns is None else size * microns)
    return plausible_mpp(*sizes)


def ome_pixels(xml: str) -> int:
    """Return the most samples (x times y times z times c times t) that any image in OME-XML claims.

    >>> ome_pixels('<Pixels SizeX="9" SizeY="9" SizeZ="5" SizeC="2" SizeT="1">')
    810
    """
    claims = [dict(re.findall(r"Size([XYZCT])\s*=\s*[\"'](\d+)", tag)) for tag in re.findall(_PIXELS, xml)]
    return max((math.prod(int(count) for count in claim.values()) for claim in claims), default=0)


def _resolution_unit(page: Any) -> int:
    tag = page.tags.get(296)
    return 2 if tag is None else int(tag.value)


def _per_pixel(page: Any, number: int, microns: float | None) -> float | None:
    """Return the size of a pixel by the resolution tag ``number`` (282 or 283), a fraction of pixels per unit."""
    tag = page.tags.get(number)
    if tag is None or microns is None:
        return None
    pixels, units = tag.value
    # one pixel a unit is what writers put who know no size
    return microns * units / pixels if pixels and units and pixels != units else None
