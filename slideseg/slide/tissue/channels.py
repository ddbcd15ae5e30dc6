"""What the channels of pixels have in common.

Channel by channel: NumPy's reductions over a last axis of three take five times as long, and a picture has millions of pixels.
"""

from __future__ import annotations

from functools import reduce

import numpy as np


def highest(pixels: np.ndarray) -> np.ndarray:
    """Return the largest value of each pixel's channels (..., c)."""
    top: np.ndarray = reduce(np.maximum, _channels(pixels))
    return top


def lowest(pixels: np.ndarray) -> np.ndarray:
    """Return the smallest value of each pixel's channels (..., c)."""
    bottom: np.ndarray = reduce(np.minimum, _channels(pixels))
    return bottom


def chroma(pixels: np.ndarray) -> np.ndarray:
    """Return by how much each pixel's channels (..., c) differ at most."""
    differ: np.ndarray = highest(pixels) - lowest(pixels)
    return differ


def mean(pixels: np.ndarray) -> np.ndarray:
    """Return the mean of each pixel's channels (..., c)."""
    total: np.ndarray = reduce(np.add, _channels(pixels))
    middle: np.ndarray = total / pixels.dtype.type(pixels.shape[-1])
    return middle


def are_zero(pixels: np.ndarray) -> np.ndarray:
    """Tell of each pixel whether all of its channels (..., c) are 0."""
    zero: np.ndarray = reduce(np.logical_and, _channels(pixels == 0))
    return zero


def _channels(pixels: np.ndarray) -> np.ndarray:
    return np.moveaxis(pixels, -1, 0)
