"""The outlines of the parts of a label image, along the edges of its pixels. Numbers only.

A part is a set of pixels of one value that hang together by their sides. Its outline is made of directed straight segments
between corners of pixels (y, x), with the part to the left of (x, y) read as usual mathematics does. So the outer ring runs
counter-clockwise in (x, y), holes clockwise, as GeoJSON wants it:

    +x on the part's upper side, +y on its right side, -x on its lower side, -y on its left side

Where two pixels of a part meet at a corner only, the outline turns right: a ring touches itself nowhere, and the polygon of one
outer ring and its holes is valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

RIGHT, DOWN, LEFT, UP = range(4)
"""Directions of a segment: +x, +y, -x, -y. The next one is a left turn."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Directed straight pieces of outlines, in no order."""

    part: Ints
    """Part that each belongs to, (n)."""
    ends: NDArray[np.int32]
    """First y and x, last y and x, (n, 4)."""

    @property
    def direction(self) -> Ints:
        """Direction of each, (n)."""
        dy, dx = (self.ends[:, 2 + axis].astype(np.int64) - self.ends[:, axis] for axis in (0, 1))
        return np.where(dx > 0, RIGHT, np.where(dy > 0, DOWN, np.where(dx < 0, LEFT, UP)))

    def take(self, which: np.ndarray) -> Segments:
        """Return those at ``which``, an index or a mask."""
        return Segments(self.part[which], self.ends[which])

    @classmethod
    def joined(cls, several: Sequence[Segments]) -> Segments:
        """Return all of ``several`` as one."""
        if not several:
            return cls(np.empty(0, np.int64), np.empty((0, 4), np.int32))
        return cls(np.concatenate([s.part for s in several]), np.concatenate([s.ends for s in several]))


@dataclass(frozen=True, slots=True)
class Rings:
    """Closed outlines, those of a part one after the other, its outer ring first."""

    part: Ints
    """Part of each ring, ascending, (n)."""
    first: Ints
    """Index of each ring's first corner, and the number of all corners, (n + 1)."""
    corners: NDArray[np.int64]
    """All corners, (y, x); a ring's first one is not repeated at its end."""


def segments_of(parts: np.ndarray, origin_yx: tuple[int, int] = (0, 0)) -> Segments:
    """Return the outlines of an image of parts (y, x), 0 is none, whose first pixel lies at ``origin_yx``.

    Outside the image there is nothing: parts that touch its edge are closed along it.
    """
    found = [_sides(parts, RIGHT, LEFT), _sides(np.ascontiguousarray(parts.T), UP, DOWN)]
    found[1] = Segments(found[1].part, found[1].ends[:, [1, 0, 3, 2]])
    both = Segments.joined(found)
    return Segments(both.part, both.ends + np.array(origin_yx * 2, np.int32))


def _sides(parts: np.ndarray, before: int, behind: int) -> Segments:
    """Return the maximal runs of pixels' sides along the rows of ``parts``, on the pixels' first and last sides."""
    differs = np.ones((parts.shape[0] + 1, parts.shape[1]), np.bool_)
    np.not_equal(parts[1:], parts[:-1], out=differs[1:-1])
    there = parts != 0
    same = parts[:, 1:] == parts[:, :-1]
    upper = _runs(parts, there & differs[:-1], same, 0, before)
    lower = _runs(parts, there & differs[1:], same, 1, behind)
    return Segments.joined([upper, lower])


def _runs(parts: np.ndarray, side: NDArray[np.bool_], same: NDArray[np.bool_], down: int, direction: int) -> Segments:
    goes_on = side[:, 1:] & side[:, :-1] & same
    first, last = side.copy(), side
    first[:, 1:] &= ~goes_on
    last[:, :-1] &= ~goes_on
    start = np.flatnonzero(first)
    y, x0 = np.divmod(start, parts.shape[1])
    x1 = np.flatnonzero(last) - y * parts.shape[1] + 1
    if direction in (LEFT, UP):
        x0, x1 = x1, x0
    part = parts.reshape(-1)[start].astype(np.int64)
    return Segments(part, np.stack([y + down, x0, y + down, x1], axis=1).astype(np.int32))


def without_faces(segments: Segments, side: int) -> Segments:
    """Return the segments without what lies between two pixels of the same part, on lines that are multiples of ``side``.

    An image that was cut along such lines has those twice, once in each direction.
    """
    along = segments.direction % 2
    line = np.where(along == 0, segments.ends[:, 0], segments.ends[:, 1])
    on_face = line % side == 0
    units = _units(segments.take(on_face))
    key, direction = _vertex_keys(units.part, np.minimum(units.ends[:, :2], units.ends[:, 2:])), units.direction
    _, group, count = np.unique(2 * key + direction % 2, return_inverse=True, return_counts=True)
    return Segments.joined([segments.take(~on_face), units.take(count[group] == 1)])


def _units(segments: Segments) -> Segments:
    """Return the segments cut into pieces of one pixel's side."""
    steps = np.sign(segments.ends[:, 2:] - segments.ends[:, :2])
    lengths = np.abs(segments.ends[:, 2:] - segments.ends[:, :2]).max(axis=1, initial=0)
    of = np.repeat(np.arange(lengths.size), lengths)
    offset = np.arange(of.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    start = segments.ends[of, :2] + steps[of] * offset[:, None]
    return Segments(segments.part[of], np.concatenate([start, start + steps[of]], axis=1).astype(np.int32))


def _vertex_keys(part: Ints, corner: np.ndarray, like: np.ndarray | None = None) -> Ints:
    """Return a number for each part and corner (y, x), ordered by part, y and x; ``like`` are corners that set the scale."""
    scale = corner if like is None else like
    if not len(scale):
        return np.empty(0, np.int64)
    low, high = scale.min(axis=0).astype(np.int64), scale.max(axis=0).astype(np.int64)
    height, width = high - low + 1
    y, x = (corner[:, axis].astype(np.int64) - low[axis] for axis in (0, 1))
    keys: Ints = (part * height + y) * width + x
    return keys


def rings_of(segments: Segments) -> Rings:
    """Join segments to rings. Those of each part are closed outlines; parts are numbered from 0 or 1 without large gaps."""
    everything = segments.ends.reshape(-1, 2)
    starts = 4 * _vertex_keys(segments.part, segments.ends[:, :2], everything) + segments.direction
    order = np.argsort(starts)
    segments, starts = segments.take(order), starts[order]
    direction = segments.direction
    behind = 4 * _vertex_keys(segments.part, segments.ends[:, 2:], everything)
    right = np.minimum(np.searchsorted(starts, behind + (direction + 3) % 4), max(0, starts.size - 1))
    turns_right = starts[right] == behind + (direction + 3) % 4
    following = np.where(turns_right, right, np.searchsorted(starts, behind))
    ring, place = _cycles(following)
    walk = np.lexsort((place, ring))
    return _corners(segments.take(walk), direction[walk], ring[walk])


def _corners(walk: Segments, direction: Ints, ring: Ints) -> Rings:
    """Return rings from segments in the order of a walk along each; corners where it goes straight on are left out."""
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    before = np.arange(ring.size) - 1
    before[first] = np.append(first[1:], ring.size) - 1
    turns = direction != direction[before]
    kept = np.concatenate([[0], np.cumsum(turns)])
    return Rings(walk.part[first], np.append(kept[first], kept[-1]), walk.ends[turns, :2].astype(np.int64))


def _cycles(following: Ints) -> tuple[Ints, Ints]:
    """Return for each element of a permutation the number of its cycle, by least elements, and its place in it from there."""
    size = following.size
    if not size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    pairs = coo_array((np.ones(size, np.int8), (np.arange(size), following)), shape=(size, size))
    number, cycle = connected_components(pairs, directed=False)
    roots = np.empty(number, np.int64)
    roots[cycle[::-1]] = np.arange(size)[::-1]
    rank = np.empty(number, np.int64)
    rank[np.argsort(roots)] = np.arange(number)
    ahead, left = following.copy(), np.ones(size, np.int64)
    ahead[roots], left[roots] = roots, 0
    while True:
        further = ahead[ahead]
        left += left[ahead]
        if np.array_equal(further, ahead):
            break
        ahead = further
    length = np.bincount(cycle, minlength=number)
    return rank[cycle], (length[cycle] - left) % length[cycle]
