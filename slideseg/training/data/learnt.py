"""Look at the objects of training images, so that a model can tell later whether what it finds is like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slideseg.model.learnt import Learnt, angle_between, density_of
from slideseg.space.box import Box
from slideseg.training.recipe.data import IGNORED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from slideseg.training.data.items import Item, Window

SIDE = 512
"""Of a window, in pixels."""
MOST_WINDOWS = 128
"""Windows that are looked at, spread evenly over all images."""
FEWEST = 5
"""Whole objects that a window must have to tell how large they are."""
LEAST_LIGHT = 0.4
"""Mean value, where white is 1, of a picture that light comes through."""


def learnt_of(items: Sequence[Item], classes: Collection[int], least: int = 0) -> Learnt | None:
    """Return what the objects of images are like; None where there are too few.

    Args:
        items: the images, with their labels.
        classes: ids of the classes that objects are of; empty for all above 0.
        least: pixels of the smallest object that a model of them keeps: smaller ones are none.

    Raises:
        SlideError: if pixels can't be decoded.
        DataError: if labels mean nothing.
    """
    seen = _Seen(classes, least)
    for item, box in _windows(items):
        seen.add(item.read(box))
    return seen.learnt()


def _windows(items: Sequence[Item]) -> Iterator[tuple[Item, Box]]:
    each = max(1, MOST_WINDOWS // max(1, len(items)))
    for item in _spread(items, MOST_WINDOWS):
        for box in _spread(list(Box.of_shape(item.shape).split(SIDE, SIDE)), each):
            yield item, box


def _spread(things: Sequence, most: int) -> list:  # type: ignore[type-arg] # of whatever they are
    """Return at most so many of all, from the first to the last.

    >>> _spread("abcdefghi", 3), _spread("ab", 3)
    (['a', 'd', 'g'], ['a', 'b'])
    """
    number = min(most, len(things))
    return [things[index * len(things) // number] for index in range(number)]


class _Seen:
    """What was seen in windows."""

    def __init__(self, classes: Collection[int], least: int) -> None:
        self._classes, self._least = list(classes), max(1, least)
        self._sizes: list[np.ndarray] = []
        self._covered: list[float] = []
        self._colors: list[np.ndarray] = []
        self._light = 0

    def add(self, window: Window) -> None:
        of_object = np.isin(window.classes, self._classes) if self._classes else window.classes > 0
        of_object &= window.classes != IGNORED
        known = np.count_nonzero(window.classes != IGNORED)
        if not known:
            return
        self._covered.append(np.count_nonzero(of_object) / known)
        sizes = np.bincount(np.where(of_object, window.instances, 0).ravel())
        cut = np.unique(np.concatenate([window.instances[[0, -1]].ravel(), window.instances[:, [0, -1]].ravel()]))
        sizes[0] = 0
        sizes[cut[cut < sizes.size]] = 0  # what reaches the window's side may go on behind it
        self._sizes.append(sizes[sizes >= self._least])
        if window.image.shape[-1] == 3 and of_object.any():
            self._light += window.image.mean() >= LEAST_LIGHT
            self._colors.append(density_of(window.image[of_object].mean(axis=0)))

    def learnt(self) -> Learnt | None:
        medians = [float(np.median(sizes)) for sizes in self._sizes if sizes.size >= FEWEST]
        if not medians:
            return None
        every = np.concatenate(self._sizes)
        low, middle, high = (float(one) for one in np.quantile(medians, [0.025, 0.5, 0.975]))
        color, off = self._color()
        return Learnt(
            objects=int(every.size),
            size=(round(low, 1), round(middle, 1), round(high, 1)),
            largest=round(float(np.quantile(every, 0.995)), 1),
            covered=round(float(np.quantile(self._covered, 0.975)), 4),
            color=color,
            color_off=off,
        )

    def _color(self) -> tuple[tuple[float, float, float] | None, float | None]:
        """Return the mean colour of objects, and by how much that of a window's is off, where most are on white."""
        if not self._colors or self._light < len(self._colors) / 2:
            return None, None
        mean = np.mean(self._colors, axis=0)
        mean = mean / np.linalg.norm(mean)
        off = float(np.quantile([angle_between(mean, one) for one in self._colors], 0.975))
        red, green, blue = (round(float(one), 4) for one in mean)
        return (red, green, blue), round(off, 1)
