"""The metrics of the ISBI 2012 challenge on membranes in electron microscopy: 0 is membrane, above 0 is cell.

Sources: Arganda-Carreras et al. 2015, Front. Neuroanat. 9:142 (all five, and why the challenge ranks by V_Rand after border
thinning); Jain et al. 2010, CVPR (warping). Where the article leaves details open they are those of the organisers'
evaluation: cells are 4-connected and membranes 8-connected; only the prediction's membranes are thinned, by flooding from
its cells until the floods meet; a pixel that is cell in the truth and membrane in the prediction is a segment of its own;
a stack is scored plane by plane and averaged.

scikit-image's ``adapted_rand_error`` and ``variation_of_information`` agree where no such pixel exists (up to the pairs of a
pixel with itself, which the challenge counts), but take all predicted membrane for one segment, and don't thin.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from slideseg.evaluation.metrics.overlap import OverlapTable, totals

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

THRESHOLDS = tuple(tenth / 10 for tenth in range(10))
"""Where a probability map is cut; cell is above."""
_RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
"""The eight neighbours in circular order; those at odd places are the four direct ones."""


@dataclass(frozen=True, slots=True)
class IsbiScores:
    """The five numbers of a plane, or their means over planes. The first three are errors (0 is perfect)."""

    pixel_error: float
    """Share of pixels that differ."""
    rand_error: float
    """1 - F-score of pairs of pixels in one cell, on the truth's cell pixels, before thinning."""
    warping_error: float
    """Share of pixels that still differ when the truth is deformed into the prediction without changing its topology."""
    v_rand: float
    """F-score of pairs of pixels in one cell, on the truth's cell pixels, after thinning; the challenge ranks by it."""
    v_info: float
    """Mutual information of the two partitions over the mean of their entropies, on the same pixels, after thinning."""


def isbi_scores(prediction: np.ndarray, truth: np.ndarray) -> IsbiScores:
    """Return the scores of a plane (y, x) or a stack (z, y, x).

    An integer or boolean prediction is a class map: above 0 is cell. A floating one is the probability of cell, and every
    score is the best over `THRESHOLDS`, each threshold applied to the whole stack. The truth's cells are above 0.

    Raises:
        ValueError: if the shapes differ or aren't of a plane or a stack.
    """
    if prediction.shape != truth.shape or truth.ndim not in (2, 3) or not truth.size:
        msg = f"expected two planes or stacks of one shape, not {prediction.shape} and {truth.shape}"
        raise ValueError(msg)
    planes = zip(prediction.reshape(-1, *truth.shape[-2:]), truth.reshape(-1, *truth.shape[-2:]), strict=True)
    return best_scores(plane_scores(p, t) for p, t in planes)


def plane_scores(prediction_yx: np.ndarray, truth_yx: np.ndarray) -> tuple[IsbiScores, ...]:
    """Return a plane's scores at each of `THRESHOLDS`, or the one of a class map."""
    cells = truth_yx > 0
    if prediction_yx.dtype.kind != "f":
        return (_scores(prediction_yx > 0, prediction_yx.astype(np.float32), cells),)
    certainty = (np.abs(prediction_yx - threshold) for threshold in THRESHOLDS)
    return tuple(_scores(prediction_yx > t, sure, cells) for t, sure in zip(THRESHOLDS, certainty, strict=True))


def best_scores(planes: Iterable[tuple[IsbiScores, ...]]) -> IsbiScores:
    """Return the best mean over planes of each score; the threshold is one for all planes, and each score has its own."""
    table = np.array([[astuple(scores) for scores in plane] for plane in planes])
    means = table.mean(0)
    low, high = means.min(0).tolist(), means.max(0).tolist()
    return IsbiScores(*low[:3], *high[3:])


def v_rand(prediction_yx: np.ndarray, truth_yx: np.ndarray) -> float:
    """Return V_Rand of a class map after border thinning: twice the shared pairs over the pairs of both partitions."""
    return _pair_f_score(thin_borders(prediction_yx > 0), _components(truth_yx > 0))


def v_info(prediction_yx: np.ndarray, truth_yx: np.ndarray) -> float:
    """Return V_Info of a class map after border thinning: twice the mutual information over the sum of both entropies."""
    return _information_f_score(thin_borders(prediction_yx > 0), _components(truth_yx > 0))


def rand_error(prediction_yx: np.ndarray, truth_yx: np.ndarray) -> float:
    """Return the Rand error of 2012: 1 - the F-score of pairs, without thinning."""
    return 1 - _pair_f_score(_components(prediction_yx > 0), _components(truth_yx > 0))


def pixel_error(prediction_yx: np.ndarray, truth_yx: np.ndarray) -> float:
    """Return the share of pixels that are cell in one and membrane in the other."""
    return float(np.mean((prediction_yx > 0) != (truth_yx > 0)))


def warping_error(
    prediction_yx: np.ndarray,
    truth_yx: np.ndarray,
    certainty_yx: npt.NDArray[np.floating] | None = None,
) -> float:
    """Return the share of pixels that still differ after the truth was warped towards the prediction.

    Differing pixels are flipped in the truth, one after another, where that changes no topology (simple points), the most
    certain first and again until nothing moves. What is left are the merges, splits, holes and specks.
    """
    target = prediction_yx > 0
    certainty = np.zeros(target.shape) if certainty_yx is None else certainty_yx
    return float(np.mean(_warp(truth_yx > 0, target, certainty) != target))


def thin_borders(cell_yx: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Label the cells and grow all at one speed until the membranes between them are lines of one pixel, which are 0.

    A membrane's open end or a speck of it inside a cell vanishes. A plane without any cell is one cell. Where floods meet
    between two pixels the line may lie on either; on poor predictions that choice is worth 0.001 of V_Rand, on good ones 3e-5.
    """
    seeds = _components(cell_yx)
    if not seeds.any():
        return np.ones(cell_yx.shape, np.int32)
    level = np.zeros(cell_yx.shape, np.uint8)
    grown: npt.NDArray[np.int32] = watershed(level, seeds, connectivity=1, watershed_line=True)  # type: ignore[no-untyped-call]
    return grown


def _components(cell_yx: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    return ndimage.label(cell_yx)[0].astype(np.int32, copy=False)


def _scores(cell_yx: npt.NDArray[np.bool_], certainty_yx: npt.NDArray[np.floating], truth_yx: np.ndarray) -> IsbiScores:
    true_cells, thinned = _components(truth_yx), thin_borders(cell_yx)
    return IsbiScores(
        pixel_error=pixel_error(cell_yx, truth_yx),
        rand_error=1 - _pair_f_score(_components(cell_yx), true_cells),
        warping_error=warping_error(cell_yx, truth_yx, certainty_yx),
        v_rand=_pair_f_score(thinned, true_cells),
        v_info=_information_f_score(thinned, true_cells),
    )


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Pixels of segments inside the truth's cells; a predicted border pixel is a segment of one pixel."""

    truth: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.float64]
    both: npt.NDArray[np.float64]
    borders: float


def _sizes(predicted: npt.NDArray[np.int32], truth: npt.NDArray[np.int32]) -> _Sizes:
    inside = truth > 0
    table = OverlapTable.of(predicted[inside], truth[inside])
    cells = table.predicted > 0
    return _Sizes(
        truth=totals(table.truth, table.pixels)[1].astype(np.float64),
        predicted=totals(table.predicted[cells], table.pixels[cells])[1].astype(np.float64),
        both=table.pixels[cells].astype(np.float64),
        borders=float(table.pixels[~cells].sum()),
    )


def _pair_f_score(predicted: npt.NDArray[np.int32], truth: npt.NDArray[np.int32]) -> float:
    """Return the F-score of pairs of pixels (a pixel with itself is one); 1 where the truth has no cell."""
    n = _sizes(predicted, truth)
    pairs = float(np.sum(n.truth**2) + np.sum(n.predicted**2) + n.borders)
    return 2 * float(np.sum(n.both**2) + n.borders) / pairs if pairs else 1.0


def _information_f_score(predicted: npt.NDArray[np.int32], truth: npt.NDArray[np.int32]) -> float:
    """Return the F-score of information; 1 where both are one whole segment or the truth has no cell."""
    n = _sizes(predicted, truth)
    total = float(n.truth.sum())
    if not total:
        return 1.0
    alone = n.borders / total * np.log(total)
    of_truth, of_predicted, of_both = (_entropy(sizes / total) for sizes in (n.truth, n.predicted, n.both))
    both_entropies = of_truth + of_predicted + alone
    shared = both_entropies - (of_both + alone)
    return float(2 * shared / both_entropies) if both_entropies > 0 else 1.0


def _entropy(shares: npt.NDArray[np.float64]) -> float:
    return float(np.sum(shares * np.log(1 / shares)))


def _warp(source: npt.NDArray[np.bool_], target: npt.NDArray[np.bool_], certainty: np.ndarray) -> npt.NDArray[np.bool_]:
    """Return ``source`` with simple points flipped towards ``target``; outside the plane there is membrane."""
    width = target.shape[1] + 2
    image = bytearray(np.pad(source, 1).astype(np.uint8).tobytes())
    columns, rows = np.nonzero((source != target).T)
    order = np.argsort(-certainty[rows, columns], kind="stable")
    left = ((rows[order] + 1) * width + columns[order] + 1).tolist()
    ring, simple = [dy * width + dx for dy, dx in _RING], simple_points()
    changed = bytearray(b"\1" * len(image))  # only where a neighbour has changed can a point have become simple
    before = None
    while left and len(left) != before:
        before = len(left)
        left = [at for at in left if not (changed[at] and _flip_if_simple(image, changed, at, ring, simple))]
    return np.frombuffer(bytes(image), np.uint8).reshape(-1, width)[1:-1, 1:-1].astype(bool)


def _flip_if_simple(image: bytearray, changed: bytearray, at: int, ring: list[int], simple: tuple[bool, ...]) -> bool:
    code = 0
    for bit, step in enumerate(ring):
        code |= image[at + step] << bit
    changed[at] = 0
    if simple[code]:
        image[at] ^= 1
        for step in ring:
            changed[at + step] = 1
    return simple[code]


@cache
def simple_points() -> tuple[bool, ...]:
    """Tell for every neighbourhood whether its centre may change sides without a change of topology.

    Bit n of the index is the neighbour at place n of the circle that begins above left and goes clockwise. The centre is
    simple where exactly one 4-connected part of the cell neighbours touches it and it has a membrane neighbour.
    """
    return tuple(code != 255 and _parts(code) == 1 for code in range(256))


def _parts(code: int) -> int:
    """Count the 4-connected parts of the ring's cells that hold a direct neighbour."""
    cells = [bool(code >> bit & 1) for bit in range(8)]
    starts = [bit for bit in range(8) if cells[bit] and not cells[bit - 1]]
    if not starts:
        return int(cells[0])
    return sum(_run_has_direct(cells, start) for start in starts)


def _run_has_direct(cells: list[bool], start: int) -> bool:
    bit, found = start, False
    while cells[bit % 8]:
        found |= bit % 2 == 1
        bit += 1
    return found
