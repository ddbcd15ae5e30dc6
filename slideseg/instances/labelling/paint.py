"""From parts and what was assigned to them to a shard's labels; and all of it at once for an image in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slideseg.instances.labelling.join import join_strips
from slideseg.instances.labelling.parts import OPEN, find_parts
from slideseg.instances.labelling.reach import Place, halo_of
from slideseg.space.box import Box
from slideseg.space.grid import ShardGrid

if TYPE_CHECKING:
    from slideseg.instances.labelling.join import Assignment
    from slideseg.instances.labelling.parts import Holes, LocalParts
    from slideseg.instances.labelling.runs import Ints
    from slideseg.model.objects import ObjectRules

MOST_IN_32 = 2**32 - 1
"""The largest id that a uint32 holds."""


def id_type(number: int) -> str:
    """Return the smallest type that ids up to ``number`` are stored in.

    >>> id_type(2**32 - 1), id_type(2**32)
    ('uint32', 'uint64')
    """
    return "uint32" if number <= MOST_IN_32 else "uint64"


def paint_labels(parts: LocalParts, assignment: Assignment, dtype: str) -> np.ndarray:
    """Return the labels (y, x) of a shard."""
    ids = _ids_of(parts, assignment)
    values = ids[parts.part]
    if parts.holes is not None:
        values += _fill_of(parts.holes, ids, assignment)[parts.holes.part]
    return parts.runs.paint(values.astype(np.dtype(dtype)))


def _ids_of(parts: LocalParts, assignment: Assignment) -> Ints:
    """Return the id of every part; 0 for part 0 and what is removed."""
    ids = np.zeros(parts.first.size, np.int64)
    at_side = np.flatnonzero(parts.side)
    ids[at_side] = assignment.ids
    starting = np.concatenate([np.flatnonzero(parts.kept), at_side[assignment.starts]])
    starting = starting[np.argsort(parts.first[starting])]
    columns = parts.place.shape_yx[1]
    rows = parts.first[starting] // columns - parts.place.first // columns
    ids[starting] = assignment.base[rows] + np.arange(rows.size) - np.searchsorted(rows, rows) + 1
    return ids


def _fill_of(holes: Holes, ids: Ints, assignment: Assignment) -> Ints:
    """Return the id that fills every hole; 0 where it stays."""
    fill = ids[holes.owner]
    at_side = holes.side > OPEN
    fill[at_side] = assignment.holes[holes.side[at_side] - 1]
    hole, part = holes.pairs
    pocket = holes.pocket[hole] > 0
    low, high = np.full(fill.size, np.iinfo(np.int64).max), np.zeros(fill.size, np.int64)
    np.minimum.at(low, hole[pocket], ids[part[pocket]])
    np.maximum.at(high, hole[pocket], ids[part[pocket]])
    fill[low == high] = low[low == high]
    return fill


def label_image(class_map: np.ndarray, rules: ObjectRules, side: int | None = None) -> np.ndarray:
    """Return the labels of an image (y, x) or a stack (z, y, x) in memory, computed in shards of ``side`` pixels.

    Objects have the ids 1, 2, ... in raster order of their first pixels; 0 is none. The shards don't change the labels.
    """
    stack = class_map.reshape(-1, *class_map.shape[-2:])
    shape_yx = stack.shape[1:]
    grid = ShardGrid(shape_yx, len(stack), side or max(1, *shape_yx))
    found = [_parts_of(stack, Place(shard.write_box, shard.plane, shape_yx), rules) for shard in grid]
    columns = grid.per_plane_yx[1]
    records = [(parts.place, parts.record()) for parts in found]
    strips = [records[start : start + columns] for start in range(0, len(records), columns)]
    joined = join_strips(lambda: strips, rules)
    assignments = list(joined.assign(strips))
    labels = np.zeros(stack.shape, np.dtype(id_type(joined.number)))
    for parts, assignment in zip(found, assignments, strict=True):
        labels[parts.place.plane][parts.place.box.slices] = paint_labels(parts, assignment, labels.dtype.name)
    return labels.reshape(class_map.shape)


def _parts_of(stack: np.ndarray, place: Place, rules: ObjectRules) -> LocalParts:
    seen = place.box.grow(halo_of(rules)).intersect(Box.of_shape(place.shape_yx))
    return find_parts(stack[place.plane][seen.slices], place.box.relative_to(seen), place, rules)
