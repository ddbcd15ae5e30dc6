"""Tissue in transmitted light: what is neither glass nor black, nor ink nor dirt.

All numbers that decide are of the whole picture: the colour of the glass and how much it varies. Values are 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slideseg.slide.tissue import channels
from slideseg.slide.tissue.ink import ink_of, specks_of
from slideseg.slide.tissue.masks import closed, grown, largest_within, opened, smallest_within, spread, without_holes
from slideseg.slide.tissue.picture import smooth

BLACK = 30
"""Nothing brighter (in any channel) is black: no light came through, or nothing was scanned."""
LIT = 90
"""Median brightness of what is not black, from which on light comes through the slide."""
BRIGHT, NEAR = 120, 0.85
"""Glass is at least so bright, and at least this share of the brightest there is."""
NEUTRAL, YELLOW = 16, 48
"""The channels of glass differ by no more; of glass in yellow light (red over green over blue) by no more than the second."""
FLAT = (1.0, 2.5)
"""Between these lies by how much neighbours differ on glass at most, and a tenth of what they do in tissue."""
COLOURED = 0.1
"""Channels of stained tissue differ by at least this share of the brightest."""
SURE = 10
"""Side of a square of pixels that are all glass, so that glass is sure to be there (in pixels of the picture)."""
CHROMA = (4.0, 10.0)
"""Between these lies by how much the channels of a pixel differ from each other, beside glass, from which on it is tissue."""
ROUGH = (2.5, 6.0)
"""Between these lies by how much the neighbours of a pixel differ from which on it is tissue, also without any colour."""
GAP = 4
"""Gaps of up to twice so many pixels of the picture, between what was found, are tissue."""
DARKER = (12.0, 30.0)
"""Between these lies by how much a pixel is darker than glass from which on it is tissue, also without any colour."""
SHADE, GREY = 0.06, 0.2
"""Shade is grey: the channels differ by no more than these shares of what is left of the light, and of what is missing."""
WHITE = 252
"""What is brighter in all channels may be white that nobody scanned."""
HOLE = 1024
"""Holes in tissue of at most so many pixels (of 256 x 256 pixels of level 0) are tissue: vessels, glands, cells of fat."""


@dataclass(frozen=True, slots=True)
class Light:
    """What is known of a picture in transmitted light before tissue is looked for."""

    pixels: np.ndarray
    """(y, x, 3), 0 to 255."""
    smoothed: np.ndarray
    """(y, x, 3), 0 to 255, without what is black."""
    steps: np.ndarray
    """(y, x), by how much the neighbours of a pixel differ in brightness."""
    lit: np.ndarray
    """(y, x), what was scanned and is not black."""
    glass: np.ndarray
    """(y, x), where glass or white is sure to be."""


def lighten(pixels: np.ndarray, scanned: np.ndarray) -> Light | None:
    """Return what is known of an RGB picture (0 to 255) if light came through the slide; None if it did not, or who knows.

    It did where there is glass, or where all that is not black is bright and coloured and hardly anything is in between.
    """
    black = opened(scanned & (channels.highest(pixels) <= BLACK), 6)
    lit = scanned & ~grown(black)
    if not lit.any():
        return None
    smoothed = smooth(pixels, lit)
    steps = _steps(channels.mean(smoothed), lit)
    glass = _sure_glass(smoothed, steps, lit)
    seen = glass.mean() >= 0.01 or _is_lit(pixels[lit], beside_black=bool(black.any()))
    return Light(pixels, smoothed, steps, lit, glass) if seen else None


def _is_lit(values: np.ndarray, *, beside_black: bool) -> bool:
    """Tell whether light came through pixels (n, 3) without any glass."""
    brightest = channels.highest(values)
    coloured = np.median(channels.chroma(values) / np.maximum(brightest, 1)) >= COLOURED
    between = float(((brightest > BLACK) & (brightest < LIT)).mean())
    return bool(np.median(channels.mean(values)) >= LIT and (not beside_black or (coloured and between < 0.05)))


def tissue_in(light: Light) -> np.ndarray:
    """Return where tissue is (y, x); where no glass is, everything that is not black."""
    if not light.glass.any():
        return light.lit
    glass = _glass_of(light)
    # white that nobody scanned may be brighter than glass
    missing, sharp = (_missing(glass.colour, values) for values in (light.smoothed, light.pixels))
    rough = _steps(channels.mean(missing), light.lit) > glass.rough
    found = light.lit & (_differs(missing, glass) | rough) & _differs(2 * sharp, glass)
    found &= ~_shade(light, glass, found, missing)
    found &= ~ink_of(light.smoothed, glass.colour, found)
    whole: np.ndarray = without_holes(closed(found, GAP) & light.lit, HOLE)
    whole &= ~specks_of(whole, sharp)
    return whole


@dataclass(frozen=True, slots=True)
class Glass:
    """The glass of a slide, and how much a pixel differs from it that is tissue."""

    colour: np.ndarray
    """Red, green, blue."""
    chroma: float
    """By how much more is missing of one channel than of another."""
    darker: float
    """By how much all are darker."""
    rough: float
    """By how much neighbours differ."""


def _missing(colour: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return by how much pixels (y, x, 3) are darker than a colour, channel by channel."""
    missing: np.ndarray = colour - values
    np.maximum(missing, 0, out=missing)
    return missing


def _differs(missing: np.ndarray, glass: Glass) -> np.ndarray:
    """Tell where so much of the light (y, x, 3) is missing that it is not glass."""
    differs: np.ndarray = (channels.chroma(missing) > glass.chroma) | (channels.mean(missing) > glass.darker)
    return differs


def _steps(brightness: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """Return by how much a pixel's neighbours differ; 0 beside what is not lit."""
    steps = largest_within(brightness, 1) - smallest_within(brightness, 1)
    return np.where(lit & ~grown(~lit), steps, 0)


def _sure_glass(smoothed: np.ndarray, steps: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """Return where it is bright, neutral or yellowish, and flat over squares of some pixels."""
    brightness, chroma = channels.mean(smoothed), channels.chroma(smoothed)
    shaded = lit & (channels.lowest(smoothed) < WHITE)
    brightest = np.percentile(brightness[shaded if shaded.any() else lit], 98)
    red, green, blue = np.moveaxis(smoothed, 2, 0)
    yellow = (red >= green) & (green >= blue) & (red - green <= NEUTRAL) & (chroma <= YELLOW)
    flat = steps <= np.clip(0.1 * np.percentile(steps[lit], 90), *FLAT)
    like = lit & flat & (brightness >= max(BRIGHT, NEAR * brightest)) & ((chroma <= NEUTRAL) | yellow)
    glass: np.ndarray = opened(like, SURE) & lit
    return glass


def _glass_of(light: Light) -> Glass:
    """Measure the glass.

    White that no light made (255 all over, where nothing was scanned) is not what glass is measured by, where there is other.
    """
    values, steps = light.smoothed[light.glass], light.steps[light.glass]
    shaded = channels.lowest(values) < WHITE
    if shaded.mean() >= 0.01:
        values, steps = values[shaded], steps[shaded]
    colour = np.median(values, axis=0)
    missing = colour - values
    chroma, darker = channels.chroma(missing), np.abs(channels.mean(missing))
    return Glass(
        colour,
        float(np.clip(2 + 3 * np.median(chroma), *CHROMA)),
        float(np.clip(4 + 6 * np.median(darker), *DARKER)),
        float(np.clip(6 * np.median(steps), *ROUGH)),
    )


def _shade(light: Light, glass: Glass, found: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return the smooth grey shade around what is black or at the picture's edge: a vignette, dirt out of focus.

    None where the rest, which is the tissue, is grey itself.
    """
    balanced = light.smoothed / glass.colour
    grey = channels.chroma(balanced) <= SHADE * np.maximum(channels.highest(balanced), SHADE)
    grey &= found & (channels.chroma(missing) <= np.maximum(GREY * channels.highest(missing), glass.chroma))
    edge = np.pad(np.zeros(np.array(found.shape) - 2, bool), 1, constant_values=True) if min(found.shape) > 2 else found
    shade = spread(edge | grown(~light.lit, 3), opened(grey, 3))
    rest = found & ~grown(shade, 2)
    stained = np.count_nonzero(rest) > HOLE and np.count_nonzero(rest & grey) <= np.count_nonzero(rest) / 2
    return shade if stained else np.zeros_like(found)
