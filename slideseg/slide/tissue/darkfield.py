"""Tissue in the dark (fluorescence): what shines above a background that is sure to be one.

For each channel, its background's level and spread are numbers of the whole picture. They come from the dark itself, so a few
pixels of any brightness (dirt, a scale bar) change nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slideseg.slide.tissue import channels
from slideseg.slide.tissue.masks import closed, grown, opened, pieces, spread, without_holes
from slideseg.slide.tissue.picture import smooth

if TYPE_CHECKING:
    from slideseg.slide.tissue.picture import Picture

ABOVE = 5
"""So many times the background's spread above its level, a pixel is tissue ..."""
SURELY = 10
"""... if it hangs together with one that is so many: else it is noise of a JPEG."""
SPAN = 30
"""A channel shows tissue if its brightest pixels are at least so many spreads above the background."""
DARK = 0.55
"""A background is not brighter than this share of the brightest pixels."""
SHARE, SIDE = 0.02, 16
"""Of the picture, a background fills at least this share in squares of so many pixels: dark spots in tissue do not."""
BELOW = 0.02
"""Share of pixels that may be darker than the background: it is the darkest thing there is."""
EVEN, BLACK = 0.05, 0.01
"""A background's spread is at most this share of its level, unless that is next to nothing: this share of the brightest."""
TOP = 0.99
"""Share of pixels that are not brighter than what counts as bright: dirt, hot pixels and scale bars are fewer."""
LOWEST = (0.06, 0.12, 0.25, 0.5, 1.0)
"""It is looked for among so many of the darkest pixels, the darkest first: tissue may fill nearly all of a picture."""
QUANTUM = 1 / 256
"""Where the background has no noise, its spread is taken to be this share of the brightest pixels."""
FLAT = 0.02
"""A channel whose pixels differ by less than this share of the brightest is empty."""
GAP = 12
"""Dark gaps of up to twice so many pixels of the picture, between what shines, are tissue."""
HOLE = 4096
"""Dark holes of so many pixels in tissue are tissue."""
EDGE = 3
"""Pixels beside what was not scanned are mixed with it: the background is not seen in so many."""
SPECK = 3
"""A piece of so few pixels is noise."""
_SAMPLE = 1 << 18
_STEPS = 16
"""Of climbing to the middle of the background's noise, at most."""


@dataclass(frozen=True, slots=True)
class Background:
    """The dark of one channel."""

    level: float
    """Its commonest value."""
    spread: float
    """Standard deviation, from what is darker than that."""


def tissue_in(picture: Picture, *, zeros: bool = False) -> np.ndarray | None:
    """Return where tissue is (y, x) in a picture; None where no channel has a background that is sure to be one.

    Areas that are 0 in all channels may not have been scanned: what the dark is like is not seen there, unless ``zeros``.
    """
    pixels, scanned, least = picture.pixels, picture.scanned, picture.least
    lit = scanned if zeros else scanned & ~opened(channels.are_zero(pixels), 6)
    inside = lit & ~grown(~lit, EDGE)
    if not inside.any():
        return None
    smoothed = smooth(pixels, lit)
    backgrounds = [background_of(smoothed[..., channel], inside, least) for channel in range(pixels.shape[2])]
    if not any(backgrounds):
        return None
    found = np.zeros(lit.shape, bool)
    for channel, background in enumerate(backgrounds):
        if background is not None:
            above = (smoothed[..., channel] - background.level) / background.spread
            found |= spread(lit & (above > SURELY), lit & (above > ABOVE))
    numbers, sizes = pieces(found)
    mask = without_holes(closed((sizes > SPECK)[numbers], GAP), HOLE) & scanned
    others = [channel for channel, background in enumerate(backgrounds) if background is None]
    return mask if _agree(smoothed[..., others], mask & lit, lit & ~mask) else None


def _agree(others: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> bool:
    """Tell whether channels (y, x, c) without a sure background are empty, or brighter inside the tissue than outside.

    Else they show tissue where the others show none.
    """
    if not inside.any() or not outside.any():
        return True
    top = float(np.percentile(others, 100 * TOP)) if others.size else 0.0
    for channel in range(others.shape[2]):
        within, without = others[..., channel][inside], others[..., channel][outside]
        flat = np.ptp(np.percentile(np.concatenate([within, without]), [1, 99])) <= FLAT * top
        if not flat and np.percentile(without, 90) >= np.median(within):
            return False
    return True


def background_of(plane: np.ndarray, lit: np.ndarray, least: float) -> Background | None:
    """Return the background of one channel (y, x) where it is ``lit``; None if there is none that is sure.

    Its spread is that of its own noise, whatever else shines how brightly, but not less than ``least``: a JPEG has that anyway.
    """
    values = plane[lit]
    values = np.sort(values[:: max(1, len(values) // _SAMPLE)]).astype(np.float64)
    top = float(values[int(TOP * (len(values) - 1))])
    for share in LOWEST:
        level, own = _peak(values, _mode(values[: math.ceil(share * len(values))]))
        spread = max(own, least) or QUANTUM * (top - level)
        dark = level <= DARK * top and (own <= max(EVEN * level, least) or level <= BLACK * top)
        if not dark or top - level < SPAN * spread or spread <= 0:
            continue
        near = lit & (np.abs(plane - level) <= ABOVE * spread)
        darker = (values < level - ABOVE * spread).mean()
        if darker <= BELOW and opened(near, SIDE).sum() >= SHARE * lit.sum():
            return Background(level, spread)
    return None


def _peak(values: np.ndarray, level: float) -> tuple[float, float]:
    """Return the commonest of the sorted values near ``level``, and the spread of what is darker than it.

    Among the darkest values alone, what is commonest lies below the middle of the background's noise: from there it is climbed.
    """
    own = spread_below(values, level)
    for _ in range(_STEPS):
        first, last = np.searchsorted(values, [level - ABOVE * own, level + ABOVE * own])
        middle = _mode(values[first:last]) if last > first else level
        if middle <= level:
            break
        level, own = middle, spread_below(values, middle)
    return level, own


def spread_below(values: np.ndarray, level: float) -> float:
    """Return the standard deviation of noise by what of it is darker than ``level``; 0 if nothing is."""
    below = level - values[values < level]
    return 1.4826 * float(np.median(below)) if len(below) else 0.0


def _mode(values: np.ndarray) -> float:
    """Return the commonest of sorted values: half of them, and half of these, where they lie closest."""
    while len(values) > 2:
        half = -(-len(values) // 2)
        first = int(np.argmin(values[half - 1 :] - values[: len(values) - half + 1]))
        values = values[first : first + half]
    return float(values.mean())
