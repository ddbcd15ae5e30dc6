"""Compare objects that were found shard by shard with those of a window of the image, in one look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slideseg.instances.labelling.paint import label_image
from slideseg.instances.labelling.reach import halo_of
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.model.objects import ObjectRules


def compare_window(class_map: np.ndarray, labels: np.ndarray, rules: ObjectRules, window: Box, image: Box) -> tuple[int, int]:
    """Return how many whole objects a window has, and how many of them, found or stored, have no equal on the other side.

    An object is whole where it stays clear of the window's edge, unless that is the image's, by so much that nothing behind
    the edge has a say in it. Ids don't matter.

    Args:
        class_map: class ids (y, x) of the window.
        labels: the objects (y, x) that are stored for it.
        rules: what an object is.
        window: where it lies.
        image: the whole image.
    """
    clear = _clear(window, image, 2 * halo_of(rules) + 1)
    stored, found = _whole(labels, clear), _whole(label_image(class_map, rules), clear)
    both = np.unique(np.stack([stored[(stored > 0) | (found > 0)], found[(stored > 0) | (found > 0)]]), axis=1)
    alone = [np.unique(side, return_counts=True) for side in both]
    mixed = [set(values[(counts > 1) | (values == 0)].tolist()) for values, counts in alone]
    equal = sum(s not in mixed[0] and f not in mixed[1] for s, f in both.T.tolist())
    numbers = [int((values > 0).sum()) for values, _ in alone]
    return numbers[1], sum(numbers) - 2 * equal


def _clear(window: Box, image: Box, margin: int) -> Box:
    """Return the part of a window that is ``margin`` pixels away from its edges inside the image."""
    height, width = window.shape
    y0, x0 = margin if window.y0 > image.y0 else 0, margin if window.x0 > image.x0 else 0
    y1, x1 = height - (margin if window.y1 < image.y1 else 0), width - (margin if window.x1 < image.x1 else 0)
    return Box(y0, x0, max(y0, y1), max(x0, x1))


def _whole(labels: np.ndarray, clear: Box) -> np.ndarray:
    """Return the labels without those that leave ``clear``."""
    outside = labels.astype(np.int64)
    outside[clear.slices] = 0
    leaving = np.unique(outside)
    whole: np.ndarray = np.where(np.isin(labels, leaving), 0, labels.astype(np.int64))
    return whole
