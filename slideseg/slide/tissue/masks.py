"""What is done to masks of a slide's small picture: grown, opened, closed, spread, cut into pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable

_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = ndimage.generate_binary_structure(2, 2)


def opened(mask: np.ndarray, side: int) -> np.ndarray:
    """Return the part of a mask that squares of ``side`` pixels fit into; the picture's edge limits nothing."""
    fits = _in_squares(np.pad(mask, side, mode="symmetric"), side, np.logical_and)
    return _in_squares(fits, side, np.logical_or)[1:-1, 1:-1]


def closed(mask: np.ndarray, steps: int) -> np.ndarray:
    """Return a mask with gaps of up to twice ``steps`` pixels closed."""
    padded = np.pad(mask, steps)
    disc = ndimage.iterate_structure(_CROSS, steps)
    whole: np.ndarray = ndimage.binary_closing(padded, disc)[steps:-steps, steps:-steps] | mask
    return whole


def grown(mask: np.ndarray, steps: int = 1) -> np.ndarray:
    """Return a mask with ``steps`` pixels added all around."""
    return _in_squares(np.pad(mask, steps), 2 * steps + 1, np.logical_or)


def largest_within(values: np.ndarray, reach: int) -> np.ndarray:
    """Return the largest value (y, x) within so many pixels of each."""
    return _in_squares(np.pad(values, reach, mode="symmetric"), 2 * reach + 1, np.maximum)


def smallest_within(values: np.ndarray, reach: int) -> np.ndarray:
    """Return the smallest value (y, x) within so many pixels of each."""
    return _in_squares(np.pad(values, reach, mode="symmetric"), 2 * reach + 1, np.minimum)


def spread(seed: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Return all of ``within`` that ``seed`` reaches."""
    return ndimage.binary_propagation(seed & within, _SQUARE, mask=within)


def without_holes(mask: np.ndarray, largest: int) -> np.ndarray:
    """Return a mask whose holes of at most ``largest`` pixels are filled; what touches the picture's edge is no hole."""
    holes, number = ndimage.label(~mask)
    if not number:
        return mask
    sizes = np.bincount(holes.ravel())
    sizes[np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))] = largest + 1
    sizes[0] = largest + 1
    return mask | (sizes <= largest)[holes]


def pieces(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of every pixel's connected piece (0: none) and the pixels of each piece, [0] of them 0."""
    numbers, _ = ndimage.label(mask, _SQUARE)
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    return numbers, sizes


def _in_squares(values: np.ndarray, side: int, of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Return what is ``of`` all values in each square of ``side`` pixels that lies inside, by its first row and column.

    Squares of twice the side are made of two, so it takes a few passes over whole arrays; SciPy's filters go pixel by pixel,
    and the picture of a large slide has ten million.
    """
    width = 1
    while width < side:
        step = min(width, side - width)
        values = of(values[:-step], values[step:])
        values = of(values[:, :-step], values[:, step:])
        width += step
    return values
