"""How stored samples become pixels: alpha is dropped, palettes are looked up, white is made the largest value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slideseg.errors import SlideError, explain

_ALPHA = (1, 2)
_YCBCR_CODECS = (6, 7, 33003, 33004, 33005, 34712, 34892, 50001, 50002, 52546)
"""Compressions whose decoder turns YCbCr into RGB."""
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
COLOURED = frozenset({_RGB, _YCBCR, _PALETTE})
"""Photometric interpretations of images in red, green and blue."""
MANY = 1 << 30
"""All samples are kept."""


@dataclass(frozen=True, slots=True)
class Colour:
    """How stored samples become the pixels that are handed out."""

    keep: int
    """Samples kept; those behind are alpha."""
    inverted_from: int = 0
    """White is 0: pixels become this minus what is stored; 0 for no."""
    palette: np.ndarray | None = None
    """Colours (index, rgb) uint8 of a palette image."""

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Return the pixels (y, x, c) of ``stored`` (y, x, samples)."""
        kept = stored[..., : self.keep]
        if self.palette is not None:
            kept = self.palette[kept[..., 0]]
        elif self.inverted_from:
            kept = (self.inverted_from - kept.astype(np.int64)).astype(kept.dtype)
        return kept


def colour_of(path: str, series: Any) -> Colour:
    """Return how the samples of a tifffile series become pixels.

    Raises:
        SlideError: if its colours or its type of pixels are not supported.
    """
    page = series.keyframe
    samples = page.shaped[0] * page.shaped[4]
    photometric = int(page.photometric)
    supported = {_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE} | ({_YCBCR} if page.compression in _YCBCR_CODECS else set())
    if photometric not in supported:
        want = "grey, RGB or palette"
        raise SlideError(
            explain(f"{path}: unsupported colours", got=f"photometric {photometric}", want=want, try_="an RGB copy")
        )
    if page.dtype is None or page.dtype.name == "bool":
        want = "8 or 16 bits, or float"
        raise SlideError(explain(f"{path}: pixels of an unsupported type", got=f"{page.bitspersample} bits", want=want))
    if photometric == _PALETTE and samples == 1 and len(series.axes) == 2 and not page.parent.is_imagej:
        return Colour(1, palette=_palette(page))
    keep = _without_alpha(page, samples)
    return Colour(keep if samples > 1 else MANY, _white(path, page) if photometric == _MIN_IS_WHITE else 0)


def _without_alpha(page: Any, samples: int) -> int:
    """Return how many of a pixel's samples are no alpha."""
    alpha = bool(page.extrasamples) and int(page.extrasamples[-1]) in _ALPHA
    unnamed = samples == 4 and not page.extrasamples and page.photometric == _RGB
    return samples - 1 if alpha or unnamed else samples


def _palette(page: Any) -> np.ndarray:
    """Return the colours (index, rgb) uint8 of a palette page, one for every value its type can hold."""
    colours = np.asarray(page.colormap)
    scaled = (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8).T
    return np.pad(scaled, ((0, max(0, (1 << (8 * page.dtype.itemsize)) - len(scaled))), (0, 0)))


def _white(path: str, page: Any) -> int:
    if page.dtype.kind != "u":
        raise SlideError(
            explain(f"{path}: unsupported colours", got=f"white is 0 in {page.dtype.name}", want="unsigned integers")
        )
    return (1 << int(page.bitspersample)) - 1


def is_inverted(page: Any) -> bool:
    """Tell whether white is 0 on a page."""
    return bool(page.photometric == _MIN_IS_WHITE)
