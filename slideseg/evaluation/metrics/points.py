"""Objects against points, one point an object: which were found, missed, found twice, or taken for one.

A find and a point can be a pair where the find's centroid lies within a distance of the point. Pairs are chosen so that there
are as many as can be, nobody being in two, and of all such choices the one with the smallest sum of distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NOBODY = -1
"""Number of a find or point that there is not."""
LOT = 1024
"""Finds and points that are paired at once, about: the time of a lot grows with its square."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Which class was taken for which: the points of every class by the class of the find that they are paired with."""

    truth: tuple[str, ...]
    """Classes of points: those of finds first, in their order, so that right pairs are on the diagonal; then others by name."""
    predicted: tuple[str, ...]
    """Classes of finds."""
    matched: tuple[tuple[int, ...], ...]
    """Pairs: a row a class of points, a column a class of finds."""
    missed: tuple[int, ...]
    """Points without a find, of every class of points."""
    extra: tuple[int, ...]
    """Finds without a point, of every class of finds."""

    def __add__(self, other: Confusion) -> Confusion:
        """Return the counts of both; classes that only one knows are kept."""
        predicted = _both(self.predicted, other.predicted)
        truth = _rows({*self.truth, *other.truth}, predicted)
        total = np.zeros((len(truth) + 1, len(predicted) + 1), int)
        for part in (self, other):
            rows = [*(truth.index(name) for name in part.truth), len(truth)]
            columns = [*(predicted.index(name) for name in part.predicted), len(predicted)]
            total[np.ix_(rows, columns)] += part._table()
        return _confusion(truth, predicted, total)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Classes of points that finds can't have; points of no class are none of them."""
        return tuple(name for name in self.truth if name and name not in self.predicted)

    def scores(self) -> dict[str, ClassScores]:
        """Return the scores of each class that both points and finds can have, by name."""
        table, found = self._table(), {}
        for column, name in enumerate(self.predicted):
            if name in self.truth:
                row = self.truth.index(name)
                counts = table[row].sum(), table[:, column].sum(), table[row, column]
                found[name] = ClassScores.of_counts(*map(int, counts))
        return found

    def _table(self) -> NDArray[np.int_]:
        rows = [[*row, missed] for row, missed in zip(self.matched, self.missed, strict=True)]
        return np.array([*rows, [*self.extra, 0]])


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How well the points of one class were found as what they are."""

    recall: float
    """Share of the points of the class that were found, and as of that class; 1 without any."""
    precision: float
    """Share of the finds of the class that are points of that class; 1 without any."""
    f1: float
    """Both in one: 2 x matched / (points + found); 1 where there is neither."""
    points: int
    """Points of the class."""
    found: int
    """Finds of the class."""
    matched: int
    """Pairs in which both are of the class."""

    @classmethod
    def of_counts(cls, points: int, found: int, matched: int) -> ClassScores:
        """Return the scores that follow from counts."""
        return cls(*_shares(points, found, matched), points, found, matched)


@dataclass(frozen=True, slots=True)
class PointScores:
    """How well points were found, in one image or in all together."""

    recall: float
    """Share of the points that were found; 1 without any."""
    precision: float
    """Share of the finds that are points; 1 without any."""
    f1: float
    """Both in one: 2 x matched / (points + found); 1 where there is neither."""
    points: int
    """Points."""
    found: int
    """Finds."""
    matched: int
    """Pairs of a point and a find."""
    missed: int
    """Points without a find."""
    doubled: int
    """Points with a find that another find claims too which has no point of its own."""
    several: int
    """Finds whose outline holds several points."""
    confusion: Confusion | None = None
    """Classes; None where points or finds have none."""
    classes: dict[str, ClassScores] | None = None
    """Scores of each class by its name; None where points or finds have none."""

    @classmethod
    def of_counts(
        cls, points: int, found: int, matched: int, doubled: int, several: int, confusion: Confusion | None = None
    ) -> PointScores:
        """Return the scores that follow from counts."""
        recall, precision, f1 = _shares(points, found, matched)
        return cls(
            recall=recall,
            precision=precision,
            f1=f1,
            points=points,
            found=found,
            matched=matched,
            missed=points - matched,
            doubled=doubled,
            several=several,
            confusion=confusion,
            classes=None if confusion is None else confusion.scores(),
        )

    def __add__(self, other: PointScores) -> PointScores:
        """Return the scores of both images' points and finds together."""
        names = ("points", "found", "matched", "doubled", "several")
        counts = {name: getattr(self, name) + getattr(other, name) for name in names}
        known = [one for one in (self.confusion, other.confusion) if one is not None]
        return PointScores.of_counts(**counts, confusion=known[0] + known[1] if len(known) == 2 else next(iter(known), None))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Finds and points, and which belong together."""

    find_of: NDArray[np.int64]
    """Number of each point's find; `NOBODY` for none."""
    point_of: NDArray[np.int64]
    """Number of each find's point; `NOBODY` for none."""


def pair(found: NDArray[np.float64], points: NDArray[np.float64], distance: float) -> Pairs:
    """Pair centroids (finds, 2) with points (points, 2) at most ``distance`` away, all in one unit."""
    places = np.concatenate([found, points])
    if places.size:  # no two are farther apart, and a number that is far larger would drown the differences of others
        distance = min(distance, float(np.hypot(*np.ptp(places, axis=0))) + 1)
    finds, ends, lengths = _near(found, points, distance)
    point_of = np.full(len(found), NOBODY)
    find_of = np.full(len(points), NOBODY)
    for at in _apart(finds, len(found) + ends):
        some, others = _paired(finds[at], ends[at], lengths[at], distance)
        point_of[some], find_of[others] = others, some
    return Pairs(find_of, point_of)


def _apart(one: NDArray[np.int64], other: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the numbers of possible pairs in lots that share nobody, of about `LOT` or of one group that hangs together."""
    number = int(max(one.max(initial=-1), other.max(initial=-1))) + 1
    graph = sparse.coo_array((np.ones(one.size, bool), (one, other)), shape=(number, number))
    _, group = connected_components(graph, directed=False)
    lot = np.cumsum(np.bincount(group))[group[one]] // LOT
    order = np.argsort(lot, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(lot[order])) + 1) if order.size else []


def _paired(
    finds: NDArray[np.int64], ends: NDArray[np.int64], lengths: NDArray[np.float64], distance: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the finds and the points of the best pairs of those that can be."""
    some, row = np.unique(finds, return_inverse=True)
    others, column = np.unique(ends, return_inverse=True)
    # Every find may also stay alone, at a price above all that distances could save: so nobody does who needn't.
    alone = (some.size + 1) * (distance + 1.0)
    costs = np.r_[lengths + 1, np.full(some.size, alone)]  # 1, since a weight of 0 would count as no pair
    at = np.r_[row, np.arange(some.size)], np.r_[column, others.size + np.arange(some.size)]
    rows, columns = min_weight_full_bipartite_matching(sparse.csr_array((costs, at)))
    taken = columns < others.size
    return some[rows[taken]], others[columns[taken]]


def count_doubled(
    pairs: Pairs, found: NDArray[np.float64], points: NDArray[np.float64], holder: NDArray[np.int64], distance: float
) -> int:
    """Return how many points with a find are claimed by another find that has no point of its own.

    A find claims the points that lie within the distance of its centroid or that its outline holds; one that has no point of
    its own doubles the nearest of those. ``holder`` is the find whose outline holds each point, `NOBODY` for none.
    """
    finds, ends, _ = _near(found, points, distance)
    held = np.flatnonzero(holder != NOBODY)
    finds, ends = np.r_[finds, holder[held]], np.r_[ends, held]
    claim = (pairs.point_of[finds] == NOBODY) & (pairs.find_of[ends] != NOBODY)
    finds, ends = finds[claim], ends[claim]
    lengths = np.linalg.norm(found[finds] - points[ends], axis=1)
    order = np.lexsort((ends, lengths, finds))
    _, first = np.unique(finds[order], return_index=True)
    return int(np.unique(ends[order][first]).size)


def count_several(holder: NDArray[np.int64]) -> int:
    """Return how many finds hold several points; ``holder`` as in `count_doubled`."""
    _, times = np.unique(holder[holder != NOBODY], return_counts=True)
    return int((times > 1).sum())


def confuse(pairs: Pairs, found: Sequence[str], points: Sequence[str], known: Sequence[str]) -> Confusion:
    """Return which class was taken for which, given each find's and each point's; ``known`` are the classes finds can have."""
    truth, predicted = _rows(set(points), known), tuple(known)
    total = np.zeros((len(truth) + 1, len(predicted) + 1), int)
    row = [truth.index(name) for name in points]
    column = [predicted.index(name) for name in found]
    for point, find in enumerate(pairs.find_of):
        total[row[point], -1 if find == NOBODY else column[find]] += 1
    for find in np.flatnonzero(pairs.point_of == NOBODY):
        total[-1, column[find]] += 1
    return _confusion(truth, predicted, total)


def _near(
    found: NDArray[np.float64], points: NDArray[np.float64], distance: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the numbers of finds and points that are at most ``distance`` apart, and how far."""
    if not len(found) or not len(points):
        none = np.zeros(0, np.int64)
        return none, none, np.zeros(0)
    close = KDTree(found).sparse_distance_matrix(KDTree(points), distance, output_type="ndarray")
    return close["i"], close["j"], close["v"]


def _shares(points: int, found: int, matched: int) -> tuple[float, float, float]:
    """Return recall, precision and F1."""
    both = points + found
    return matched / points if points else 1.0, matched / found if found else 1.0, 2 * matched / both if both else 1.0


def _rows(names: set[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of points: of several known ones all, since some may have no points; of a single one if it has."""
    shared = [name for name in known if len(known) > 1 or name in names]
    return (*shared, *sorted(names.difference(shared)))


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return (*one, *(name for name in other if name not in one))


def _confusion(truth: tuple[str, ...], predicted: tuple[str, ...], table: NDArray[np.int_]) -> Confusion:
    matched = tuple(tuple(row) for row in table[:-1, :-1].tolist())
    return Confusion(truth, predicted, matched, tuple(table[:-1, -1].tolist()), tuple(table[-1, :-1].tolist()))
