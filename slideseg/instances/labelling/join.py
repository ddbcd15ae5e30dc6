"""Join the parts of all shards to objects and number these in raster order of their first pixels.

Strips (rows of shards, left to right) are seen twice: to join what touches across seams, then to number row by row. In memory
are the parts at the sides of shards, and the shards of one strip and the line above it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from slideseg.instances.labelling.growth import NONE
from slideseg.instances.labelling.parts import OPEN
from slideseg.instances.labelling.reach import DUAL
from slideseg.instances.labelling.runs import Ints, components

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from slideseg.instances.labelling.parts import Line, ShardParts
    from slideseg.instances.labelling.reach import Place
    from slideseg.model.objects import ObjectRules

Strip = list[tuple["Place", "ShardParts"]]
"""A row of shards, left to right."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a shard must know to number its objects."""

    base: Ints
    """For each row, the number of objects that start before the first one that starts in this row of the shard."""
    ids: Ints
    """Final id of each part at a side; 0 where the object is removed."""
    starts: NDArray[np.bool_]
    """Which of those parts hold the first pixel of an object that stays."""
    holes: Ints
    """Id that fills each hole's part at a side; 0 where it stays."""

    def to_bytes(self) -> bytes:
        """Return the assignment as bytes."""
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **{field.name: getattr(self, field.name) for field in fields(self)})
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Assignment:
        """Read back what `to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return cls(**{field.name: file[field.name] for field in fields(cls)})


@dataclass(slots=True)
class _Pairs:
    """Pairs of numbers, gathered piece by piece."""

    a: list[Ints] = field(default_factory=list)
    b: list[Ints] = field(default_factory=list)

    def add(self, a: Ints, b: Ints) -> None:
        """Add pairs, each once."""
        if a.size:
            pairs = np.unique(np.stack([a, b]), axis=1)
            self.a.append(pairs[0])
            self.b.append(pairs[1])

    @property
    def arrays(self) -> tuple[Ints, Ints]:
        """Return all pairs."""
        return _concatenated(self.a), _concatenated(self.b)


@dataclass(frozen=True, slots=True)
class _SeamLine:
    """Pixels along a seam, of one shard or of several beside each other."""

    part: Ints
    """Part in all of the image: objects from 1, holes from -1; 0 is none."""
    key: Ints
    """What makes pixels of one object, as in `Line`."""
    pixel: Ints
    """Number of the pixel in all of the image."""

    def cut(self, start: int, stop: int | None) -> _SeamLine:
        """Return a stretch of the line."""
        return _SeamLine(self.part[start:stop], self.key[start:stop], self.pixel[start:stop])


class Join:
    """Gathers the parts of all shards, strip by strip."""

    def __init__(self, rules: ObjectRules) -> None:
        self._rules = rules
        self._first: list[Ints] = []
        self._area: list[Ints] = []
        self._parts_of_shards: list[int] = []
        self._hole_area: list[Ints] = []
        self._open: list[Ints] = []
        self._pockets: list[tuple[Ints, Ints, Ints]] = []
        self._parts = self._holes = 0
        self._same, self._same_hole, self._touching = _Pairs(), _Pairs(), _Pairs()
        self._above: list[_SeamLine] = []

    def add(self, strip: Strip) -> None:
        """Add the next strip, from above to below, plane by plane."""
        tops, bottoms, right = [], [], None
        for place, parts in strip:
            lines = self._lines_of(place, parts)
            if right is not None:
                self._seam(right, lines["left"])
            right = lines["right"]
            tops.append(lines["top"])
            bottoms.append(lines["bottom"])
            self._take(parts)
        if strip[0][0].box.y0 > 0:
            self._seam(_chained(self._above), _chained(tops))
        self._above = bottoms

    def _take(self, parts: ShardParts) -> None:
        hole, part = parts.touching[::2], parts.touching[1::2]
        self._touching.add(hole + self._holes, part + self._parts)
        if parts.pocket_area.size:
            self._pockets.append((parts.pocket_area, parts.pocket_touching[::2], parts.pocket_touching[1::2] + self._parts))
        self._open.append(np.full(min(parts.hole_area.size, 1), self._holes + OPEN))
        self._first.append(parts.first)
        self._parts_of_shards.append(parts.first.size)
        self._area.append(parts.area)
        self._hole_area.append(parts.hole_area)
        self._parts += parts.first.size
        self._holes += parts.hole_area.size

    def _lines_of(self, place: Place, parts: ShardParts) -> dict[str, _SeamLine]:
        columns = place.shape_yx[1]
        height, width = place.box.shape
        across, down = np.arange(width), np.arange(height) * columns
        pixels = {
            "top": place.first + across,
            "bottom": place.first + (height - 1) * columns + across,
            "left": place.first + down,
            "right": place.first + down + width - 1,
        }
        return {side: self._line_of(getattr(parts, side), pixel) for side, pixel in pixels.items()}

    def _line_of(self, line: Line, pixel: Ints) -> _SeamLine:
        part, key = line.pixels
        return _SeamLine(np.where(part > 0, part + self._parts, np.where(part < 0, part - self._holes, 0)), key, pixel)

    def _seam(self, a: _SeamLine, b: _SeamLine) -> None:
        """Join what touches across a seam, straight and, where corners count, aslant."""
        self._touch(a, b, aslant=False)
        self._touch(a.cut(0, -1), b.cut(1, None), aslant=True)
        self._touch(a.cut(1, None), b.cut(0, -1), aslant=True)

    def _touch(self, a: _SeamLine, b: _SeamLine, *, aslant: bool) -> None:
        if not aslant or self._rules.connectivity == 8:
            same = (a.key == b.key) | (a.key == b.pixel) | (a.pixel == b.key)
            same &= (a.part > 0) & (b.part > 0)
            self._same.add(a.part[same], b.part[same])
        if self._rules.fill_holes and (not aslant or DUAL[self._rules.connectivity] == 8):
            same = (a.part < 0) & (b.part < 0)
            self._same_hole.add(-a.part[same], -b.part[same])
            for hole, part in ((a.part, b.part), (b.part, a.part)):
                meet = (hole < 0) & (part > 0)
                self._touching.add(-hole[meet], part[meet])

    def finish(self) -> Joined:
        """Join everything."""
        first, area = _concatenated(self._first), _concatenated(self._area)
        number, of_part = components(first.size, *(pairs - 1 for pairs in self._same.arrays))
        total = np.bincount(of_part, area, number).astype(np.int64)
        filled_by = self._fill(of_part, total)
        object_first = np.full(number, NONE)
        np.minimum.at(object_first, of_part, first)
        kept = total >= self._rules.min_area
        across = np.sort(object_first[kept & self._in_several_shards(of_part, number)])
        return Joined(first, of_part, object_first, kept, filled_by, across)

    def _in_several_shards(self, of_part: Ints, number: int) -> NDArray[np.bool_]:
        shard = np.repeat(np.arange(len(self._parts_of_shards)), self._parts_of_shards)
        low, high = np.full(number, NONE), np.full(number, -1, np.int64)
        np.minimum.at(low, of_part, shard)
        np.maximum.at(high, of_part, shard)
        return low < high

    def _fill(self, of_part: Ints, total: Ints) -> Ints:
        """Return the object (from 0) that fills each hole's part, -1 where none does; add their pixels to ``total``."""
        area = _concatenated(self._hole_area)
        number, of_hole = components(area.size, *(pairs - 1 for pairs in self._same_hole.arrays))
        size = np.bincount(of_hole, area, number).astype(np.int64)
        is_open = size > self._rules.fill_holes
        is_open[of_hole[_concatenated(self._open) - 1]] = True
        hole, part = (pairs - 1 for pairs in self._touching.arrays)
        owner = np.where(is_open, -1, _only(of_hole[hole], of_part[part], number))
        np.add.at(total, owner[owner >= 0], size[owner >= 0])
        for pocket_area, pocket, pocket_part in self._pockets:
            pocket_owner = _only(pocket, of_part[pocket_part - 1], pocket_area.size)
            np.add.at(total, pocket_owner[pocket_owner >= 0], pocket_area[pocket_owner >= 0])
        return owner[of_hole]


@dataclass(slots=True)
class Joined:
    """All objects that reach a seam; those that don't are numbered by the rows they start in."""

    first: Ints
    """First pixel of each part at a side."""
    of_part: Ints
    """Object, from 0, of each."""
    object_first: Ints
    """First pixel of each object."""
    kept: NDArray[np.bool_]
    """Which objects stay."""
    filled_by: Ints
    """Object that fills each hole's part at a side; -1 where none does."""
    across: Ints
    """First pixels of the objects that lie in several shards, in order."""
    number: int = 0
    """How many objects have been numbered by `assign`."""

    def assign(self, strips: Iterable[Strip]) -> Iterator[Assignment]:
        """Yield each shard's assignment, for the same strips in the same order."""
        ids = np.zeros(self.kept.size, np.int64)
        part = hole = 0
        for strip in strips:
            slices = []
            for _, parts in strip:
                ends = part + parts.first.size, hole + parts.hole_area.size
                slices.append((slice(part, ends[0]), slice(hole, ends[1])))
                part, hole = ends
            yield from self._number(strip, slices, ids)

    def _number(self, strip: Strip, slices: Sequence[tuple[slice, slice]], ids: Ints) -> Iterator[Assignment]:
        starting = [self._starts(parts) for parts, _ in slices]
        rows = [self._rows(place, parts) for (place, _), (parts, _) in zip(strip, slices, strict=True)]
        height = strip[0][0].box.shape[0]
        counts = np.zeros((height, len(strip)), np.int64)
        for column, (_, parts) in enumerate(strip):
            counts[:, column] = parts.starts + np.bincount(rows[column][starting[column]], minlength=height)
        before = self.number + np.cumsum(counts).reshape(counts.shape) - counts
        self.number += int(counts.sum())
        for column, ((_, parts), (here, _)) in enumerate(zip(strip, slices, strict=True)):
            mine = np.flatnonzero(starting[column])
            mine = mine[np.argsort(self.first[here][mine])]
            rank = parts.before[mine] + _rank_in(rows[column][mine])
            ids[self.of_part[here][mine]] = before[rows[column][mine], column] + rank + 1
        for column, (here, holes) in enumerate(slices):
            filled = np.append(ids, 0)[self.filled_by[holes]]  # -1 is nobody
            yield Assignment(before[:, column], ids[self.of_part[here]], starting[column], filled)

    def _starts(self, parts: slice) -> NDArray[np.bool_]:
        objects = self.of_part[parts]
        starts: NDArray[np.bool_] = (self.object_first[objects] == self.first[parts]) & self.kept[objects]
        return starts

    def _rows(self, place: Place, parts: slice) -> Ints:
        columns = place.shape_yx[1]
        return self.first[parts] // columns - place.first // columns


def _chained(lines: Sequence[_SeamLine]) -> _SeamLine:
    return _SeamLine(
        np.concatenate([line.part for line in lines]),
        np.concatenate([line.key for line in lines]),
        np.concatenate([line.pixel for line in lines]),
    )


def _concatenated(pieces: Sequence[Ints]) -> Ints:
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


def _only(which: Ints, value: Ints, count: int) -> Ints:
    """Return the one value of each ``which`` below ``count``; -1 where there is none or several."""
    low, high = np.full(count, NONE), np.full(count, -1, np.int64)
    np.minimum.at(low, which, value)
    np.maximum.at(high, which, value)
    return np.where(low == high, high, -1)


def _rank_in(rows: Ints) -> Ints:
    """Return how many equal ones stand before each entry of sorted ``rows``."""
    return np.arange(rows.size) - np.searchsorted(rows, rows)


def join_strips(strips: Callable[[], Iterable[Strip]], rules: ObjectRules) -> Joined:
    """Join the parts of all strips."""
    join = Join(rules)
    for strip in strips():
        join.add(strip)
    return join.finish()
