"""Whether what was found is like what the model learnt from; if not, it is told in words, and never used.

A slide that a model can't do looks as good in numbers as any other. What gives it away is what a model's file tells of the
objects of its training images (`slideseg.model.learnt`): how large they were, how much they covered, which colour they had.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from slideseg.model.learnt import angle_between, density_of
from slideseg.result.table import mean_color, read_sizes
from slideseg.storage.store import open_store
from slideseg.words import amount, many, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.model.learnt import Learnt
    from slideseg.result.found.sizes import Sizes
    from slideseg.result.record import ObjectsRecord
    from slideseg.result.result import Result
    from slideseg.storage.store import Store

FEWEST_OBJECTS = 30
"""Fewer objects than these say nothing of how large objects are."""
UNLIKE = 1.4
"""Objects so many times as far across as usual, or by so much less, are hardly of the usual kind or resolution."""
SMALLER = 1.25
"""The same of smaller ones where nobody knows the resolution: the smallest are left out, so the rest look larger."""
LEAST_AREA = 4_000_000
"""Pixels of tissue, at the resolution of the class map, on which hardly anything is odd."""
LEAST_WITH_NOTHING = 1_000_000
"""The same of nothing at all."""
HARDLY = 0.002
"""The share of tissue that objects cover at least where there are any to speak of."""
MORE = 1.5
"""So many times what was seen in training is more than chance."""
IN_BLOBS = 0.1
"""The share of the objects' area that is odd in blobs."""
BLOB = 2.0
"""A blob is so many times as large as the largest object that was learnt from."""
COLOR_MORE, COLOR_PLUS = 1.5, 5.0
"""What was seen in training times this, and degrees more, is another colour."""


def doubts_of(result: Result) -> tuple[str, ...]:
    """Return what of a result's objects is unlike those that its model learnt from, a sentence each; none without objects.

    Memory: that of `read_sizes`.

    Raises:
        ResultError: if the objects, or their table, are damaged.
    """
    found, model = result.objects_record, result.record.model
    learnt = None if model.learnt is None else model.learnt.at(result.mpp, model.mpp)
    if found is None or learnt is None:
        return ()
    store = open_store(result.url, read_only=True)
    return tuple(_Doubts(result, found, learnt, read_sizes(store)).tell(store))


class _Doubts:
    def __init__(self, result: Result, found: ObjectsRecord, learnt: Learnt, sizes: Sizes) -> None:
        self._result, self._learnt, self._sizes = result, learnt, sizes
        self._classes = found.rules.classes
        self._all = sizes.of(self._classes)
        self._model = result.record.model

    def tell(self, store: Store) -> Iterator[str]:
        if not self._all.count:
            yield from self._nothing()
            return
        yield from self._covered()
        if self._all.count >= FEWEST_OBJECTS:
            yield from self._size()
            yield from self._blobs()
            yield from self._color(store)

    def _nothing(self) -> Iterator[str]:
        if self._result.tissue_pixels >= LEAST_WITH_NOTHING:
            yield f"nothing at all was found on {self._tissue()}: {self._is_it_right()}"

    def _covered(self) -> Iterator[str]:
        share, most = self._all.pixels / max(1, self._result.tissue_pixels), self._learnt.covered
        if share > min(0.95, MORE * most) and self._all.count >= FEWEST_OBJECTS:
            of_those = f"at most {_percent(most)} of what the model learnt from"
            covered = f"objects cover {_percent(min(1.0, share))} of {self._tissue()}"
            yield f"{covered}, {of_those}: much may be taken for them that is none"
        if share < HARDLY and self._result.tissue_pixels >= LEAST_AREA:
            objects = many(self._all.count, "object")
            yield f"hardly anything was found, {objects} on {self._tissue()}: {self._is_it_right()}"

    def _size(self) -> Iterator[str]:
        """Tell of objects of another size than was seen in training; where nobody knows a pixel's, what would explain it."""
        low, middle, high = (_across(size) for size in self._learnt.size)
        across, mpp = _across(self._all.median or 0.0), self._model.mpp
        known = self._result.record.slide.mpp_yx is not None
        least, most = (low / UNLIKE, high * UNLIKE) if known else (middle / SMALLER, middle * UNLIKE)
        if least < across < most:
            return
        if known or mpp is None:
            seen = f"{self._length(low)} to {self._length(high)} where the model learnt"
            why = f"{self._pixel()} may be wrong, or they are of another kind"
            yield f"the object in the middle is {self._length(across)} across, {seen}: {why}"
            return
        guess = mpp * middle / across
        may_be = f"pixels may be of {guess:.2g} \u00b5m or {'more' if guess > mpp else 'less'}, not of {number(mpp)}"
        sizes = f"objects are {across:.0f} pixels across, those that model {self._model.name} knows {middle:.0f}"
        yield f"{sizes}: {may_be}; if so, try --mpp-of-slide {guess:.2g}"

    def _blobs(self) -> Iterator[str]:
        size = BLOB * self._learnt.largest
        count, pixels = self._sizes.above(self._classes, size)
        if pixels < IN_BLOBS * self._all.pixels:
            return
        blobs = f"{_percent(pixels / self._all.pixels)} of the objects' area is in {many(count, 'blob')}"
        larger = f"more than {self._length(_across(size))} across, as none was that the model learnt from"
        yield f"{blobs}, {larger}: folds, ink and what is out of focus may be taken for objects, or {self._pixel()} is wrong"

    def _color(self, store: Store) -> Iterator[str]:
        wanted, off = self._learnt.color, self._learnt.color_off
        color = None if wanted is None else mean_color(store)
        if wanted is None or off is None or color is None:
            return
        angle = angle_between(density_of(np.array(color) / 255), np.array(wanted))
        if angle > COLOR_MORE * off + COLOR_PLUS:
            usual = f"{angle:.0f} degrees apart, where up to {off:.0f} are usual"
            yield f"the objects have another colour than those that the model learnt from, {usual}: is it another stain?"

    def _is_it_right(self) -> str:
        made = "" if self._model.made_for is None else f", which is made for {self._model.made_for}"
        return f"does the slide suit the model{made}, and is {self._pixel()} right?"

    def _length(self, pixels: float) -> str:
        mpp = self._result.mpp
        return f"{pixels:.0f} pixels" if mpp is None else f"{pixels * mpp:.2g} \u00b5m"

    def _tissue(self) -> str:
        area, pixels = self._result.tissue_mm2, self._result.tissue_pixels
        of = "tissue" if self._result.tissue_known else "image"
        return f"{amount(pixels / 1e6)} Mpx of {of}" if area is None else f"{number(area)} mm\u00b2 of {of}"

    def _pixel(self) -> str:
        mpp = self._result.record.slide.mpp
        return "the size of a pixel, which nobody says," if mpp is None else f"the size of a pixel, {number(mpp)} \u00b5m,"


def _across(pixels: float) -> float:
    """Return the diameter of a disc of so many pixels."""
    return 2 * math.sqrt(pixels / math.pi)


def _percent(share: float) -> str:
    return f"{number(100 * share)} %" if share < 0.01 else f"{100 * share:.0f} %"
