"""Which values a slide has: the same for every part of it, and on every machine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import SlideError, UnreachableError
from slideseg.model.values import are_numbers
from slideseg.slide.base import channels_of
from slideseg.slide.reader import SMALL_PLANE
from slideseg.slide.values.window import PERCENTILES, boxes_over, chosen_planes
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.model.values import Range
    from slideseg.slide.base import Slide

MOST_VALUES = 1 << 24
"""Of a slide, that are looked at."""
BOXES = 16
"""Places along each axis in which a large slide is looked at, so that some lie on a small piece of tissue, ..."""
SIDE = 128
"""... and the side of each in pixels, at most."""


@dataclass(frozen=True, slots=True)
class Values:
    """Which values a slide has."""

    low: float
    high: float
    """Nearly all of them are `low` to `high`."""
    largest: float
    """The largest of those that were looked at."""
    of_channels: tuple[tuple[float, float], ...] = ()
    """Nearly all of each channel, where these are no colours of one picture."""

    @property
    def limits(self) -> Range:
        """What the range ``auto`` takes for black and white: a value of each channel, unless they are colours."""
        if not self.of_channels:
            return self.low, self.high
        low, high = zip(*self.of_channels, strict=True)
        return low, high


def measure_values(slide: Slide, level: int = 0) -> Values | None:
    """Return percentiles of a whole slide, by its pixels in places that are always the same.

    Channels that are no colours are measured one by one, too: a stain may be a hundred times as bright as another. What was not
    scanned and what is no number does not count. They are values that the slide has, so that no arithmetic makes them others on
    another machine. None where nearly all are one value, or there are none.

    Raises:
        SlideError: if the slide can't be read there.
    """
    parts = list(_samples(slide, level))
    values_NC = np.concatenate(parts) if parts else np.empty((0, 1))
    values = values_NC[are_numbers(values_NC)]
    if not values.size:
        return None
    low, high, largest = _percentiles(values, (*PERCENTILES, 100))
    if low == high:
        return None
    channels = (
        () if slide.is_rgb or values_NC.shape[1] == 1 else tuple(_ends(values_C, (low, high)) for values_C in values_NC.T)
    )
    return Values(low, high, largest, channels)


def _ends(values: np.ndarray, otherwise: tuple[float, float]) -> tuple[float, float]:
    """Return the percentiles of one channel; of one whose values are all the same, or no numbers, those of all."""
    values = values[are_numbers(values)]
    low, high = _percentiles(values, PERCENTILES) if values.size else otherwise
    return (low, high) if low < high else otherwise


def _percentiles(values: np.ndarray, wanted: Sequence[float]) -> list[float]:
    """Return percentiles that are values themselves."""
    return [float(value) for value in np.percentile(values, wanted, method="nearest")]


def look_at_values(slide: Slide, level: int = 0) -> Values | None:
    """Return which values a slide has, to see if they are what they are taken for; None where that is not known.

    Of 8 bits the coarsest level tells, and what would have to be decoded whole for it is not looked at: it is rare that they
    are not.
    """
    if slide.dtype.itemsize == 1:
        level = len(slide.levels) - 1
        rows, columns = slide.levels[level].shape
        if not slide.direct and rows * columns > SMALL_PLANE:
            return None
    try:
        return measure_values(slide, level)
    except UnreachableError:
        raise
    except SlideError:
        return None  # damage is to fail the shard that it lies in


def _samples(slide: Slide, level: int) -> Iterator[np.ndarray]:
    """Yield values (n, c) of a level, those that were scanned: of all of it where it is small, else from its top to its end."""
    planes, whole = chosen_planes(slide), Box.of_shape(slide.levels[level].shape)
    most = MOST_VALUES // channels_of(slide) // len(planes)
    along = int(BOXES / math.sqrt(len(planes)))  # of at most 8 planes
    boxes = [whole] if whole.area <= most else boxes_over(whole, along, min(SIDE, max(1, math.isqrt(most) // along)))
    for plane in planes:
        for _, row in groupby(boxes, key=lambda box: box.y0):
            yield from _values(slide, list(row), level, plane)


def _values(slide: Slide, row: list[Box], level: int, plane: int) -> Iterator[np.ndarray]:
    """Yield the values (n, c) in boxes beside each other; read in one where parts of rows cost as much as whole ones."""
    across = Box(row[0].y0, 0, row[0].y1, slide.levels[level].shape[1])
    for read in row if slide.direct else [across]:
        there = slide.scanned(read, level, plane)
        if there is not None and not there.any():
            continue
        pixels = slide.read(read, level, plane)
        for part in (box.relative_to(read).slices for box in row if read.contains(box)):
            yield (pixels[part] if there is None else pixels[part][there[part]]).reshape(-1, pixels.shape[2])
