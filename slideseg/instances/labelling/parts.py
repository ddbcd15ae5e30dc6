"""The parts of objects and holes in one shard, and what other shards must know of them.

A part that reaches no side where another shard lies is a whole object: it is counted, and its number follows from the counts
of all rows. Of the others the sides are told, as lines of pixels, so that parts can be joined across them:

    line    part  0 1 1 1 0 0 2 2      which part a pixel belongs to: objects from 1, holes from -1, 0 is none
            key   - c c c - - s s      the class of a pixel inside; the seed of a pixel that the object grew to

Two pixels on both sides of a seam are of one object where both have the same key, or one is the other's seed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.instances.labelling.growth import NONE, seed_objects
from slideseg.instances.labelling.reach import DUAL, Place
from slideseg.instances.labelling.runs import Ints, Runs, join_runs, pairs_below, runs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slideseg.instances.labelling.growth import Seeded
    from slideseg.model.objects import ObjectRules
    from slideseg.space.box import Box

OPEN = 1
"""Number of the part of all background that is certainly no hole, among the holes' parts at a side."""


@dataclass(frozen=True, slots=True)
class Line:
    """The pixels along one side of a shard, as stretches of equal ones."""

    length: Ints
    """Pixels of each stretch."""
    part: Ints
    """Part at a side: objects from 1, holes from -1; 0 is none."""
    key: Ints
    """What makes pixels of one object: -class inside, the seed's number where the object grew."""

    @property
    def pixels(self) -> tuple[Ints, Ints]:
        """Return (part, key) of every pixel."""
        return np.repeat(self.part, self.length), np.repeat(self.key, self.length)


@dataclass(frozen=True, slots=True)
class ShardParts:
    """What other shards must know of one shard. Its size follows from the shard's sides, not from its area."""

    starts: NDArray[np.uint16]
    """How many whole objects have their first pixel in each row."""
    first: Ints
    """First pixel of each part at a side, by its number in all of the image."""
    area: Ints
    """Pixels of each part at a side, with the holes that are known to be its own."""
    before: Ints
    """How many whole objects start in the same row before it."""
    hole_area: Ints
    """Pixels of each hole's part at a side; the first is `OPEN`."""
    touching: Ints
    """Pairs (hole's part from 1, object's part from 1) that touch, one after the other."""
    pocket_area: Ints
    """Pixels of each hole that lies between several parts."""
    pocket_touching: Ints
    """Pairs (such a hole from 0, object's part from 1) that touch, one after the other."""
    top: Line
    bottom: Line
    left: Line
    right: Line

    def to_bytes(self) -> bytes:
        """Return the parts as bytes."""
        arrays: dict[str, np.ndarray] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Line):
                arrays |= {f"{field.name}.{part.name}": getattr(value, part.name) for part in fields(Line)}
            else:
                arrays[field.name] = value
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> ShardParts:
        """Read back what `to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            lines: dict[str, Any] = {side: Line(*(file[f"{side}.{part.name}"] for part in fields(Line))) for side in SIDES}
            rest = {field.name: file[field.name] for field in fields(cls) if field.name not in SIDES}
        return cls(**rest | lines)


SIDES = ("top", "bottom", "left", "right")
"""The lines of `ShardParts`, in the order of `Place.inner_sides`."""


@dataclass(frozen=True, slots=True)
class Holes:
    """Parts of the background of one shard that may be holes, numbered from 1."""

    part: Ints
    """Each run's part; 0 where it is not of the background."""
    area: Ints
    """Pixels of each; index 0 is unused, as in all that follows."""
    owner: Ints
    """The part that has all of it; 0 where that is not known here."""
    side: Ints
    """Number among the holes' parts at a side; 0 for one that reaches no side."""
    pocket: Ints
    """Number among the pockets from 1; 0 for others."""
    pairs: tuple[Ints, Ints]
    """(hole, part) of all that touch; only of holes with a number in `side` or `pocket`."""


@dataclass(frozen=True, slots=True)
class LocalParts:
    """All parts of one shard. Parts are numbered from 1; index 0 of every array of parts is unused."""

    place: Place
    runs: Runs
    part: Ints
    """Each run's part; 0 is none."""
    first: Ints
    """First pixel of each part, by its number in all of the image."""
    area: Ints
    """Pixels of each part, with the holes that are known to be its own."""
    side: Ints
    """Number among the parts at a side from 1; 0 for whole objects."""
    kept: NDArray[np.bool_]
    """Whether it is a whole object that stays."""
    holes: Holes | None
    """Where holes are filled."""
    lines: tuple[Line, Line, Line, Line]

    def record(self) -> ShardParts:
        """Return what other shards must know."""
        rows = self.first // self.place.shape_yx[1] - self.place.first // self.place.shape_yx[1]
        whole, at_side = np.flatnonzero(self.kept), np.flatnonzero(self.side)
        starts = np.bincount(rows[whole], minlength=self.place.box.shape[0])
        before = np.searchsorted(np.sort(self.first[whole]), self.first[at_side])
        before -= np.concatenate([[0], np.cumsum(starts)])[rows[at_side]]
        return ShardParts(
            starts.astype(np.uint16),
            self.first[at_side],
            self.area[at_side],
            before,
            *self._hole_record(),
            *self.lines,
        )

    def _hole_record(self) -> tuple[Ints, Ints, Ints, Ints]:
        holes = self.holes
        if holes is None:
            return EMPTY, EMPTY, EMPTY, EMPTY
        hole, part = holes.pairs
        at_side, pocket = holes.side[hole] > OPEN, holes.pocket[hole] > 0
        return (
            np.concatenate([[0], holes.area[holes.side > OPEN]]),
            _paired(holes.side[hole[at_side]], self.side[part[at_side]]),
            holes.area[holes.pocket > 0],
            _paired(holes.pocket[hole[pocket]] - 1, self.side[part[pocket]]),
        )


EMPTY: Ints = np.empty(0, np.int64)
"""No numbers."""


def find_parts(class_map: np.ndarray, inner: Box, place: Place, rules: ObjectRules) -> LocalParts:
    """Find the parts of a shard.

    Args:
        class_map: class ids (y, x) of the shard and what there is of the image within `halo_of` around it.
        inner: the shard's box in ``class_map``.
        place: where the shard lies.
        rules: what an object is.
    """
    seeded = seed_objects(class_map, rules)
    core = seeded.core[inner.slices]
    runs = runs_of(core)
    number, part = join_runs(runs, runs.value > 0, rules.connectivity)
    keys = [-line.astype(np.int64) for line in _edges(core)]
    if not seeded.grown.size:
        return _described(runs, number, part, keys, place, rules)
    labels = runs.paint(part.astype(np.int32))
    number += _add_grown(labels, number, keys, _grown_within(seeded, class_map.shape[1], inner), place)
    runs = runs_of(labels)
    return _described(runs, number, runs.value.astype(np.int64), keys, place, rules)


def _edges(image: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the first and the last row, the first and the last column."""
    return image[0], image[-1], image[:, 0], image[:, -1]


def _grown_within(seeded: Seeded, width: int, inner: Box) -> tuple[Ints, Ints, Ints, Ints]:
    """Return (y, x, seed's y, seed's x), counted from the shard's first pixel, of its pixels that objects grow to."""
    y, x = seeded.grown // width - inner.y0, seeded.grown % width - inner.x0
    mine = _within(y, x, inner.shape)
    seed = seeded.seed[mine]
    return y[mine], x[mine], seed // width - inner.y0, seed % width - inner.x0


def _within(y: Ints, x: Ints, shape: tuple[int, int]) -> NDArray[np.bool_]:
    within: NDArray[np.bool_] = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    return within


def _add_grown(labels: np.ndarray, number: int, keys: list[Ints], grown: tuple[Ints, Ints, Ints, Ints], place: Place) -> int:
    """Add the grown pixels to ``labels`` and their seeds to the sides' ``keys``; return how many parts come with them.

    What belongs to a seed in another shard is a part of its own: it reaches the side, and is joined there.
    """
    y, x, seed_y, seed_x = grown
    key = place.first + seed_y * place.shape_yx[1] + seed_x
    height, width = labels.shape
    for line, at, along in zip(keys, (y == 0, y == height - 1, x == 0, x == width - 1), (x, x, y, y), strict=True):
        line[along[at]] = key[at]
    here = _within(seed_y, seed_x, labels.shape)
    labels[y[here], x[here]] = labels[seed_y[here], seed_x[here]]
    foreign, which = np.unique(key[~here], return_inverse=True)
    labels[y[~here], x[~here]] = number + 1 + which
    return int(foreign.size)


def _described(runs: Runs, number: int, part: Ints, keys: list[Ints], place: Place, rules: ObjectRules) -> LocalParts:
    """Say of every part where it starts, how large it is and whether it reaches a side."""
    area = np.bincount(part, runs.length, number + 1).astype(np.int64)
    first_run = np.zeros(number + 1, np.int64)
    first_run[part[::-1]] = np.arange(part.size)[::-1]  # the last one that is written stays
    y, x = np.divmod(runs.begin[first_run], runs.shape[1])
    first = place.first + y * place.shape_yx[1] + x
    at_side = _touches_side(runs, part, number, place.inner_sides)
    side = np.where(at_side, np.cumsum(at_side), 0)
    holes = _find_holes(runs, part, side, place, rules) if rules.fill_holes else None
    if holes is not None:
        area += np.bincount(holes.owner, holes.area, number + 1).astype(np.int64)
    kept = (side == 0) & (area >= rules.min_area)
    kept[0] = False
    return LocalParts(place, runs, part, first, area, side, kept, holes, _lines(runs, part, side, holes, keys))


def _touches_side(runs: Runs, part: Ints, number: int, sides: tuple[bool, bool, bool, bool]) -> NDArray[np.bool_]:
    """Tell of every part whether it reaches one of the shard's sides; never of part 0."""
    touches = np.zeros(number + 1, np.bool_)
    rows = runs.rows
    at: tuple[slice | Ints, ...] = (slice(0, rows[1]), slice(rows[-2], None), rows[:-1], rows[1:] - 1)
    for there, some in zip(sides, at, strict=True):
        if there:
            touches[part[some]] = True
    touches[0] = False
    return touches


def _find_holes(runs: Runs, part: Ints, side: Ints, place: Place, rules: ObjectRules) -> Holes:
    number, hole = join_runs(Runs(runs.begin, (part > 0).astype(np.int64), runs.shape), part == 0, DUAL[rules.connectivity])
    area = np.bincount(hole, runs.length, number + 1).astype(np.int64)
    area[0] = 0
    inner = place.inner_sides
    at_side = _touches_side(runs, hole, number, inner)
    outer = not inner[0], not inner[1], not inner[2], not inner[3]
    is_open = _touches_side(runs, hole, number, outer) | (area > rules.fill_holes)
    pairs = _touching(runs, part, hole, DUAL[rules.connectivity])
    low, high = _extremes(*pairs, number + 1)
    whole = np.zeros(number + 1, np.bool_)
    np.logical_or.at(whole, pairs[0], side[pairs[1]] == 0)
    # A whole object can't enclose what reaches a side; several objects don't make a hole where one of them is whole.
    is_open |= (whole & (at_side | (low != high))) | (high == 0) & ~at_side
    is_open[0] = False
    owner = np.where(~is_open & ~at_side & (low == high), low, 0)
    pocket = ~is_open & ~at_side & (low != high)
    numbered = np.where(at_side & ~is_open, np.cumsum(at_side & ~is_open) + OPEN, 0)
    numbered[at_side & is_open] = OPEN
    pocket_number = np.where(pocket, np.cumsum(pocket), 0)
    for numbers in (owner, numbered, pocket_number):
        numbers[0] = 0
    told = (numbered[pairs[0]] > OPEN) | pocket[pairs[0]]
    return Holes(hole, area, owner, numbered, pocket_number, (pairs[0][told], pairs[1][told]))


def _touching(runs: Runs, part: Ints, hole: Ints, connectivity: int) -> tuple[Ints, Ints]:
    """Return each pair (hole, part) that touches, once."""
    upper, lower = pairs_below(runs, np.arange(part.size), connectivity)
    beside = np.flatnonzero(runs.row[1:] == runs.row[:-1])
    a, b = np.concatenate([upper, beside]), np.concatenate([lower, beside + 1])
    down, up = (hole[a] > 0) & (part[b] > 0), (part[a] > 0) & (hole[b] > 0)
    holes = np.concatenate([hole[a[down]], hole[b[up]]])
    parts = np.concatenate([part[b[down]], part[a[up]]])
    return _unique_pairs(holes, parts)


def _unique_pairs(a: Ints, b: Ints) -> tuple[Ints, Ints]:
    base = int(b.max(initial=0)) + 1
    pairs = np.unique(a * base + b)
    return pairs // base, pairs % base


def _extremes(a: Ints, b: Ints, count: int) -> tuple[Ints, Ints]:
    """Return the smallest and the largest ``other`` of each ``one`` below ``count``; 0 where there is none."""
    low, high = np.full(count, NONE), np.zeros(count, np.int64)
    np.minimum.at(low, a, b)
    np.maximum.at(high, a, b)
    return np.where(low == NONE, 0, low), high


def _lines(runs: Runs, part: Ints, side: Ints, holes: Holes | None, keys: list[Ints]) -> tuple[Line, Line, Line, Line]:
    told = side[part] if holes is None else np.where(part > 0, side[part], -holes.side[holes.part])
    lengths, rows = runs.length, runs.rows
    top, bottom = slice(0, rows[1]), slice(rows[-2], None)
    return (
        _line(np.repeat(told[top], lengths[top]), keys[0]),
        _line(np.repeat(told[bottom], lengths[bottom]), keys[1]),
        _line(told[rows[:-1]], keys[2]),
        _line(told[rows[1:] - 1], keys[3]),
    )


def _line(part: Ints, key: Ints) -> Line:
    key = np.where(part == 0, 0, key)
    begins = np.ones(part.size, np.bool_)
    begins[1:] = (part[1:] != part[:-1]) | (key[1:] != key[:-1])
    begin = np.flatnonzero(begins)
    return Line(np.diff(begin, append=part.size), part[begin], key[begin])


def _paired(a: Ints, b: Ints) -> Ints:
    return np.stack([a, b], axis=-1).reshape(-1)
