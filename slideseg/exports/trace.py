"""Trace the regions of a label image that is too large for memory, shard by shard, exactly as if it were traced at once.

A region is all pixels of one value that hang together by sides or corners; its parts hang together by sides and become
polygons. Regions inside a shard are finished at once. Of those that reach another shard the open outlines are kept until the
strip (row of shards) in which they end; then the lines between their own pixels are taken out again:

    | strip n    shard | shard | shard      what ends here is finished at the end of the strip
    | strip n+1  shard | shard | shard      what goes on is kept: outlines, and the last row of pixels

In memory are a shard, the open outlines and a row of pixels; so the largest region of all counts, not the number of regions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from slideseg.exports.outline import Rings, Segments, rings_of, segments_of, without_faces
from slideseg.space.grid import ShardGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from slideseg.exports.outline import Ints
    from slideseg.space.box import Box
    from slideseg.space.grid import Shard


@dataclass(frozen=True, slots=True)
class Regions:
    """Finished regions."""

    rings: Rings
    """Outlines of all parts, those of a region one after the other."""
    of_part: Ints
    """Region of each part, ascending."""
    value: np.ndarray
    """Value of each region, in the label image's type."""
    counts: Ints
    """Pixels of each second value in each region, (n, k); k is 0 without a second image."""


def trace(grid: ShardGrid, read: Callable[[Box], np.ndarray]) -> Iterator[Regions]:
    """Yield the regions of a plane that is cut like ``grid``. ``read`` returns a box's labels (y, x); 0 is no region."""
    return trace_with(grid, lambda box: (read(box), None), 0)


def trace_with(grid: ShardGrid, read: Callable[[Box], tuple[np.ndarray, np.ndarray | None]], most: int) -> Iterator[Regions]:
    """Yield the regions of a plane, and how often each value below ``most`` of a second image is in each.

    ``read`` returns both images of a shard's box.
    """
    tracer = _Tracer(ShardGrid(grid.shape_yx, 1, grid.side), most)
    rows, columns = grid.per_plane_yx
    for row in range(rows):
        for column in range(columns):
            shard = tracer.grid[row * columns + column]
            yield tracer.add(shard, *read(shard.write_box))
        yield tracer.end_strip(last=row + 1 == rows)


@dataclass(slots=True)
class _Line:
    """Pixels along a face: their values, and the open part (from 1) each belongs to."""

    value: np.ndarray
    number: Ints

    def cut(self, start: int, stop: int) -> _Line:
        return _Line(self.value[start:stop], self.number[start:stop])


@dataclass(slots=True)
class _Open:
    """All parts that reach another shard, numbered from 1."""

    value: list[np.ndarray] = field(default_factory=list)
    counts: list[Ints] = field(default_factory=list)
    segments: list[Segments] = field(default_factory=list)
    by_side: list[Ints] = field(default_factory=list)
    """Pairs of parts that touch by a side, each (2, n)."""
    by_corner: list[Ints] = field(default_factory=list)
    number: int = 0

    def touch(self, line: _Line, other: _Line, pairs: list[Ints]) -> None:
        same = (line.value == other.value) & (line.value != 0)
        if same.any():
            pairs.append(np.unique(np.stack([line.number[same], other.number[same]]), axis=1))


class _Tracer:
    def __init__(self, grid: ShardGrid, most: int) -> None:
        self.grid = grid
        self._most = most
        self._open = _Open()
        self._above: _Line | None = None
        self._bottoms: list[_Line] = []
        self._right: _Line | None = None

    def add(self, shard: Shard, values: np.ndarray, second: np.ndarray | None) -> Regions:
        """Take a shard; return the regions that lie inside it."""
        parts = label(values, background=0, connectivity=1).astype(np.int32)  # type: ignore[no-untyped-call]
        number = int(parts.max(initial=0))
        of_part = _groups(number + 1, [_corner_pairs(values, parts)])
        value = np.zeros(number + 1, values.dtype)
        value[parts] = values
        counts = self._count(parts, second, number)
        goes_on = np.zeros(number + 1, np.bool_)
        goes_on[of_part[self._at_faces(shard.write_box, parts)]] = True
        is_open = goes_on[of_part]
        is_open[0] = False
        segments = segments_of(parts, (shard.write_box.y0, shard.write_box.x0))
        inside = ~is_open[segments.part]
        self._keep(shard.write_box, parts, values, self._take_open(segments.take(~inside), is_open, of_part, value, counts))
        return _regions(segments.take(inside), of_part, value, counts)

    def _count(self, parts: np.ndarray, second: np.ndarray | None, number: int) -> Ints:
        if second is None:
            return np.zeros((number + 1, 0), np.int64)
        joint = parts.astype(np.int64) * self._most + np.minimum(second, self._most - 1)
        return np.bincount(joint.reshape(-1), minlength=(number + 1) * self._most).reshape(number + 1, self._most)

    def _at_faces(self, box: Box, parts: np.ndarray) -> Ints:
        rows, columns = self.grid.shape_yx
        faces = (
            (box.y0 > 0, parts[0]),
            (box.y1 < rows, parts[-1]),
            (box.x0 > 0, parts[:, 0]),
            (box.x1 < columns, parts[:, -1]),
        )
        return np.unique(np.concatenate([np.zeros(1, np.int32), *(line for inner, line in faces if inner)]))

    def _take_open(self, segments: Segments, is_open: np.ndarray, of_part: Ints, value: np.ndarray, counts: Ints) -> Ints:
        """Number the parts that are open; return the number of each part, 0 where it is not."""
        which = np.flatnonzero(is_open)
        which = which[np.argsort(of_part[which], kind="stable")]
        number = np.zeros(is_open.size, np.int64)
        number[which] = self._open.number + 1 + np.arange(which.size)
        together = of_part[which[1:]] == of_part[which[:-1]]
        self._open.by_corner.append(np.stack([number[which[1:]], number[which[:-1]]])[:, together])
        self._open.value.append(value[which])
        self._open.counts.append(counts[which])
        self._open.segments.append(Segments(number[segments.part], segments.ends))
        self._open.number += which.size
        return number

    def _keep(self, box: Box, parts: np.ndarray, values: np.ndarray, number: Ints) -> None:
        """Pair the open parts with those of the shards before, and keep the lines that shards to come will touch."""
        top, bottom = (_Line(values[y].copy(), number[parts[y]]) for y in (0, -1))
        left, right = (_Line(values[:, x].copy(), number[parts[:, x]]) for x in (0, -1))
        if box.x0 > 0 and self._right is not None:
            self._touch(self._right, left)
        if self._above is not None:
            width = self.grid.shape_yx[1]
            self._open.touch(self._above.cut(box.x0, box.x1), top, self._open.by_side)
            before, behind = max(0, box.x0 - 1), min(width, box.x1 + 1)
            self._open.touch(self._above.cut(before, box.x1 - 1), top.cut(before - box.x0 + 1, box.x1), self._open.by_corner)
            self._open.touch(self._above.cut(box.x0 + 1, behind), top.cut(0, behind - box.x0 - 1), self._open.by_corner)
        self._right = right
        self._bottoms.append(bottom)

    def _touch(self, line: _Line, other: _Line) -> None:
        size = line.value.size
        self._open.touch(line, other, self._open.by_side)
        self._open.touch(line.cut(0, size - 1), other.cut(1, size), self._open.by_corner)
        self._open.touch(line.cut(1, size), other.cut(0, size - 1), self._open.by_corner)

    def end_strip(self, *, last: bool) -> Regions:
        """End a strip; return the regions that don't go on below it."""
        below = _Line(*(np.concatenate([getattr(line, name) for line in self._bottoms]) for name in ("value", "number")))
        self._bottoms = []
        state, self._open = self._open, _Open()
        nodes = state.number + 1
        part = _groups(nodes, state.by_side)
        region = _groups(nodes, [*state.by_side, *state.by_corner])
        of_part = np.zeros(part.max() + 1, np.int64)
        of_part[part] = region
        value, counts = _merged(part, state.value, state.counts)
        goes_on = np.zeros(region.max() + 1, np.bool_)
        if not last:
            goes_on[region[below.number]] = True
        goes_on[region[0]] = False
        segments = Segments.joined(state.segments)
        segments = Segments(part[segments.part], segments.ends)
        kept = goes_on[of_part]
        number = self._take_open(segments.take(kept[segments.part]), kept, of_part, value, counts)
        self._above = _Line(below.value, number[part[below.number]])
        done = without_faces(segments.take(~kept[segments.part]), self.grid.side)
        return _regions(done, of_part, value, counts)


def _merged(part: Ints, values: Sequence[np.ndarray], counts: Sequence[Ints]) -> tuple[np.ndarray, Ints]:
    """Return the value and the counts of parts that were found in pieces; number 0 is no piece."""
    piece_value, piece_counts = np.concatenate(values), np.concatenate(counts)
    value = np.zeros(part.max() + 1, piece_value.dtype)
    value[part[1:]] = piece_value
    total = np.zeros((value.size, piece_counts.shape[1]), np.int64)
    np.add.at(total, part[1:], piece_counts)
    return value, total


def _corner_pairs(values: np.ndarray, parts: np.ndarray) -> Ints:
    """Return the pairs of different parts of one value that touch at a corner, (2, n)."""
    found = []
    for here, there in (
        ((slice(1, None), slice(1, None)), (slice(-1), slice(-1))),
        ((slice(1, None), slice(-1)), (slice(-1), slice(1, None))),
    ):
        meet = (values[here] == values[there]) & (parts[here] != parts[there])
        found.append(np.stack([parts[here][meet], parts[there][meet]]))
    return np.unique(np.concatenate(found, axis=1), axis=1).astype(np.int64)


def _groups(size: int, pairs: Sequence[Ints]) -> Ints:
    """Return for each of ``size`` things the number of its group."""
    first, second = np.concatenate([np.zeros((2, 1), np.int64), *pairs], axis=1)
    graph = coo_array((np.ones(first.size, np.int8), (first, second)), shape=(size, size))
    groups: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return groups


def _regions(segments: Segments, of_part: Ints, value: np.ndarray, counts: Ints) -> Regions:
    """Make regions of the parts that have segments."""
    there = np.unique(segments.part)
    there = there[np.argsort(of_part[there], kind="stable")]
    number = np.zeros(of_part.size, np.int64)
    number[there] = np.arange(there.size)
    ids, first, region = np.unique(of_part[there], return_index=True, return_inverse=True)
    total = np.zeros((ids.size, counts.shape[1]), np.int64)
    np.add.at(total, region, counts[there])
    rings = rings_of(Segments(number[segments.part], segments.ends))
    return Regions(rings, region, value[there[first]], total)
