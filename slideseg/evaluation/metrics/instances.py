"""Objects: how many were found, and how well each. Everything comes from the table of overlaps, so size costs nothing.

With IoU of a predicted and a true object their shared pixels over the pixels of either, a match at a threshold of 0.5 or more
is a pair with an IoU above it (no object can have two such partners).

- F1 = 2 TP / (2 TP + FP + FN), TP the matches at 0.5, FP predicted and FN true objects without a match.
- Precision = TP / (TP + FP), recall = TP / (TP + FN), of the same matches: the share of the finds that are right, and of the
  objects that were found.
- AP: mean of TP / (TP + FP + FN) over the thresholds 0.5, 0.55 .. 0.95 (Data Science Bowl 2018; Caicedo et al. 2019,
  Nature Methods 16:1247).
- AJI: for every true object the predicted one of the largest IoU; their shared pixels added up, over their joint pixels added
  up plus the pixels of every predicted object that was nobody's best (Kumar et al. 2017, IEEE TMI 36:1550).
- PQ = SQ x RQ, SQ the mean IoU of the matches at 0.5, RQ = F1 (Kirillov et al. 2019, CVPR).

All are 1 where there is no object in either image, and 0 where there are some in one only; but nothing that is found is wrong
where nothing is found, and nothing is missed where nothing is there: precision and recall are 1 then.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from slideseg.evaluation.metrics.overlap import OverlapTable, totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

MATCH = 0.5
"""An IoU above this is a match."""
AP_THRESHOLDS = tuple(n / 100 for n in range(50, 100, 5))
"""The thresholds of AP."""


@dataclass(frozen=True, slots=True)
class InstanceScores:
    """How well the objects were found, in one plane, or the means over planes or images."""

    f1: float
    """F1 of the matches at IoU 0.5."""
    ap: float
    """Average precision over IoU 0.5 to 0.95."""
    aji: float
    """Aggregated Jaccard index."""
    pq: float
    """Panoptic quality."""
    sq: float
    """Segmentation quality: mean IoU of the matches; 0 without any."""
    rq: float
    """Recognition quality."""
    predicted: int
    """Predicted objects, in all."""
    truth: int
    """True objects, in all."""
    precision: float
    """Share of the predicted objects that match one at IoU 0.5; 1 without any."""
    recall: float
    """Share of the true objects that match one; 1 without any."""


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of a predicted and a true object that share pixels."""

    iou: npt.NDArray[np.float64]
    shared: npt.NDArray[np.int64]
    joint: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    truth: npt.NDArray[np.int64]


def instance_scores(table: OverlapTable) -> InstanceScores:
    """Return the scores of the objects of a whole plane, from its table; id 0 is no object."""
    predicted_ids, predicted_sizes = _sizes(table.predicted, table.pixels)
    true_ids, true_sizes = _sizes(table.truth, table.pixels)
    found, there = predicted_ids.size, true_ids.size
    if not found or not there:
        score = float(found == there)
        return InstanceScores(score, score, score, score, score, score, found, there, float(not found), float(not there))
    both = (table.predicted > 0) & (table.truth > 0)
    p, t = np.searchsorted(predicted_ids, table.predicted[both]), np.searchsorted(true_ids, table.truth[both])
    shared = table.pixels[both]
    joint = predicted_sizes[p] + true_sizes[t] - shared
    pairs = _Pairs(shared / joint, shared, joint, p, t)
    matches = pairs.iou[pairs.iou > MATCH]
    f1 = 2 * matches.size / (found + there)
    sq = float(matches.mean()) if matches.size else 0.0
    hits = [int((pairs.iou > threshold).sum()) for threshold in AP_THRESHOLDS]
    ap = float(np.mean([hit / (found + there - hit) for hit in hits]))
    aji, precision, recall = _aji(pairs, predicted_sizes, true_sizes), matches.size / found, matches.size / there
    return InstanceScores(f1, ap, aji, sq * f1, sq, f1, found, there, precision, recall)


def mean_scores(parts: Sequence[InstanceScores]) -> InstanceScores:
    """Return the mean of every score over planes or images (at least one), and the number of objects in all."""
    values = {
        field.name: [getattr(part, field.name) for part in parts]
        for field in fields(InstanceScores)
        if field.name not in ("predicted", "truth")
    }
    means = {name: sum(scores) / len(parts) for name, scores in values.items()}
    return InstanceScores(**means, predicted=sum(part.predicted for part in parts), truth=sum(part.truth for part in parts))


def instances_of_classes(class_map_yx: npt.NDArray[np.integer], border: int | None = None) -> npt.NDArray[np.int32]:
    """Number the objects of a class map that has none of its own.

    Without a border class an object is a 4-connected part of the foreground (any class above 0). With one, it is such a part
    of the other classes, grown over the border pixels, all at one speed: a border pixel belongs to the object that reaches it
    first. Border pixels that no object reaches (a ring around nothing) are objects of their own.
    """
    foreground = class_map_yx > 0
    inside = foreground if border is None else foreground & (class_map_yx != border)
    labels = ndimage.label(inside)[0].astype(np.int32, copy=False)
    if border is None:
        return labels
    level = np.zeros(labels.shape, np.uint8)
    grown = watershed(level, labels, mask=foreground, connectivity=1)  # type: ignore[no-untyped-call]
    rings = ndimage.label(foreground & (grown == 0))[0]
    return np.where(rings > 0, rings + int(labels.max(initial=0)), grown).astype(np.int32, copy=False)


def _sizes(ids: npt.NDArray[np.int64], pixels: npt.NDArray[np.int64]) -> tuple[np.ndarray, np.ndarray]:
    objects = ids != 0
    return totals(ids[objects], pixels[objects])


def _aji(pairs: _Pairs, predicted_sizes: np.ndarray, true_sizes: np.ndarray) -> float:
    """Return the aggregated Jaccard index; of equally good partners the one with the smaller id counts."""
    order = np.lexsort((pairs.predicted, -pairs.iou, pairs.truth))
    touched, first = np.unique(pairs.truth[order], return_index=True)
    best = order[first]
    missed = int(true_sizes.sum() - true_sizes[touched].sum())
    unused = np.ones(predicted_sizes.size, bool)
    unused[pairs.predicted[best]] = False
    union = int(pairs.joint[best].sum()) + missed + int(predicted_sizes[unused].sum())
    return float(pairs.shared[best].sum() / union)
