"""Which values of a slide are shown as black and as white, where they are not 8 bits; the same for every part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slideseg.slide.base import channels_of, planes_of
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.slide.base import Slide

SAMPLE_SIDE = 512
"""Side of the boxes that a display window is measured on, `SAMPLE_BOXES` along each axis."""
SAMPLE_BOXES = 4
SAMPLE_PLANES = 8
"""Planes of a stack that a display window is measured on."""
PERCENTILES = (0.1, 99.9)
"""Of a channel's values: shown as black and as white."""

Window = tuple[tuple[float, float], ...]
"""The values of black and white, for every channel."""


def display_window(slide: Slide) -> Window:
    """Measure the values of black and white of every channel on a small part of the whole slide; never on a tile."""
    level = len(slide.levels) - 1
    whole = Box.of_shape(slide.levels[level].shape)
    planes, boxes = chosen_planes(slide), boxes_over(whole, SAMPLE_BOXES, SAMPLE_SIDE)
    values = [slide.read(box, level, plane).reshape(-1, channels_of(slide)) for plane in planes for box in boxes]
    sample = np.concatenate(values).astype(np.float64)
    return tuple(_window(channel[np.isfinite(channel)]) for channel in sample.T)


def to_uint8(image: np.ndarray, window: Window) -> np.ndarray:
    """Return (y, x, c) in 8 bits: each channel's black at 0, its white at 255; what is no number is black."""
    low, high = np.array(window, np.float64).T
    scaled = (image.astype(np.float64) - low) * (255.0 / (high - low))
    shown: np.ndarray = np.nan_to_num(np.clip(np.rint(scaled), 0, 255), nan=0.0)
    return shown.astype(np.uint8)


def chosen_planes(slide: Slide) -> list[int]:
    """Return the planes that a slide is judged by, evenly spread: all of a few."""
    planes = planes_of(slide)
    return sorted({planes * n // min(planes, SAMPLE_PLANES) for n in range(min(planes, SAMPLE_PLANES))})


def boxes_over(whole: Box, along: int, side: int) -> list[Box]:
    """Return boxes of ``side`` spread evenly over ``whole``, ``along`` of them along each axis; all of it where it is small."""
    height, width = (min(side, -(-length // along)) for length in whole.shape)
    rows, columns = (_spread(length, part, along) for length, part in zip(whole.shape, (height, width), strict=True))
    return [Box(y, x, y + height, x + width) for y in rows for x in columns]


def _spread(length: int, part: int, number: int) -> list[int]:
    return sorted({(length - part) * n // (number - 1) for n in range(number)})


def _window(values: np.ndarray) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, PERCENTILES))
    return (low, high) if high > low else (low, low + 1.0)
