"""What lies on a brightfield slide and is no tissue: ink of pens, and dirt.

Only what is sure is left out. Stains have the colours of blue and red ink, so that stays; green and black stay too where
the rest of the slide is green or grey.
"""

from __future__ import annotations

import numpy as np

from slideseg.slide.tissue import channels
from slideseg.slide.tissue.masks import grown, largest_within, opened, pieces, spread

STROKE = 6
"""Width of a pen's line in pixels of the picture, at least."""
LEAST_INK = 128
"""Pixels of the picture that ink covers at least."""
SPECK = 28
"""A piece of so many pixels of the picture is a speck of dust, unless it is stained."""
DIRT = 256
"""A piece of so many pixels is dirt if it is grey, teal or much paler than the slide's tissue."""
PLAIN = 0.2
"""Grey misses no more of one channel than of another, to this share of the most."""
TEAL = 0.35
"""Dirt that breaks light is teal over this share at least."""
PALE = 0.5
"""Nowhere darker than this share of what the slide's tissue is in the middle, a small piece is much paler."""
GREEN_RED, GREEN_BLUE = 0.3, 0.12
"""By how much more (in units of absorbance) green ink absorbs red and blue than it absorbs green."""
AROUND, ON_GLASS = 8, 0.7
"""Of the ring of so many pixels around a line of ink, at least this share is glass."""
STRAY = 0.05
"""Where more than this share of the rest is greenish, the tissue itself is stained so."""
OPAQUE, GREY = 80, 25
"""Black ink is not brighter, and its channels differ by less."""


def ink_of(smoothed: np.ndarray, glass: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return where ``found`` (y, x) of a picture (y, x, 3), 0 to 255, is ink; ``glass`` is the colour of the glass."""
    ink: np.ndarray = _green(smoothed, glass, found) | _black(smoothed, found)
    return ink


def specks_of(found: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return the small pieces of ``found`` that are dust or dirt; ``missing`` (y, x, 3) is how much darker than glass each is.

    What is large says what tissue looks like. Where it is stained (takes more from green than from red), a small piece is
    dirt if it is grey, if a good part of it is teal, or if it is much paler; unless the picture's edge cuts it off. Else
    only the smallest are.
    """
    numbers, sizes = pieces(found)
    darker: np.ndarray = channels.mean(missing)
    grey = channels.chroma(missing) < PLAIN * np.maximum(channels.highest(missing), 1)
    teal = missing[..., 0] > missing[..., 1]
    greys, teals = _share(grey, darker, numbers, len(sizes)), _share(teal, darker, numbers, len(sizes))
    dropped: np.ndarray = (sizes <= SPECK // 2) | ((sizes <= SPECK) & (greys > 0.5))
    large = (sizes > DIRT)[numbers]
    if large.any() and np.average(grey[large], weights=darker[large]) < 0.5:
        darkest = np.zeros(len(sizes), darker.dtype)
        np.maximum.at(darkest, numbers.ravel(), darker.ravel())
        foreign = (greys > 0.5) | (darkest < PALE * np.median(darker[large]))
        if np.average(teal[large], weights=darker[large]) < TEAL / 5:
            foreign |= teals > TEAL
        foreign[np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]])] = False
        dropped |= (sizes <= DIRT) & foreign
    dropped[0] = False
    specks: np.ndarray = dropped[numbers]
    return specks


def _share(mask: np.ndarray, darker: np.ndarray, numbers: np.ndarray, many: int) -> np.ndarray:
    """Return for each piece how much of what it takes from the light is taken where ``mask`` is."""
    taken = np.bincount(numbers.ravel(), darker.ravel(), many)
    return np.bincount(numbers.ravel(), (mask * darker).ravel(), many) / np.maximum(taken, 1e-6)


def _green(smoothed: np.ndarray, glass: np.ndarray, found: np.ndarray) -> np.ndarray:
    absorbed = np.log((glass + 1) / (smoothed + 1))
    red, blue = (absorbed[..., channel] - absorbed[..., 1] for channel in (0, 2))
    sure = opened(found & (red > GREEN_RED) & (blue > GREEN_BLUE), STROKE)
    rim = grown(sure, STROKE) & found & (red > 0) & (blue > 0)
    ink = _on_glass(sure | rim, found)
    rest = found & ~grown(ink, 2)
    greenish = rest & (red > GREEN_RED / 4) & (blue > GREEN_BLUE / 4)
    return ink if ink.sum() <= rest.sum() and greenish.sum() <= STRAY * rest.sum() else np.zeros_like(found)


def _black(smoothed: np.ndarray, found: np.ndarray) -> np.ndarray:
    brightest: np.ndarray = channels.highest(smoothed)
    chroma = channels.chroma(smoothed)
    sure = opened(found & (brightest < OPAQUE) & (chroma < GREY), STROKE)
    greyish = found & (chroma < np.maximum(GREY / 2, 0.1 * brightest))
    rest = found & ~grown(spread(sure, greyish | sure), 4)
    if not sure.any() or np.count_nonzero(rest) < LEAST_INK or np.median(chroma[rest]) < GREY / 2:
        return np.zeros_like(found)
    return _on_glass(spread(sure, greyish | sure), found)


def _on_glass(ink: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the pieces of ink that are large and have glass around most of them: in the middle of tissue it may be tissue."""
    numbers, sizes = pieces(ink)
    around = largest_within(numbers, AROUND)
    around[grown(ink, AROUND // 2)] = 0
    ring = np.bincount(around.ravel(), minlength=len(sizes))
    of_glass = np.bincount(around[~found].ravel(), minlength=len(sizes))
    sure: np.ndarray = ((sizes >= LEAST_INK) & (of_glass >= ON_GLASS * ring))[numbers]
    return sure
