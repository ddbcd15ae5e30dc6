"""Compare predictions with the truth, image by image and block by block.

Pixels and objects are counted in blocks and the counts added, so a whole slide needs no more memory than a tile. The metrics
of membranes, and objects that have to be made from a class map, need whole planes, and are refused where those are too large.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.evaluation.blocks import Classes, compare_objects, count_values, objects_of
from slideseg.evaluation.drawn import Frame, find_polygons, holds_polygons, open_pair
from slideseg.evaluation.metrics.instances import mean_scores
from slideseg.evaluation.metrics.isbi import IsbiScores, best_scores, plane_scores
from slideseg.evaluation.metrics.semantic import Compared, SemanticCounts, semantic_scores, summarise
from slideseg.evaluation.points import compare_points
from slideseg.evaluation.report import FAMILIES, Evaluation, ImageScores
from slideseg.evaluation.sources import Side, Source, aligned, pair_images
from slideseg.points import holds_points
from slideseg.slide.open import MOST_PLAIN_CLASSES
from slideseg.space.box import Box
from slideseg.storage.place import local_path

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT = ("semantic",)
"""The families of metrics where none is named."""
POINTS = ("points",)
"""Those of points, which are the only ones that points have."""
LARGEST_ISBI = 256 << 20
"""Pixels of the largest plane whose membranes are judged."""


@dataclass(frozen=True, slots=True)
class Image:
    """Both sides of an image, or of a plane of a stack."""

    name: str
    prediction: Source
    truth: Source
    plane: int
    frame: Frame | None
    """What polygons are counted from."""

    def opened(self, stack: ExitStack) -> tuple[Side, Side]:
        """Return the prediction and the truth, each on its own grid."""
        sides = open_pair(self.prediction, self.truth, self.frame, stack)
        return sides[0].only(self.plane), sides[1].only(self.plane)


Images = list[Image]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the values mean: decided once, from all images together."""

    compared: Compared
    """Whether the truth's values are the prediction's class ids."""
    classes: Classes
    """The prediction's classes; empty where it holds no class ids."""
    prediction_is_mask: bool
    """Whether every plain prediction has one value above 0."""
    truth_is_mask: bool
    """Whether every plain truth has one value above 0, or the class ids of a result."""


def evaluate(
    prediction: Source,
    truth: Source,
    metrics: Sequence[str] | str | None = None,
    distance: float | str | None = None,
    frame: Frame | None = None,
) -> Evaluation:
    """Compare segmentations with the truth.

    Args:
        prediction: a result store, a zarr array, an OME-Zarr label, a TIFF (stack), a PNG, a numpy array (y, x) or (z, y, x),
            or a folder of such files, matched with the truth's by name without ending.
        truth: the same; it may hold class ids, instance ids or a mask. A result that was made at a coarser resolution is
            brought to its slide's level 0 where the truth has that shape. Also polygons around objects or regions: a GeoJSON
            file, or a folder of such. For the metrics ``points`` a CSV file with columns
            y, x and maybe class, or a folder of such: pixels of the image that the prediction was made from.
        metrics: families of metrics: ``semantic``, ``isbi``, ``instances``, as a list or with commas, or ``points`` alone;
            None for ``semantic``, of points for ``points``.
        distance: for ``points``, how far an object's centroid may be from its point: microns, or pixels of that image as in
            "6px"; None for 3 microns.
        frame: of polygons, whether coordinates count from the scanned part of the slide (``bounds``), where its file names
            that, or from the whole ``slide``; None for what a file of `slideseg.export` says, else the bounds.

    Returns:
        The scores of every image, and their means; `Evaluation.notes` says what was chosen and how values were read.

    Raises:
        ConfigError: if the sides don't fit together, or a metric is unknown or not possible on them.
        DataError: if points or polygons are missing, damaged or outside of their image.
        SlidesegError: if a side is missing, damaged or unfinished.
    """
    prediction, truth = (side if isinstance(side, np.ndarray) else local_path(side) for side in (prediction, truth))
    points = not isinstance(truth, np.ndarray) and holds_points(truth)
    default = POINTS if points else DEFAULT
    families = _checked(default if metrics is None else metrics)
    if families == set(POINTS):
        _check_no_frame(frame)
        return _noted(compare_points(prediction, truth, distance), metrics, default)
    _check_no_points(truth if points else None, families, distance)
    pairs, unmatched = pair_images(prediction, truth, find_polygons if holds_polygons(truth) else None)
    images = [image for pair in pairs for image in _planes(*pair, frame)]
    report = Evaluation(tuple(ImageScores(image.name) for image in images), unmatched=unmatched)
    if families != {"isbi"}:
        counted = [_counted(image) for image in images]
        counts = [one.counts for one in counted]
        reading = _read_values(counted)
        if any(one.ignores for one in counted):
            report = replace(report, notes=("ignored: pixels of polygons called Ignore* count on neither side",))
        report = _with_semantic(report, counts, reading) if "semantic" in families else report
        report = _with_instances(report, images, reading) if "instances" in families else report
    return _noted(_with_isbi(report, images) if "isbi" in families else report, metrics, default)


def _checked(metrics: Sequence[str] | str) -> frozenset[str]:
    """Return the families that were asked for."""
    names = [name.strip() for name in metrics.split(",")] if isinstance(metrics, str) else list(metrics)
    unknown = [name for name in names if name not in FAMILIES]
    if unknown or not names:
        got = ", ".join(unknown) or "none"
        raise ConfigError(explain("no such metrics", got=got, want=f"some of {', '.join(FAMILIES)}"))
    return frozenset(names)


def _check_no_points(points: Source | None, families: frozenset[str], distance: float | str | None) -> None:
    """Refuse points among images, and what only points have where there are none.

    Raises:
        ConfigError: if there are such.
    """
    if set(POINTS) <= families or points is not None:
        what = "points are compared alone" if points is None else f"{points} holds points"
        raise ConfigError(explain(what, got=f"--metrics {','.join(sorted(families))}", want="--metrics points"))
    if distance is not None:
        got = f"--metrics {','.join(sorted(families))}"
        raise ConfigError(explain("--distance is between points and objects", got=got, want="--metrics points"))


def _noted(report: Evaluation, metrics: Sequence[str] | str | None, default: tuple[str, ...]) -> Evaluation:
    """Return the report with a note of what was compared by default where nothing was asked for."""
    note = f"metrics: {', '.join(default)}, as none were named (of {', '.join(FAMILIES)})"
    return report if metrics is not None else replace(report, notes=(note, *report.notes))


def _check_no_frame(frame: Frame | None) -> None:
    if frame is not None:
        raise ConfigError(explain("--frame is of polygons", got=frame, want="GeoJSON as the truth"))


def _planes(name: str, prediction: Source, truth: Source, frame: Frame | None) -> Images:
    """Return the planes of a stack as images of their own."""
    with ExitStack() as stack:
        planes = aligned(*open_pair(prediction, truth, frame, stack)).labels.planes
    names = [name if planes == 1 else f"{name}[{plane}]" for plane in range(planes)]
    return [Image(called, prediction, truth, plane, frame) for plane, called in enumerate(names)]


@dataclass(frozen=True, slots=True)
class _Counted:
    """The counted pairs of values of an image, and what is known of them."""

    classes: Classes | None
    """The prediction's classes, where it knows them."""
    names_classes: bool
    """Whether the truth names several of these."""
    ignores: bool
    """Whether pixels of the truth don't count."""
    counts: SemanticCounts


def _counted(image: Image) -> _Counted:
    with ExitStack() as stack:
        prediction, truth = image.opened(stack)
        counts = count_values(aligned(prediction, truth), truth)
        return _Counted(prediction.classes, truth.names_classes, truth.ignored is not None, counts)


def _read_values(images: list[_Counted]) -> _Reading:
    """Decide what the values mean: of the truth, and of predictions that are no results."""
    named, counts = [image.classes for image in images], [image.counts for image in images]
    if len(set(named)) > 1:
        kinds = list(set(named))[:2]
        got = " and ".join(", ".join(name for _, name in kind) if kind else "plain values" for kind in kinds)
        raise ConfigError(explain("the predictions have different classes", got=got, want="one model's"))
    predicted = frozenset[int]().union(*(image.predicted_values for image in counts))
    true = frozenset[int]().union(*(image.true_values for image in counts))
    classes = named[0]
    if classes is None:
        plain = sorted(predicted | {0})
        classes = tuple((value, str(value)) for value in plain) if len(plain) <= MOST_PLAIN_CLASSES else ()
    mask = len(true - {0}) <= 1 and len(classes) > 2  # one value cannot tell several classes apart, whatever it is
    mask = mask and not any(image.names_classes for image in images)
    same = not mask and true <= {value for value, _ in classes}
    return _Reading(
        compared="classes" if same else "foreground",
        classes=classes,
        prediction_is_mask=all(len(image.predicted_values - {0}) <= 1 for image in counts),
        truth_is_mask=(same and named[0] is not None) or all(len(image.true_values - {0}) <= 1 for image in counts),
    )


def _with_semantic(report: Evaluation, counts: list[SemanticCounts], reading: _Reading) -> Evaluation:
    scores = [semantic_scores(image_counts, reading.compared, reading.classes) for image_counts in counts]
    summary = summarise(scores, sum(counts, SemanticCounts.empty()))
    images = tuple(replace(image, semantic=image_scores) for image, image_scores in zip(report.images, scores, strict=True))
    return replace(report, images=images, semantic=summary, notes=(*report.notes, _semantic_note(reading)))


def _semantic_note(reading: _Reading) -> str:
    """Return what both sides' values were taken for."""
    if reading.compared == "classes":
        return f"semantic: both hold class ids ({', '.join(name for _, name in reading.classes)}), compared class by class"
    predicted = "a mask" if reading.prediction_is_mask else "class ids" if reading.classes else "instance ids"
    true = "a mask" if reading.truth_is_mask else "instance ids or other classes"
    return f"semantic: the prediction holds {predicted}, the truth {true}; above 0 is compared with 0"


def _with_isbi(report: Evaluation, images: Images) -> Evaluation:
    by_threshold, kinds = [], set()
    for image in images:
        with ExitStack() as stack:
            prediction, truth = image.opened(stack)
            prediction = aligned(prediction, truth)
            by_threshold.append(_isbi_scores(prediction, truth))
            kinds.add("class maps" if prediction.probability is None else "probabilities, each score at its best threshold")
    pairs = zip(report.images, by_threshold, strict=True)
    found = tuple(replace(image, isbi=best_scores([scores])) for image, scores in pairs)
    note = f"isbi: predictions are {' or '.join(sorted(kinds))}; in the truth 0 is membrane and above 0 cell"
    return replace(report, images=found, isbi=best_scores(by_threshold), notes=(*report.notes, note))


def _isbi_scores(prediction: Side, truth: Side) -> tuple[IsbiScores, ...]:
    """Judge a plane, at every threshold where it holds probabilities."""
    grid = prediction.labels if prediction.probability is None else prediction.probability
    if truth.labels.dtype.kind == "f":
        raise ConfigError(
            explain(f"{truth.name} holds fractions", got=truth.labels.dtype.name, want="0 membrane, above 0 cell")
        )
    if truth.ignored is not None:
        raise ConfigError(explain(f"{truth.name} has polygons called Ignore*", want="none: isbi metrics need whole planes"))
    rows, columns = truth.labels.shape
    if rows * columns > LARGEST_ISBI:
        want = f"at most {LARGEST_ISBI >> 20} Mpx a plane"
        raise ConfigError(explain("isbi metrics need whole planes", got=f"{rows} x {columns}", want=want, try_="a cut-out"))
    whole = Box(0, 0, rows, columns)
    predicted = grid.read(whole, 0)
    if predicted.dtype.kind == "f" and not (predicted.min() >= 0 and predicted.max() <= 1):  # NaN is neither
        got = f"{predicted.min():g} to {predicted.max():g}"
        raise ConfigError(explain(f"{prediction.name} holds no probabilities", got=got, want="0 to 1"))
    return plane_scores(predicted, truth.labels.read(whole, 0))


def _with_instances(report: Evaluation, images: Images, reading: _Reading) -> Evaluation:
    scores, notes, seams = [], set(), {}
    for image in images:
        with ExitStack() as stack:
            prediction, truth = image.opened(stack)
            if prediction.across_seams is not None:
                seams[prediction.name] = prediction.across_seams
            predicted, predicted_from = objects_of(prediction, reading.classes, is_mask=reading.prediction_is_mask)
            true, true_from = objects_of(truth, reading.classes, is_mask=reading.truth_is_mask)
            moved = aligned(replace(prediction, labels=predicted), truth).labels
            scores.append(compare_objects(moved, true, truth.ignored))
            notes.add(f"instances: predicted objects are {predicted_from}, true ones {true_from}")
    found = tuple(replace(image, instances=image_scores) for image, image_scores in zip(report.images, scores, strict=True))
    if seams:
        notes.add(f"seams: {sum(seams.values())} of the predicted objects lie in several shards; slideseg verify looks at such")
    return replace(report, images=found, instances=mean_scores(scores), notes=(*report.notes, *sorted(notes)))
