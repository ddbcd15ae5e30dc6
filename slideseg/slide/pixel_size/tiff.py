"""The size of a TIFF's pixels: everything that may say it, in the order in which it is believed."""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Any

from slideseg.slide.pixel_size import density, electrons, light, scanners
from slideseg.slide.pixel_size.claims import Claim, settle
from slideseg.slide.pixel_size.ome import ome_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from slideseg.slide.facts import PixelSize

    Source = Callable[[Any, Any], Claim | None]
    """Is asked for a file, open in tifffile, and a page of it."""

SOURCES: Mapping[str, Source] = {
    "description": scanners.aperio_claim,
    "libvips": scanners.vips_claim,
    "Philips": scanners.philips_claim,
    "Leica": scanners.leica_claim,
    "Ventana": scanners.ventana_claim,
    "FEI": electrons.fei_claim,
    "Zeiss SEM": electrons.zeiss_claim,
    "TVIPS": electrons.tvips_claim,
    "Tescan": electrons.tescan_claim,
    "DigitalMicrograph": electrons.gatan_claim,
    "Olympus SIS": light.olympus_claim,
    "MetaMorph": light.metamorph_claim,
    "Zeiss LSM": light.zeiss_lsm_claim,
    "FluoView": light.fluoview_claim,
    "Micro-Manager": light.micro_manager_claim,
    "ScanImage": light.scan_image_claim,
    "ImageJ": density.imagej_claim,
    "GeoTIFF": density.ground_claim,
    "resolution tags": density.tags_claim,
}
"""Who may say how large pixels are, after OME-XML, the most trustworthy first.

A microscope knows better than what was made of its file. ImageJ's unit comes late because other programs write its
description too, without one.
"""
_DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error)
"""What tifffile's parsers raise on tags that are not what they should be."""


def pixel_of_tiff(
    tif: Any, page: Any, orientation: int = 1, companion: str | None = None, number: int | None = None
) -> tuple[PixelSize, tuple[str, ...]]:
    """Return the size of the pixels of the image whose first page is ``page``, and notes of who says another one.

    Args:
        tif: the file, open in tifffile.
        page: the first page of the image's level 0.
        orientation: TIFF's orientation; where rows are shown as columns the sides change places.
        companion: OME-XML that lies in a file of its own.
        number: which of OME-XML's images it is, where they are in several files.
    """
    sources: dict[str, Source] = {"OME-XML": partial(ome_claim, companion=companion, number=number), **SOURCES}
    return settle(said.turned() if density.is_turned(orientation) else said for said in _claims(sources, tif, page))


def _claims(sources: Mapping[str, Source], tif: Any, page: Any) -> Iterator[Claim]:
    for name, ask in sources.items():
        try:
            said = ask(tif, page)
        except _DAMAGE:
            said = Claim(name, doubt="its tags are damaged")
        if said is not None:
            yield said
