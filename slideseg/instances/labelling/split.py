"""Objects that touch are parted at their necks: each peak of the distance to the edge is the middle of an object of its own.

    class map         1 1 1 1 1 1 1 1 1 1      distance          1 2 2 2 1 1 2 2 2 1
                      1 1 1 1 0 0 1 1 1 1      peaks: x          . x x x . . x x x .
                      1 1 1 1 0 0 1 1 1 1

This is the watershed of the distance, made of steps that each look no farther than a known reach, so that a piece of an image
gives what the whole image gives. Distances are cut off at a height; a peak is what is highest within a radius around it, with
its eight neighbours; what is between the peaks then grows to the nearest by steps (`growth`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEIGHT = 4
"""Distances are cut off at so many radii: the middle of what is wider is one large peak."""
STEPS = 8
"""Peaks grow by so many radii at most. It is twice the height, as steps from side to side are longer than the distance; what is
farther from every peak, as the tip of a long cone, is an object of its own."""
LEVELS = 40
"""Levels of distance in a radius: what differs by less is as high."""
AROUND = 3
"""Side of the window whose mean smooths the levels, and of a peak's neighbours."""


def reach_of(radius: int) -> int:
    """Return how far away from a pixel lies what decides its object, in px; 0 where nothing is parted."""
    return (HEIGHT + 1 + STEPS) * radius + AROUND if radius else 0


def find_peaks(inside: np.ndarray, radius: int) -> NDArray[np.bool_]:
    """Return where the middles of objects are.

    Args:
        inside: class ids (y, x) of the pixels that make objects, 0 elsewhere.
        radius: px around a peak in which nothing of its class is higher.
    """
    peaks = np.zeros(inside.shape, np.bool_)
    for class_id in np.flatnonzero(np.bincount(inside.reshape(-1), minlength=1)):
        if class_id:
            peaks |= _peaks_of(inside == class_id, radius)
    return peaks


def _peaks_of(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    levels = _levels(mask, radius)
    highest = ndimage.maximum_filter(levels, 2 * radius + 1, mode="nearest")
    peaks: NDArray[np.bool_] = ndimage.binary_dilation(mask & (levels == highest), np.ones((AROUND, AROUND), np.bool_))
    return peaks & mask


def _levels(mask: NDArray[np.bool_], radius: int) -> NDArray[np.int32]:
    """Return the smoothed level of each pixel's distance to what is outside ``mask``; the image's own edge is not outside."""
    highest = HEIGHT * radius
    level_of_square = np.floor(np.sqrt(np.arange(highest**2 + 1)) * (LEVELS / radius)).astype(np.int32)
    levels = level_of_square[np.minimum(_squared_distance(mask), highest**2)]
    for axis in (0, 1):
        levels = ndimage.correlate1d(levels, np.ones(AROUND, np.int32), axis, mode="nearest")
    return np.where(mask, levels // AROUND**2, 0)


def _squared_distance(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the squared distance (y, x) to the nearest pixel outside ``mask``; more than any where there is none.

    From the places of these pixels: scipy's own distances take three times as long.
    """
    if mask.all():
        return np.full(mask.shape, np.iinfo(np.int32).max, np.int32)
    y, x = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    y -= np.arange(mask.shape[0], dtype=np.int32)[:, None]
    x -= np.arange(mask.shape[1], dtype=np.int32)
    squares: NDArray[np.int32] = np.square(y, out=y)
    squares += np.square(x, out=x)
    return squares
