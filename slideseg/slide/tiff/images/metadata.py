"""How many pixels a TIFF's OME-XML claims, before memory is made for them."""

from __future__ import annotations

import math

from slideseg.slide.pixel_size.text import start_tags


def ome_pixels(xml: str) -> int:
    """Return the most samples (x times y times z times c times t) that any image in OME-XML claims.

    >>> ome_pixels('<Pixels SizeX="9" SizeY="9" SizeZ="5" SizeC="2" SizeT="1">')
    810
    """
    images = [attributes for name, attributes in start_tags(xml) if name == "Pixels"]
    sizes = [[image.get(f"Size{axis}", "1") for axis in "XYZCT"] for image in images]
    return max((math.prod(int(size) for size in each if size.isdecimal()) for each in sizes), default=0)
