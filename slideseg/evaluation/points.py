"""Compare the objects of predictions with points. Places are those of the image that points were set in."""

from __future__ import annotations

import functools
import operator
import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.evaluation import blocks
from slideseg.evaluation.metrics.overlap import OverlapTable, add_up
from slideseg.evaluation.metrics.points import NOBODY, PointScores, confuse, count_doubled, count_several, pair
from slideseg.evaluation.report import Evaluation, ImageScores
from slideseg.evaluation.sources import Grid, Side, Source, open_side, pair_images
from slideseg.points import find_points, read_points
from slideseg.space.box import Box
from slideseg.words import many, number

if TYPE_CHECKING:
    from slideseg.evaluation.metrics.points import Confusion
    from slideseg.points import Points

USUAL = "3"
"""Microns: half of a small nucleus."""
_DISTANCE = re.compile(r"\s*(?P<value>[0-9.eE+-]+)\s*(?P<unit>px|um|µm|μm|microns?)?\s*")


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a find may be from its point."""

    value: float
    in_microns: bool

    @classmethod
    def of(cls, said: float | str | None) -> Distance:
        """Return the distance that was said; microns unless said otherwise.

        Raises:
            ConfigError: if it is none.
        """
        found = _DISTANCE.fullmatch(USUAL if said is None else str(said))
        try:
            value = float(found["value"]) if found else np.nan
        except ValueError:
            value = np.nan
        if not (found and 0 < value < np.inf):
            raise ConfigError(explain("no such --distance", got=said, want="microns above 0 as in 3, or pixels as in 6px"))
        return cls(value, found["unit"] != "px")

    def __str__(self) -> str:
        """Return it in words."""
        return f"{number(self.value)} {'µm' if self.in_microns else 'px'}"

    def unit_of(self, side: Side) -> np.ndarray:
        """Return the sides (y, x) of a pixel of the points' image in the distance's unit.

        Raises:
            ConfigError: if these are not known.
        """
        if not self.in_microns:
            return np.ones(2)
        if side.mpp_yx is None:
            what, try_ = f"{side.name} does not say how large a pixel is", "--distance 6px, or predict --mpp-of-slide"
            raise ConfigError(explain(what, want=f"to compare places up to {self} apart", try_=try_))
        return np.array(side.mpp_yx)


@dataclass(frozen=True, slots=True, eq=False)
class _Finds:
    """The objects of a prediction."""

    ids: np.ndarray
    """Their ids, in order."""
    yx: np.ndarray
    """Their centroids (finds, 2), in pixels of the points' image; whole numbers are the middles of pixels."""


def compare_points(prediction: Source, truth: Source, distance: float | str | None = None) -> Evaluation:
    """Compare the objects of predictions with points.

    Args:
        prediction: as of `slideseg.evaluate`.
        truth: a CSV file with columns y, x and maybe class, or a folder of such.
        distance: microns, or pixels of the image as in "6px"; None for `USUAL` microns.

    Raises:
        ConfigError: if the sides don't fit together, or the size of a pixel is not known and wanted.
        DataError: if points are missing, damaged or outside of their image.
        SlidesegError: if a prediction is missing, damaged or unfinished.
    """
    near = Distance.of(distance)
    if isinstance(truth, np.ndarray):
        raise ConfigError(explain("an array holds no points", want="a CSV file or a folder of such"))
    found_in = find_points(truth)
    pairs, unmatched = pair_images(prediction, truth, lambda _: found_in)
    is_mask = _are_masks([predicted for _, predicted, _ in pairs])
    images, notes = [], set()
    for name, predicted, points in pairs:
        with ExitStack() as stack:
            scores, made_from = _scores(_single(open_side(predicted, stack)), str(points), near, is_mask=is_mask)
        images.append(ImageScores(name, points=scores))
        notes.add(f"points: a find is at most {near} from its point; finds are {made_from}")
    total = functools.reduce(operator.add, (image.points for image in images if image.points is not None))
    notes.update(_unknown_classes(total.confusion))
    return Evaluation(tuple(images), points=total, notes=tuple(sorted(notes)), unmatched=unmatched)


def _unknown_classes(confusion: Confusion | None) -> list[str]:
    """Say which classes of points the model does not have; where it has one class of objects, names of points are their own."""
    if confusion is None or len(confusion.predicted) < 2 or not confusion.unknown:
        return []
    rows = [confusion.truth.index(name) for name in confusion.unknown]
    counts = [sum(confusion.matched[row]) + confusion.missed[row] for row in rows]
    said = ", ".join(f"{name} ({many(count, 'point')})" for name, count in zip(confusion.unknown, counts, strict=True))
    return [f"classes: the model has no class {said}; its classes of objects are {', '.join(confusion.predicted)}"]


def _single(side: Side) -> Side:
    if side.labels.planes != 1:
        raise ConfigError(explain(f"{side.name} is a stack", got=f"{side.labels.planes} planes", want="one, as points have"))
    return side


def _are_masks(predictions: list[Source]) -> bool:
    """Tell whether every prediction that is no result holds a single value above 0."""
    for prediction in predictions:
        with ExitStack() as stack:
            side = _single(open_side(prediction, stack))
            if not side.is_result and len(blocks.count_values(side, side).predicted_values - {0}) > 1:
                return False
    return True


def _scores(side: Side, path: str, near: Distance, *, is_mask: bool) -> tuple[PointScores, str]:
    """Return the scores of one image, and where its finds come from."""
    points = read_points(path).inside(side.full_shape or side.labels.shape, path)
    unit = near.unit_of(side)
    objects, made_from = blocks.objects_of(side, side.classes or (), is_mask=is_mask)
    finds = _finds(objects, side.scale)
    holder = _holders(objects, points, side.scale, finds.ids)
    found, there = finds.yx * unit, points.yx * unit
    pairs = pair(found, there, near.value)
    names = _class_names(side, objects, finds.ids)
    scores = PointScores.of_counts(
        points=len(there),
        found=len(found),
        matched=int((pairs.find_of != NOBODY).sum()),
        doubled=count_doubled(pairs, found, there, holder, near.value),
        several=count_several(holder),
        confusion=None
        if names is None or points.classes is None
        else confuse(pairs, names, _named(points.classes, side), list(dict.fromkeys(_makers(side).values()))),
    )
    return scores, made_from


def _finds(objects: Grid, scale: tuple[float, float]) -> _Finds:
    """Return the objects with their centroids, added up block by block."""
    known, sums = [np.zeros(0, np.int64)], [np.zeros((0, 3))]
    for box in Box.of_shape(objects.shape).split(blocks.BLOCK, blocks.BLOCK):
        values = objects.read(box, 0)
        y, x = np.nonzero(values)
        ids, at = np.unique(values[y, x].astype(np.int64), return_inverse=True)
        known.append(ids)
        sums.append(np.column_stack([np.bincount(at, of, len(ids)) for of in (None, y + box.y0, x + box.x0)]))
    ids, at = np.unique(np.concatenate(known), return_inverse=True)
    pixels, y, x = (np.bincount(at, column, len(ids)) for column in np.concatenate(sums).T)
    centroids = np.column_stack([y, x]) / pixels[:, None]
    return _Finds(ids, (centroids + 0.5) / scale - 0.5)


def _holders(objects: Grid, points: Points, scale: tuple[float, float], ids: np.ndarray) -> np.ndarray:
    """Return the number of the find whose outline holds each point, `NOBODY` for none."""
    last = np.array(objects.shape) - 1
    places = np.clip(np.floor((points.yx + 0.5) * scale), 0, last).astype(np.int64)
    holder = np.full(len(places), NOBODY)
    for box in Box.of_shape(objects.shape).split(blocks.BLOCK, blocks.BLOCK):
        y, x = places.T
        here = (box.y0 <= y) & (y < box.y1) & (box.x0 <= x) & (x < box.x1)
        if here.any():
            values = objects.read(box, 0)[y[here] - box.y0, x[here] - box.x0].astype(np.int64)
            holder[here] = np.where(values == 0, NOBODY, np.searchsorted(ids, values))
    return holder


def _makers(side: Side) -> dict[int, str]:
    """Return the classes that make objects."""
    border = blocks.border_of(side.classes or ())
    return {value: name for value, name in side.classes or () if value not in (0, border)}


def _class_names(side: Side, objects: Grid, ids: np.ndarray) -> list[str] | None:
    """Return each find's class, the one that most of its pixels have; None where the prediction knows no classes."""
    makers = _makers(side)
    if not makers:
        return None
    boxes = Box.of_shape(objects.shape).split(blocks.BLOCK, blocks.BLOCK)
    table = add_up(OverlapTable.of(objects.read(box, 0), side.labels.read(box, 0)) for box in boxes)
    known = (table.predicted > 0) & np.isin(table.truth, list(makers))
    found, values, pixels = table.predicted[known], table.truth[known], table.pixels[known]
    order = np.lexsort((values, -pixels, found))
    there, first = np.unique(found[order], return_index=True)
    best = dict(zip(there.tolist(), values[order][first].tolist(), strict=True))
    # an object of border pixels alone, as a ring around nothing is, counts as the first class
    return [makers[best.get(one, min(makers))] for one in ids.tolist()]


def _named(classes: tuple[str, ...], side: Side) -> list[str]:
    """Return the points' classes by the prediction's names where it has several; ids mean these too."""
    makers = _makers(side)
    if len(makers) < 2:
        return list(classes)
    known = {str(value): name for value, name in makers.items()} | {name.lower(): name for name in makers.values()}
    return [known.get(name.lower(), name) for name in classes]
