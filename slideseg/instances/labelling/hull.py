"""Convex hulls of objects, and how many pixels lie in them. Coordinates are doubled, so that sides of pixels are whole numbers.

As in scikit-image, a pixel stands for the middles of its four sides, and a pixel is in a hull where its centre is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from slideseg.instances.labelling.runs import Ints, expand

if TYPE_CHECKING:
    from numpy.typing import NDArray

Points = tuple[Ints, Ints]
"""(object, doubled (y, x)) of points, objects in order from 0."""


def points_of_runs(which: Ints, row: Ints, start: Ints, stop: Ints) -> Points:
    """Return the points of which the hulls of runs consist; ``which`` is the object of each run."""
    y, left, right = 2 * row, 2 * start, 2 * (stop - 1)
    corners = ((y, left - 1), (y, right + 1), (y - 1, left), (y - 1, right), (y + 1, left), (y + 1, right))
    points = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1).reshape(-1, 2)
    return in_order(np.repeat(which, len(corners)), points)


def in_order(which: Ints, points: Ints) -> Points:
    """Sort points by their object."""
    order = np.argsort(which, kind="stable")
    return which[order], points[order]


def hulls_of(which: Ints, points: Ints) -> Points:
    """Return the corners of each object's hull, one after the other, the first again at the end."""
    # As a line, which has the hull of its points and is made faster than a set of points.
    hulls = shapely.convex_hull(shapely.linestrings(points.astype(np.float64), indices=which))
    corners, index = shapely.get_coordinates(hulls, return_index=True)
    return index, np.rint(corners).astype(np.int64)


def pixels_in_hulls(which: Ints, corners: Ints) -> Ints:
    """Return how many pixels have their centres in each hull; hulls as `hulls_of` returns them."""
    edge = np.flatnonzero(which[1:] == which[:-1])
    start, end = corners[edge], corners[edge + 1]
    up = start[:, 0] > end[:, 0]
    low, high = np.where(up[:, None], end, start), np.where(up[:, None], start, end)
    first, last = -(-low[:, 0] // 2), high[:, 0] // 2
    rows = expand(first, last + 1)
    at = np.repeat(np.arange(edge.size), np.maximum(last + 1 - first, 0))
    left, right = _columns_at(low[at], high[at], rows)
    return _widths(which[edge][at], rows, left, right, int(which[-1]) + 1)


def _columns_at(low: Ints, high: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the first column right of where an edge is in a row, and the last one left of it; for a level edge, its ends."""
    height = high[:, 0] - low[:, 0]
    level = height == 0
    height = np.where(level, 1, height)
    x = low[:, 1] * height + (2 * rows - low[:, 0]) * (high[:, 1] - low[:, 1])
    left = np.where(level, np.minimum(low[:, 1], high[:, 1]), x)
    right = np.where(level, np.maximum(low[:, 1], high[:, 1]), x)
    return -(-left // (2 * height)), right // (2 * height)


def _widths(which: Ints, rows: Ints, left: Ints, right: Ints, count: int) -> Ints:
    """Add up the pixels of all rows of each object."""
    top, bottom = np.full(count, np.iinfo(np.int64).max), np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(top, which, rows)
    np.maximum.at(bottom, which, rows)
    starts = np.concatenate([[0], np.cumsum(bottom - top + 1)])
    place = starts[which] + rows - top[which]
    low, high = np.full(starts[-1], np.iinfo(np.int64).max), np.full(starts[-1], np.iinfo(np.int64).min)
    np.minimum.at(low, place, left)
    np.maximum.at(high, place, right)
    total: NDArray[np.int64] = np.add.reduceat(np.maximum(high - low + 1, 0), starts[:-1])
    return total
