"""Compare predictions with the truth, image by image and block by block.

Pixels and objects are counted in blocks and the counts added, so a whole slide needs no more memory than a tile. The metrics
of membranes, and objects that have to be made from a class map, need whole planes, and are refused where those are too large.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.evaluation.metrics.instances import InstanceScores, instance_scores, instances_of_classes, mean_scores
from slideseg.evaluation.metrics.isbi import IsbiScores, best_scores, plane_scores
from slideseg.evaluation.metrics.overlap import OverlapTable, add_up
from slideseg.evaluation.metrics.semantic import Compared, SemanticCounts, semantic_scores, summarise
from slideseg.evaluation.report import FAMILIES, Evaluation, ImageScores
from slideseg.evaluation.sources import Grid, Side, Source, aligned, open_side, pair_images
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT = ("semantic",)
"""The families of metrics where none is named."""
BLOCK = 2048
"""Side of the blocks that are counted at once: that of a shard."""
LARGEST_COMPONENTS = 64 << 20
"""Pixels of the largest plane whose objects are made from a class map."""
LARGEST_ISBI = 256 << 20
"""Pixels of the largest plane whose membranes are judged."""
MOST_PLAIN_CLASSES = 8
"""A plain prediction with more values than this holds instance ids, not classes."""
BORDERS = frozenset({"border", "boundary"})
"""Names of the class that parts touching objects."""
Classes = tuple[tuple[int, str], ...]
"""Ids and names of classes."""
Image = tuple[str, Source, Source, int]
"""Name, prediction and truth of an image, and its plane."""
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


def evaluate(prediction: Source, truth: Source, metrics: Sequence[str] | str | None = None) -> Evaluation:
    """Compare segmentations with the truth.

    Args:
        prediction: a result store, a zarr array, an OME-Zarr label, a TIFF (stack), a PNG, a numpy array (y, x) or (z, y, x),
            or a folder of such files, matched with the truth's by name without ending.
        truth: the same; it may hold class ids, instance ids or a mask. A result that was made at a coarser resolution is
            brought to its slide's level 0 where the truth has that shape.
        metrics: families of metrics: ``semantic``, ``isbi``, ``instances``, as a list or with commas; None for ``semantic``.

    Returns:
        The scores of every image, and their means; `Evaluation.notes` says what was chosen and how values were read.

    Raises:
        ConfigError: if the sides don't fit together, or a metric is unknown or not possible on them.
        SlidesegError: if a side is missing, damaged or unfinished.
    """
    families = _checked(DEFAULT if metrics is None else metrics)
    pairs, unmatched = pair_images(prediction, truth)
    images = [image for pair in pairs for image in _planes(*pair)]
    notes = (f"metrics: {', '.join(DEFAULT)}, as none were named (of {', '.join(FAMILIES)})",) if metrics is None else ()
    report = Evaluation(tuple(ImageScores(image[0]) for image in images), notes=notes, unmatched=unmatched)
    if families != {"isbi"}:
        counted = [_counted(image) for image in images]
        counts = [image_counts for _, image_counts in counted]
        reading = _read_values([classes for classes, _ in counted], counts)
        report = _with_semantic(report, counts, reading) if "semantic" in families else report
        report = _with_instances(report, images, reading) if "instances" in families else report
    return _with_isbi(report, images) if "isbi" in families else report


def _checked(metrics: Sequence[str] | str) -> frozenset[str]:
    """Return the families that were asked for."""
    names = [name.strip() for name in metrics.split(",")] if isinstance(metrics, str) else list(metrics)
    unknown = [name for name in names if name not in FAMILIES]
    if unknown or not names:
        got = ", ".join(unknown) or "none"
        raise ConfigError(explain("no such metrics", got=got, want=f"some of {', '.join(FAMILIES)}"))
    return frozenset(names)


def _planes(name: str, prediction: Source, truth: Source) -> Images:
    """Return the planes of a stack as images of their own."""
    with ExitStack() as stack:
        opened = open_side(truth, stack)
        planes = aligned(open_side(prediction, stack), opened).labels.planes
    return [(name if planes == 1 else f"{name}[{plane}]", prediction, truth, plane) for plane in range(planes)]


def _opened(image: Image, stack: ExitStack) -> tuple[Side, Side]:
    """Return the prediction, on the truth's grid, and the truth of an image."""
    _, prediction, truth, plane = image
    opened = open_side(truth, stack)
    return aligned(open_side(prediction, stack), opened).only(plane), opened.only(plane)


def _counted(image: Image) -> tuple[Classes | None, SemanticCounts]:
    """Return the prediction's classes, where it knows them, and the counted pairs of values."""
    with ExitStack() as stack:
        prediction, truth = _opened(image, stack)
        return prediction.classes, _counts(prediction, truth)


def _counts(prediction: Side, truth: Side) -> SemanticCounts:
    """Count pairs of values, block by block."""
    for side in (prediction, truth):
        if side.labels.dtype.kind == "f":
            want, try_ = "class ids or instance ids", "--metrics isbi, which takes probabilities of cell as the prediction"
            raise ConfigError(explain(f"{side.name} holds fractions", got=side.labels.dtype.name, want=want, try_=try_))
    total = SemanticCounts.empty()
    for box in Box.of_shape(truth.labels.shape).split(BLOCK, BLOCK):
        total += SemanticCounts.of(*(_checked_ids(side, side.labels.read(box, 0)) for side in (prediction, truth)))
    return total


def _checked_ids(side: Side, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "i" and values.min() < 0:
        raise ConfigError(explain(f"{side.name} holds values below 0", got=values.min(), want="class ids or instance ids"))
    return values


def _read_values(named: list[Classes | None], counts: list[SemanticCounts]) -> _Reading:
    """Decide what the values mean: of the truth, and of predictions that are no results."""
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
            prediction, truth = _opened(image, stack)
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
            truth = open_side(image[2], stack).only(image[3])
            prediction = open_side(image[1], stack).only(image[3])
            if prediction.across_seams is not None:
                seams[prediction.name] = prediction.across_seams
            predicted, predicted_from = _objects(prediction, reading.classes, is_mask=reading.prediction_is_mask)
            true, true_from = _objects(truth, reading.classes, is_mask=reading.truth_is_mask)
            moved = aligned(replace(prediction, labels=predicted), truth).labels
            scores.append(_instance_scores(moved, true))
            notes.add(f"instances: predicted objects are {predicted_from}, true ones {true_from}")
    found = tuple(replace(image, instances=image_scores) for image, image_scores in zip(report.images, scores, strict=True))
    if seams:
        notes.add(f"seams: {sum(seams.values())} of the predicted objects lie in several shards; slideseg verify looks at such")
    return replace(report, images=found, instances=mean_scores(scores), notes=(*report.notes, *sorted(notes)))


def _objects(side: Side, classes: Classes, *, is_mask: bool) -> tuple[Grid, Literal["the result's", "ids", "connected parts"]]:
    """Return a side's objects, and where they come from."""
    if side.objects is not None:
        return side.objects, "the result's"
    if not (side.classes is not None or is_mask):
        return side.labels, "ids"
    border = next((value for value, name in side.classes or classes if name.lower() in BORDERS), None)
    return _components(side, border), "connected parts"


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


def _instance_scores(predicted: Grid, true: Grid) -> InstanceScores:
    """Add up the overlaps block by block."""
    boxes = Box.of_shape(true.shape).split(BLOCK, BLOCK)
    return instance_scores(add_up(OverlapTable.of(predicted.read(box, 0), true.read(box, 0)) for box in boxes))
