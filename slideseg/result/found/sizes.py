"""How large the objects of a result are: sums and medians of its table, exactly, in one look at two of its columns.

What is kept is how many objects have so many pixels. Objects share no pixel, so those of an image of N pixels have at most
the square root of 2 N different sizes: a hundred million objects are known by some thousand numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

CLASSES = 256
"""Ids of classes."""


class Sizes:
    """How many objects of each class have so many pixels, and how sure the network was of them."""

    def __init__(self) -> None:
        self._sizes = np.zeros(0, np.int64)
        self._classes = np.zeros(0, np.int64)
        self._numbers = np.zeros(0, np.int64)
        self._probabilities = np.zeros(CLASSES)
        self.is_sure = True
        """Whether the probability of every object is known."""

    def add(self, classes: np.ndarray, pixels: np.ndarray, probabilities: np.ndarray | None) -> None:
        """Count objects of these classes and sizes; their probabilities where they are known."""
        entries = np.concatenate([self._classes, classes]), np.concatenate([self._sizes, pixels])
        numbers = np.concatenate([self._numbers, np.ones(len(pixels), np.int64)])
        order = np.lexsort(entries[::-1])
        by_class, by_size = (entry[order] for entry in entries)
        first = np.ones(len(order), bool)
        first[1:] = (by_class[1:] != by_class[:-1]) | (by_size[1:] != by_size[:-1])
        starts = np.flatnonzero(first)
        self._classes, self._sizes = by_class[starts], by_size[starts]
        self._numbers = np.add.reduceat(numbers[order], starts) if len(starts) else numbers
        if probabilities is None:
            self.is_sure = self.is_sure and not len(pixels)
        else:
            self._probabilities += np.bincount(classes, probabilities, CLASSES)

    @property
    def counts(self) -> np.ndarray:
        """Objects of every class, by its id."""
        counts = np.zeros(CLASSES, np.int64)
        np.add.at(counts, self._classes, self._numbers)
        return counts

    @property
    def pixels(self) -> np.ndarray:
        """Pixels of the objects of every class, by its id."""
        pixels = np.zeros(CLASSES, np.int64)
        np.add.at(pixels, self._classes, self._numbers * self._sizes)
        return pixels

    def above(self, classes: Collection[int], pixels: float) -> tuple[int, int]:
        """Return how many objects of some classes have more than so many pixels, and how many pixels they have together."""
        large = np.isin(self._classes, list(classes)) & (self._sizes > pixels)
        return int(self._numbers[large].sum()), int((self._numbers * self._sizes)[large].sum())

    def of(self, classes: Collection[int]) -> Summed:
        """Return what all objects of some classes are together."""
        mine = np.isin(self._classes, list(classes))
        sizes, numbers = self._sizes[mine], self._numbers[mine]
        count = int(numbers.sum())
        likely = float(self._probabilities[list(classes)].sum() / count) if count and self.is_sure else None
        return Summed(count, int((sizes * numbers).sum()), _median(sizes, numbers), likely)


@dataclass(frozen=True, slots=True)
class Summed:
    """Some objects together."""

    count: int
    """How many."""
    pixels: int
    """Pixels of all of them."""
    median: float | None
    """Pixels of the one in the middle; None where there is none."""
    probability: float | None
    """Mean of their mean probabilities; None where those were not kept."""


def _median(sizes: np.ndarray, numbers: np.ndarray) -> float | None:
    """Return the median of sizes that occur so often."""
    count = int(numbers.sum())
    if not count:
        return None
    order = np.argsort(sizes)
    up_to = np.cumsum(numbers[order])
    low, high = (int(sizes[order][np.searchsorted(up_to, rank, side="right")]) for rank in ((count - 1) // 2, count // 2))
    return (low + high) / 2
