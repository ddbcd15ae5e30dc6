"""A side of a comparison block by block: its values counted, its objects had or made."""

from __future__ import annotations

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.evaluation.metrics.instances import InstanceScores, instance_scores, instances_of_classes
from slideseg.evaluation.metrics.overlap import OverlapTable, add_up
from slideseg.evaluation.metrics.semantic import SemanticCounts
from slideseg.evaluation.sources import Grid, Side
from slideseg.space.box import Box

BLOCK = 2048
"""Side of the blocks that are counted at once: that of a shard."""
LARGEST_COMPONENTS = 64 << 20
"""Pixels of the largest plane whose objects are made from a class map."""
BORDERS = frozenset({"border", "boundary"})
"""Names of the class that parts touching objects."""
Classes = tuple[tuple[int, str], ...]
"""Ids and names of classes."""


def count_values(prediction: Side, truth: Side) -> SemanticCounts:
    """Count pairs of values, block by block."""
    for side in (prediction, truth):
        if side.labels.dtype.kind == "f":
            want, try_ = "class ids or instance ids", "--metrics isbi, which takes probabilities of cell as the prediction"
            raise ConfigError(explain(f"{side.name} holds fractions", got=side.labels.dtype.name, want=want, try_=try_))
    total = SemanticCounts.empty()
    for box in Box.of_shape(truth.labels.shape).split(BLOCK, BLOCK):
        values = [_checked_ids(side, side.labels.read(box, 0)) for side in (prediction, truth)]
        if truth.ignored is not None:
            counts = ~truth.ignored.read(box, 0)
            values = [one[counts] for one in values]
        total += SemanticCounts.of(*values)
    return total


def _checked_ids(side: Side, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "i" and values.min() < 0:
        raise ConfigError(explain(f"{side.name} holds values below 0", got=values.min(), want="class ids or instance ids"))
    return values


def objects_of(side: Side, classes: Classes, *, is_mask: bool) -> tuple[Grid, str]:
    """Return a side's objects, and where they come from."""
    if side.objects is not None:
        return side.objects, side.objects_are
    if not (side.classes is not None or is_mask):
        return side.labels, "ids"
    return _components(side, border_of(side.classes or classes)), "connected parts"


def border_of(classes: Classes) -> int | None:
    """Return the id of the class that parts touching objects; None where there is none."""
    return next((value for value, name in classes if name.lower() in BORDERS), None)


def _components(side: Side, border: int | None) -> Grid:
    """Return the objects made from a class map; a plane is made once and kept while it is read."""
    rows, columns = side.labels.shape
    if rows * columns > LARGEST_COMPONENTS:
        got, want = f"{rows} x {columns}", f"at most {LARGEST_COMPONENTS >> 20} Mpx a plane"
        raise ConfigError(explain(f"{side.name} has no objects of its own", got=got, want=want, try_="predict --objects"))
    made: dict[int, np.ndarray] = {}

    def read(box: Box, plane: int) -> np.ndarray:
        if plane not in made:
            made.clear()
            made[plane] = instances_of_classes(side.labels.read(Box(0, 0, rows, columns), plane), border)
        return made[plane][box.slices]

    return Grid(side.labels.planes, side.labels.shape, np.dtype(np.int32), read)


def compare_objects(predicted: Grid, true: Grid, ignored: Grid | None = None) -> InstanceScores:
    """Add up the overlaps block by block; pixels that are ``ignored`` are of no object on either side."""

    def overlaps(box: Box) -> OverlapTable:
        sides = [grid.read(box, 0) for grid in (predicted, true)]
        if ignored is not None:
            counts = ~ignored.read(box, 0)
            sides = [np.where(counts, side, 0) for side in sides]
        return OverlapTable.of(*sides)

    return instance_scores(add_up(map(overlaps, Box.of_shape(true.shape).split(BLOCK, BLOCK))))
