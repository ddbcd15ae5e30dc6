"""An image as runs: the stretches of equal pixels in its rows. What touches what is told by whole stretches at once.

    row 0    0 0 1 1 1 0        runs (0: 0-2) (1: 2-5) (0: 5-6)
    row 1    1 1 1 0 2 2        runs (1: 0-3) (0: 3-4) (2: 4-6)

A class map of 2048 x 2048 pixels has some 100,000 runs, so that nearly all work is done on a hundredth of the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Ints: TypeAlias = "NDArray[np.int64]"
"""Whole numbers, one after the other."""


@dataclass(frozen=True)  # no slots: what is derived is kept
class Runs:
    """All runs of an image, in raster order. They hold every pixel exactly once."""

    begin: Ints
    """Number of each run's first pixel, counted in raster order."""
    value: np.ndarray
    """What its pixels are."""
    shape: tuple[int, int]
    """Rows and columns of the image."""

    @cached_property
    def length(self) -> Ints:
        """Pixels of each run."""
        return np.diff(self.begin, append=self.shape[0] * self.shape[1])

    @property
    def row(self) -> Ints:
        """Row of each run."""
        return self.begin // self.shape[1]

    @property
    def start(self) -> Ints:
        """Column of each run's first pixel."""
        return self.begin % self.shape[1]

    @cached_property
    def rows(self) -> Ints:
        """Number of each row's first run, and of all runs at the end."""
        rows: Ints = np.searchsorted(self.begin, np.arange(self.shape[0] + 1) * self.shape[1])
        return rows

    def paint(self, values: np.ndarray) -> np.ndarray:
        """Return the image (y, x) whose runs have these values."""
        return np.repeat(values, self.length).reshape(self.shape)


def runs_of(image: np.ndarray) -> Runs:
    """Return the runs of an image (y, x) that has pixels."""
    flat = np.ascontiguousarray(image).reshape(-1)
    begins = np.empty(flat.size, np.bool_)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[:: image.shape[1]] = True
    begin = np.flatnonzero(begins)
    return Runs(begin, flat[begin], (image.shape[0], image.shape[1]))


def pairs_below(runs: Runs, which: Ints, connectivity: int) -> tuple[Ints, Ints]:
    """Return (upper, lower) of all pairs of the runs ``which`` that touch across a row's lower side, counted among these."""
    columns = runs.shape[1]
    begin, end = runs.begin[which], runs.begin[which] + runs.length[which]
    left, right = begin + columns, end + columns  # below, half-open
    if connectivity == 8:
        left -= begin % columns > 0
        right += end % columns > 0
    low, high = np.searchsorted(end, left, "right"), np.searchsorted(begin, right)
    return np.repeat(np.arange(which.size), high - low), expand(low, high)


def expand(low: Ints, high: Ints) -> Ints:
    """Return the numbers of all ranges ``low <= n < high``, one after the other.

    >>> expand(np.array([3, 9]), np.array([5, 12])).tolist()
    [3, 4, 9, 10, 11]
    """
    counts = high - low
    ends = np.cumsum(counts)
    numbers: Ints = np.arange(int(counts.sum())) + np.repeat(low - (ends - counts), counts)
    return numbers


def components(count: int, a: Ints, b: Ints) -> tuple[int, Ints]:
    """Return how many components ``count`` things have that are joined in pairs, and each thing's.

    Components are numbered from 0 in the order of their first thing.
    """
    root = np.arange(count)
    while a.size:
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))  # so the first thing stays the root
        while not np.array_equal(above := root[root], root):
            root = above
        a, b = root[a], root[b]
        apart = a != b
        a, b = a[apart], b[apart]
    is_root = root == np.arange(count)
    return int(is_root.sum()), (np.cumsum(is_root) - 1)[root]


def join_runs(runs: Runs, members: NDArray[np.bool_], connectivity: int) -> tuple[int, Ints]:
    """Return how many components the runs in ``members`` make and each run's: 1, 2, ... in raster order, 0 for the others.

    Only runs of equal value are joined.
    """
    which = np.flatnonzero(members)
    upper, lower = pairs_below(runs, which, connectivity)
    value = runs.value[which]
    same = value[upper] == value[lower]
    number, component = components(which.size, upper[same], lower[same])
    parts = np.zeros(runs.begin.size, np.int64)
    parts[which] = component + 1
    return number, parts
