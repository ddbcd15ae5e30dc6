"""A small picture of a result: its image with the outlines of what was found, in the colours of the classes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from slideseg.arrays.boxes import levels_of
from slideseg.colors import IDS, color_table
from slideseg.result.layout import SEGMENTATION
from slideseg.result.overlay import Overlay
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.result.result import Result

QUALITY = 82
LEAST_SIDE = 160
"""Of the picture of a class map that is smaller."""


def thumbnail(result: Result, side: int) -> bytes:
    """Return a JPEG of at most ``side`` pixels a side, of the plane in the middle of a stack.

    Objects are outlined where there are any, else the regions of classes. What is smaller than a pixel shows as a tint.
    Memory: those levels of the pyramids that are less than twice as fine.

    Raises:
        ResultError: if the result is damaged there.
    """
    shape = levels_of(result.url, SEGMENTATION)[0].shape_yx
    picture = Image.fromarray(Outlined(result, min(side, max(LEAST_SIDE, *shape))).picture())
    file = io.BytesIO()
    picture.save(file, "jpeg", quality=QUALITY, subsampling=0)  # thin lines keep their colours
    return file.getvalue()


class Outlined(Overlay):
    """A picture of a result that shows outlines; those of objects in the colour of the class that most of their pixels have."""

    def __init__(self, result: Result, size: int) -> None:
        """Show ``result`` at ``size`` pixels along its longer side.

        Raises:
            ResultError: if it is damaged there.
        """
        record, class_map = result.objects_record, levels_of(result.url, SEGMENTATION)
        form = result.level_0_scale if result.mpp_yx is None else result.mpp_yx
        plane = class_map[0].plan.grid.planes // 2
        super().__init__(result, size, opacity=1.0, plane=plane, of_objects=record is not None, pixel_yx=form)
        self._ids, self._of_ids = np.arange(IDS), color_table(result.classes)
        if record is not None:
            labels = self._labels.level_for(self.shape_yx)[0]
            whole, number = Box.of_shape(labels.shape_yx), self._labels.levels.index(labels)
            self._ids, chosen = _classes_of(
                labels.read(whole, plane), class_map[number].read(whole, plane), record.rules.classes
            )
            self._of_ids = self._of_ids[chosen]

    def _tinted(self, labels: np.ndarray) -> np.ndarray:
        """Return colours times opacity, and the opacity, (y, x, 4) float32: those of the outlines alone."""
        alpha = _outlines(labels)[..., None].astype(np.float32)
        colors = self._of_ids[np.searchsorted(self._ids, labels).clip(max=len(self._ids) - 1)]
        return np.concatenate([colors * alpha, alpha], axis=-1).astype(np.float32)


def _classes_of(ids: np.ndarray, class_map: np.ndarray, classes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids that there are, in order, and the class of each: of ``classes`` the one that most of its pixels have."""
    known, place = np.unique(ids, return_inverse=True)
    most, chosen = np.zeros(len(known), np.int64), np.full(len(known), classes[0])
    for one in classes:
        counted = np.bincount(place.ravel()[class_map.ravel() == one], minlength=len(known))
        chosen[counted > most] = one
        most = np.maximum(most, counted)
    return known, chosen


def _outlines(labels: np.ndarray) -> np.ndarray:
    """Return which pixels of something touch something else by a side, and those beside these."""
    inside = labels > 0
    edge = _at_sides(labels, np.not_equal) & inside
    shown: np.ndarray = (edge | _at_sides(edge, np.logical_or)) & inside
    return shown


def _at_sides(pixels: np.ndarray, is_so: np.ufunc) -> np.ndarray:
    """Return for which pixels something is so of them and a neighbour by a side."""
    found = np.zeros(pixels.shape, bool)
    for axis in (0, 1):
        before, after = (tuple(part if one == axis else slice(None) for one in (0, 1)) for part in (slice(-1), slice(1, None)))
        here = is_so(pixels[before], pixels[after])
        found[before] |= here
        found[after] |= here
    return found
