"""What is known of a slide before a pixel is read: its arrays, its size and place, and what was decided about it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from slideseg.space.box import Box

Role = Literal["slide", "macro", "label", "thumbnail", "overview", "other"]
"""What an image in a file is; there is one slide at least, and every other one that is like it is a slide too."""


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a slide's pyramid."""

    shape: tuple[int, int]
    """Rows and columns."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Level-0 pixels a pixel of this level, along y and x."""

    @property
    def downsample(self) -> float:
        """The mean of both axes' scales."""
        return sum(self.scale) / 2


@dataclass(frozen=True, slots=True)
class PixelSize:
    """How large a pixel of level 0 is, and who says so."""

    yx: tuple[float, float] | None = None
    """Microns along y and x; None where nobody says."""
    source: str = "nothing in the file says it"
    """Who says it, or why it is not known."""
    z: float | None = None
    """Microns from plane to plane of a stack along z."""
    z_first: float = 0.0
    """Where its first plane lies, in microns."""

    @property
    def mean(self) -> float | None:
        """The side of the square of the same area, in microns."""
        return (
            None
            if self.yx is None
            else math.sqrt(self.yx[0]) * math.sqrt(self.yx[1])
            if self.yx[0] != self.yx[1]
            else self.yx[0]
        )

    def times(self, factors: tuple[float, float]) -> tuple[float, float] | None:
        """Return the sides of pixels that are ``factors`` (y, x) times as large."""
        return None if self.yx is None else (self.yx[0] * factors[0], self.yx[1] * factors[1])


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel as the file describes it."""

    name: str = ""
    """Empty where it has none."""
    color: str | None = None
    """``#rrggbb``, as it is to be shown."""


@dataclass(frozen=True, slots=True)
class Image:
    """One of a file's images."""

    number: int
    """What ``--series`` takes."""
    role: Role
    """What it is."""
    shape: tuple[int, ...]
    """Its size, along `axes`."""
    axes: str
    """``yxc``, with t and z in front where it has them."""
    name: str = ""
    """As the file calls it."""
    used: bool = False
    """Whether it is the one that was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a reader knows of its slide once the file's head is read."""

    path: str
    """What reopens it."""
    axes: str
    """``yxc``, with ``z``, ``t`` or ``tz`` in front of a stack."""
    shape: tuple[int, ...]
    """Level 0, along `axes`."""
    dtype: np.dtype
    """Native byte order."""
    levels: tuple[Level, ...]
    """Finest first."""
    pixel: PixelSize = PixelSize()
    """Size of a pixel of level 0."""
    is_rgb: bool
    """Whether channels are red, green, blue."""
    direct: bool
    """Whether a box costs about its size."""
    channels: tuple[Channel, ...] = ()
    """Names and colours, one a channel, or none where the file says nothing of them."""
    bounds: Box | None = None
    """The part of level 0 that was scanned, where the file says so (OpenSlide's ``bounds``); QuPath counts from its corner."""
    origin: tuple[float, float] = (0.0, 0.0)
    """Where the centre of the first pixel lies, along y and x: in microns, or in pixels where their size is not known."""
    background: tuple[int, ...] | None = None
    """The pixel, one number a channel, that stands where nothing was scanned; None where everything was."""
    images: tuple[Image, ...] = ()
    """All images of the file with their roles; none where it holds this one alone."""
    notes: tuple[str, ...] = ()
    """What was decided about this file that its user should know before it is segmented, a sentence each."""
    remarks: tuple[str, ...] = ()
    """What else was decided, as it is usual with such files, for who asks."""


def make_levels(shapes: Sequence[tuple[int, int]]) -> tuple[Level, ...]:
    """Return the levels of ``shapes`` (rows, columns), finest first; each one's scale follows from level 0's shape."""
    rows, columns = shapes[0]
    return tuple(Level((height, width), (rows / max(1, height), columns / max(1, width))) for height, width in shapes)


def planes_in(shape: Sequence[int]) -> int:
    """Return how many planes a slide of ``shape`` has, all its stack's axes taken together."""
    return math.prod(shape[:-3])


_NO_NAME = re.compile(r"((ch|channel)?[ _:.-]*[\d:]*)")
"""Names, in small letters, that programs give to channels that have none."""
_RED_GREEN_BLUE = (("red", "r", "#ff0000"), ("green", "g", "#00ff00"), ("blue", "b", "#0000ff"))


def named_rgb(channels: Sequence[Channel]) -> bool:
    """Tell whether three channels are called red, green and blue, in this order, and not shown in other colours.

    >>> named_rgb([Channel("Red"), Channel("Green", "#00ff00"), Channel("Blue")])
    True
    """
    return len(channels) == len(_RED_GREEN_BLUE) and all(
        channel.name.strip().casefold() in names[:2] and channel.color in (None, "#ffffff", names[2])
        for channel, names in zip(channels, _RED_GREEN_BLUE, strict=True)
    )


def coloured_rgb(channels: Sequence[Channel]) -> bool:
    """Tell whether three channels without names are shown in red, green and blue, in this order.

    >>> coloured_rgb([Channel("", "#ff0000"), Channel("Channel:1", "#00ff00"), Channel("", "#0000ff")])
    True
    """
    colours = tuple(colour for *_, colour in _RED_GREEN_BLUE)
    return tuple(channel.color for channel in channels) == colours and all(
        _NO_NAME.fullmatch(channel.name.strip().casefold()) for channel in channels
    )
