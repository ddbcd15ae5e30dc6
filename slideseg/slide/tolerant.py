"""Take what can't be decoded for a place where nothing was scanned: for readers that know no tiles of their own."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import SlideError, UnreachableError
from slideseg.slide.reader import Reader
from slideseg.slide.selection import facts_of
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.slide.base import Slide

_CELL = 256
"""Side of the cells of a fixed grid, each of which is there or is not: so it is the same for every box."""


class TolerantSlide(Reader):
    """A slide whose damaged places have its background, and count as not scanned."""

    def __init__(self, slide: Slide) -> None:
        """Read ``slide``; closing it closes that."""
        self._slide, self._last = slide, threading.local()
        background = slide.background or (_white(slide.dtype) if slide.is_rgb else 0,) * slide.shape[-1]
        super().__init__(replace(facts_of(slide), background=background), (slide.dtype.name,))

    def close(self) -> None:
        """Close the slide underneath."""
        self._slide.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        out = np.empty((*box.shape, self.shape[-1]), self.dtype)
        out[:] = self.background
        there, lost = np.zeros(box.shape, bool), []
        for cells, pixels in self._decoded(box, level, plane):
            if pixels is None:
                lost.append(cells)
                continue
            part = cells.intersect(box)
            to, of = part.relative_to(box).slices, part.relative_to(cells).slices
            out[to] = pixels[of]
            scanned = self._slide.scanned(part, level, plane)
            there[to] = True if scanned is None else scanned
        self._last.asked, self._last.there, self._last.lost = (box, level, plane), there, lost
        return out

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:
        self._look(box, level, plane)
        there: np.ndarray = self._last.there
        return None if there.all() else there.copy()

    def _damaged(self, box: Box, level: int, plane: int) -> tuple[Box, ...]:
        self._look(box, level, plane)
        y, x = self.levels[level].scale
        return tuple(Box(round(c.y0 * y), round(c.x0 * x), round(c.y1 * y), round(c.x1 * x)) for c in self._last.lost)

    def _look(self, box: Box, level: int, plane: int) -> None:
        """Read the box, unless it was the last one: what can't be decoded shows when it is tried."""
        if getattr(self._last, "asked", None) != (box, level, plane):
            self._read(box, level, plane)

    def _decoded(self, box: Box, level: int, plane: int) -> Iterator[tuple[Box, np.ndarray | None]]:
        """Yield the cells that ``box`` touches with their pixels: all at once, or if that fails one by one, some with none."""
        whole = Box.of_shape(self.levels[level].shape)
        cells = box.round_out(_CELL).intersect(whole)
        pixels = self._pixels(cells, level, plane)
        if pixels is not None:
            yield cells, pixels
            return
        for cell in cells.split(_CELL, _CELL):
            yield cell, self._pixels(cell, level, plane)

    def _pixels(self, box: Box, level: int, plane: int) -> np.ndarray | None:
        try:
            return self._slide.read(box, level, plane)
        except UnreachableError:
            raise  # which is no damage
        except SlideError:
            return None


def _white(dtype: np.dtype) -> int:
    return int(np.iinfo(dtype).max) if dtype.kind in "iu" else 1
