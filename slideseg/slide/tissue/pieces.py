"""Cut the blocks that hold tissue into rectangles, so that the network sees little besides them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

Cut = tuple[Box, ...]
"""Rectangles in place of one."""


def pieces_of(busy: np.ndarray, margin: float) -> list[Box]:
    """Return rectangles, in blocks, that hold each true block of ``busy`` (rows, columns) exactly once.

    A rectangle costs as much as one that is larger by ``margin`` along each side, in blocks. It is cut in two where that saves
    most, and the parts again, until nothing is saved; each is as small as its true blocks allow.
    """
    whole = _tight(busy, Box.of_shape((len(busy), busy.shape[1])))
    return [] if whole is None else list(_cut(busy, whole, margin))


def _cut(busy: np.ndarray, box: Box, margin: float) -> Iterator[Box]:
    best = () if busy[box.slices].all() else min(_cuts(busy, box), key=lambda cut: _cost(cut, margin), default=())
    if not best or _cost(best, margin) >= _cost((box,), margin):
        yield box
        return
    for part in best:
        yield from _cut(busy, part, margin)


def _cuts(busy: np.ndarray, box: Box) -> Iterator[Cut]:
    """Yield what is left of a rectangle when it is cut in two, between any two rows or columns."""
    rows = [(Box(box.y0, box.x0, y, box.x1), Box(y, box.x0, box.y1, box.x1)) for y in range(box.y0 + 1, box.y1)]
    columns = [(Box(box.y0, box.x0, box.y1, x), Box(box.y0, x, box.y1, box.x1)) for x in range(box.x0 + 1, box.x1)]
    for parts in (*rows, *columns):
        yield tuple(tight for part in parts if (tight := _tight(busy, part)) is not None)


def _tight(busy: np.ndarray, box: Box) -> Box | None:
    """Return the smallest rectangle around the true blocks in a box; None if there are none."""
    inside = busy[box.slices]
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return None
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1).shift(box.y0, box.x0)


def _cost(cut: Cut, margin: float) -> float:
    return sum((box.shape[0] + margin) * (box.shape[1] + margin) for box in cut)
