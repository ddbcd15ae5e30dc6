"""How many pixels every predicted object shares with every true one: the one table that pairwise metrics are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

ROWS_AT_ONCE = 1 << 20
"""Rows that wait to be added, at least."""


@dataclass(frozen=True, slots=True)
class OverlapTable:
    """Pixels of every pair of ids that occurs, 0 (no object) included; tables of parts of an image add up to its table."""

    predicted: npt.NDArray[np.int64]
    """Predicted id of each row."""
    truth: npt.NDArray[np.int64]
    """True id of each row; no pair of ids occurs twice."""
    pixels: npt.NDArray[np.int64]
    """Number of pixels with both ids."""

    @classmethod
    def of(cls, predicted: npt.NDArray[np.integer], truth: npt.NDArray[np.integer]) -> OverlapTable:
        """Count the pairs of two label images of one shape; ids may have any size and gaps.

        Raises:
            ValueError: if the shapes differ.
        """
        if predicted.shape != truth.shape:
            msg = f"label images of shapes {predicted.shape} and {truth.shape}"
            raise ValueError(msg)
        p, t = predicted.ravel().astype(np.int64), truth.ravel().astype(np.int64)
        # neighbours mostly belong to one pair, so runs of equal pairs are sorted instead of pixels
        starts = np.flatnonzero(np.r_[True, (p[1:] != p[:-1]) | (t[1:] != t[:-1])][: p.size])
        return _summed(p[starts], t[starts], np.diff(np.r_[starts, p.size]))

    @classmethod
    def empty(cls) -> OverlapTable:
        """Return the table of no pixels, the zero of the addition."""
        none = np.zeros(0, np.int64)
        return cls(none, none, none)

    def __add__(self, other: OverlapTable) -> OverlapTable:
        """Return the table of both parts; ids mean the same objects in both."""
        return _joined([self, other])


def add_up(tables: Iterable[OverlapTable]) -> OverlapTable:
    """Add tables of the parts of an image; rows are sorted seldom, so that many parts cost no more than few."""
    total, waiting, rows = OverlapTable.empty(), list[OverlapTable](), 0
    for table in tables:
        waiting.append(table)
        rows += table.pixels.size
        if rows > max(ROWS_AT_ONCE, total.pixels.size):
            total, waiting, rows = _joined([total, *waiting]), [], 0
    return _joined([total, *waiting])


def _joined(tables: Sequence[OverlapTable]) -> OverlapTable:
    names = ("predicted", "truth", "pixels")
    return _summed(*(np.concatenate([getattr(table, name) for table in tables]) for name in names))


def _summed(predicted: np.ndarray, truth: np.ndarray, pixels: np.ndarray) -> OverlapTable:
    """Add the rows of equal pairs."""
    if not pixels.size:
        return OverlapTable.empty()
    order = np.lexsort((truth, predicted))
    predicted, truth, pixels = predicted[order], truth[order], pixels[order]
    starts = np.flatnonzero(np.r_[True, (predicted[1:] != predicted[:-1]) | (truth[1:] != truth[:-1])])
    return OverlapTable(predicted[starts], truth[starts], np.add.reduceat(pixels, starts))


def totals(ids: npt.NDArray[np.int64], pixels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return every id once, in order, and the sum of its rows' pixels."""
    unique, place = np.unique(ids, return_inverse=True)
    sums = np.zeros(unique.size, np.int64)
    np.add.at(sums, place, pixels)
    return unique, sums
