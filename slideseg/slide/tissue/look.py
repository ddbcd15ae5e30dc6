"""What a whole slide looks like: light came through it or it shines in the dark, and whether it has colours.

Only what is sure is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from slideseg.slide.tissue import channels
from slideseg.slide.tissue.masks import opened

if TYPE_CHECKING:
    from slideseg.slide.tissue.picture import Picture

DARK, DIM = 0.5, 0.25
"""Half of a picture in the dark is below the first share of its brightest pixels, and below the second of the way there from
its darkest unless a background is sure."""
BRIGHT, DARKER = 0.6, 2
"""Half of a grey picture that light came through is above this share of the brightest, which is so many times as near as ..."""
GREY, COLOURED = 0.03, 0.06
"""Shares of the brightest: by so much channels of grey pixels differ at most, and those of coloured ones at least."""
FEW, SOME = 2e-4, 2e-3
"""Shares of the picture: fewer pixels are dust and noise; so many coloured ones are a stain, be it on much empty glass."""
SEEN = 0.05
"""If darkest and brightest pixels differ by less than this share of the brightest, nothing is to be seen."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is sure of a slide."""

    light: Literal["bright", "dark"] | None = None
    """``bright``: light came through it; ``dark``: it shines itself, as in fluorescence; None where it may be either."""
    color: bool | None = None
    """Whether it has colours; None where that is not sure."""


NOTHING = Look()
"""Where nothing is sure."""


def look_of(picture: Picture, kind: str | None, *, rgb: bool) -> Look:
    """Return what a slide is sure to look like, by its small picture.

    Args:
        picture: the picture.
        kind: in which light tissue was found, as `Found` has it; None where none was.
        rgb: whether its channels are red, green and blue.
    """
    pixels = picture.pixels[picture.scanned & ~opened(channels.are_zero(picture.pixels), 6)]
    brightness = np.maximum(channels.highest(pixels), 0)
    top = float(np.percentile(brightness, 99.5)) if len(pixels) else 0.0
    if top <= 0 or np.percentile(brightness, 100 * FEW) > (1 - SEEN) * top:
        return NOTHING
    color = _coloured(pixels / top) if rgb else False if pixels.shape[1] == 1 else None
    return Look(_light(brightness / top, kind, color=color), color)


def _coloured(pixels: np.ndarray) -> bool | None:
    """Tell whether pixels (n, 3) have colours."""
    differ = channels.chroma(pixels)
    if (differ >= COLOURED).mean() >= SOME:
        return True
    return False if (differ > GREY).mean() <= FEW else None


def _light(brightness: np.ndarray, kind: str | None, *, color: bool | None) -> Literal["bright", "dark"] | None:
    """Tell in which light a picture was taken; in grey, bright is only what the ground is nearly as bright as the brightest."""
    if kind == "brightfield" and color:
        return "bright"
    darkest, middle = np.percentile(brightness, [1, 50])
    dim = kind == "dark field" or middle - darkest <= DIM * (1 - darkest)
    if kind != "brightfield" and middle <= DARK and dim:
        return "dark"
    ground = middle >= BRIGHT and middle - darkest >= DARKER * (1 - middle)
    return "bright" if ground and not color else None
