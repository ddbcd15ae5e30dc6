"""Which compressions and colours of TIFF can be read, and the names of those that can't."""

from __future__ import annotations

from typing import Any

from tifffile import COMPRESSION
from tifffile.tifffile import TIFF

from slideseg.errors import SlideError, explain
from slideseg.slide.tiff.decoding.streams import IMAGES, JPEG, is_jpeg

CMYK_AND_OTHERS = {
    4: "a transparency mask",
    5: "CMYK",
    8: "CIE L*a*b*",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "a colour filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
    51177: "depth map",
}
"""Photometric interpretations that are not read, by their names."""
_OLD_JPEG, _LEICA = 6, 33007
_STREAMS = JPEG | IMAGES
"""Compressions whose streams say themselves how their samples are stored."""
_NAMES = {
    2: "CCITT RLE",
    _OLD_JPEG: "old-style JPEG",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT RLE",
    32771: "CCITT RLE of words",
    32809: "ThunderScan",
    32908: "Pixar film",
    32909: "Pixar log",
    _LEICA: "Leica's own, as in the GT450",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv of 24 bits",
    34712: "JPEG 2000",
}


def check_compression(path: str, page: Any, stream: bytes) -> None:
    """Refuse what can't be decoded, by its name; ``stream`` is the head of the page's first tile.

    Raises:
        SlideError: if the compression is none that is read.
    """
    compression = int(page.compression)
    known = compression == 1 or _is_known(compression)
    if compression in (_OLD_JPEG, _LEICA) and stream:
        known = is_jpeg(stream)
    if not known:
        got = f"{_name(compression)} (compression {compression})"
        raise SlideError(explain(f"{path}: unsupported compression", got=got, try_="a copy in JPEG, deflate or zstd"))
    if compression in _STREAMS:
        page.keyframe.subsampling = (1, 1)  # the tag, or its default, speaks of samples that are stored bare
    elif page.is_subsampled:
        got = f"subsampled YCbCr without JPEG (compression {compression})"
        raise SlideError(explain(f"{path}: unsupported colours", got=got, want="grey, RGB or palette", try_="an RGB copy"))


def _is_known(compression: int) -> bool:
    try:
        TIFF.DECOMPRESSORS[compression]
    except KeyError:
        return False
    return True


def _name(compression: int) -> str:
    if compression in _NAMES:
        return _NAMES[compression]
    try:
        return COMPRESSION(compression).name
    except ValueError:
        return "unknown"
