"""Pixels of class maps: accuracy, Dice and intersection over union of every class, and of any class against background.

Dice = 2 TP / (2 TP + FP + FN) (Dice 1945; Sørensen 1948), IoU = TP / (TP + FP + FN) (Jaccard 1912), with TP the pixels that
have the class in both images, FP only in the prediction, FN only in the truth. Both are 1 where neither image has the class.
Precision = TP / (TP + FP), 1 where the prediction does not have the class; recall = TP / (TP + FN), 1 where the truth does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

OTHERS = range(256, 320)
"""Stand for the values that no class id can be: many different ones take several of these, a single one takes one."""
_SIDE = OTHERS.stop
SCORES = ("dice", "iou", "precision", "recall")
"""The scores of a class, and of the foreground."""
Compared = Literal["classes", "foreground"]
"""What is compared: class with class, or any class above 0 with background."""


@dataclass(frozen=True, slots=True, eq=False)
class SemanticCounts:
    """How many pixels have which pair of values. Its size is fixed, and counts of parts of an image add up to its counts."""

    pixels: npt.NDArray[np.int64]
    """(predicted value, true value), 320 x 320; values outside 0 to 255 are in the last rows and columns, see `OTHERS`."""

    @classmethod
    def of(cls, predicted: npt.NDArray[np.integer], truth: npt.NDArray[np.integer]) -> SemanticCounts:
        """Count the pairs of two label images of one shape.

        Raises:
            ValueError: if the shapes differ.
        """
        if predicted.shape != truth.shape:
            msg = f"label images of shapes {predicted.shape} and {truth.shape}"
            raise ValueError(msg)
        pairs = _bounded(predicted) * _SIDE + _bounded(truth)
        counts = np.bincount(pairs.ravel(), minlength=_SIDE**2)
        return cls(counts.reshape(_SIDE, _SIDE).astype(np.int64, copy=False))

    @classmethod
    def empty(cls) -> SemanticCounts:
        """Return the counts of no pixels, the zero of the addition."""
        return cls(np.zeros((_SIDE, _SIDE), np.int64))

    def __add__(self, other: SemanticCounts) -> SemanticCounts:
        """Return the counts of both parts."""
        return SemanticCounts(self.pixels + other.pixels)

    @property
    def predicted_values(self) -> frozenset[int]:
        """Values of the prediction; `OTHERS` for those above 255."""
        return frozenset(np.flatnonzero(self.pixels.sum(1)).tolist())

    @property
    def true_values(self) -> frozenset[int]:
        """Values of the truth; `OTHERS` for those above 255."""
        return frozenset(np.flatnonzero(self.pixels.sum(0)).tolist())

    def of_class(self, value: int) -> BinaryCounts:
        """Return the counts of one class against all others."""
        both = int(self.pixels[value, value])
        return BinaryCounts(both, int(self.pixels[value].sum()) - both, int(self.pixels[:, value].sum()) - both)

    @property
    def foreground(self) -> BinaryCounts:
        """The counts of any value above 0 against 0."""
        return BinaryCounts(int(self.pixels[1:, 1:].sum()), int(self.pixels[1:, 0].sum()), int(self.pixels[0, 1:].sum()))

    def accuracy(self, compared: Compared) -> float:
        """Return the share of pixels that agree; 1 without pixels."""
        wrong = self.foreground.errors if compared == "foreground" else int(self.pixels.sum() - np.trace(self.pixels))
        return 1 - wrong / max(1, int(self.pixels.sum()))


@dataclass(frozen=True, slots=True)
class BinaryCounts:
    """Pixels of one class against the rest."""

    both: int
    """In both images (TP)."""
    predicted_only: int
    """Only in the prediction (FP)."""
    true_only: int
    """Only in the truth (FN)."""

    @property
    def errors(self) -> int:
        """Pixels that differ."""
        return self.predicted_only + self.true_only

    @property
    def dice(self) -> float:
        """Twice the shared pixels over the pixels of both; 1 where neither has any."""
        return 2 * self.both / (2 * self.both + self.errors) if self.both or self.errors else 1.0

    @property
    def iou(self) -> float:
        """Shared pixels over pixels of either; 1 where neither has any."""
        return self.both / (self.both + self.errors) if self.both or self.errors else 1.0

    @property
    def precision(self) -> float:
        """The share of the prediction's pixels that the truth has; 1 without any."""
        return self.both / (self.both + self.predicted_only) if self.both or self.predicted_only else 1.0

    @property
    def recall(self) -> float:
        """The share of the truth's pixels that the prediction has; 1 without any."""
        return self.both / (self.both + self.true_only) if self.both or self.true_only else 1.0


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How well one class was found."""

    id: int
    """Its value in the class map."""
    name: str
    """Its name; the id where it has none."""
    dice: float
    """Dice."""
    iou: float
    """Intersection over union."""
    precision: float
    """Share of what was predicted that is right."""
    recall: float
    """Share of what is there that was found."""

    @classmethod
    def of(cls, value: int, name: str, counts: BinaryCounts) -> ClassScores:
        """Return the scores of a class from its counts."""
        return cls(value, name, counts.dice, counts.iou, counts.precision, counts.recall)


@dataclass(frozen=True, slots=True)
class SemanticScores:
    """How well the pixels of one image were classified."""

    compared: Compared
    """Classes, or only foreground against background: then `classes` is empty and the accuracy is that of the two."""
    pixel_accuracy: float
    """Share of pixels that agree."""
    pixel_error: float
    """Share of pixels that don't."""
    dice: float
    """Dice of the foreground: any class above 0."""
    iou: float
    """Intersection over union of the foreground."""
    precision: float
    """Share of the predicted foreground that is right."""
    recall: float
    """Share of the true foreground that was found."""
    classes: tuple[ClassScores, ...]
    """Every class, background included."""


@dataclass(frozen=True, slots=True)
class SemanticSummary(SemanticScores):
    """The means over images, and the foreground's scores over all pixels of all images."""

    dice_pooled: float
    """Dice of the foreground from the added counts."""
    iou_pooled: float
    """Intersection over union of the foreground from the added counts."""
    precision_pooled: float
    """Precision of the foreground from the added counts."""
    recall_pooled: float
    """Recall of the foreground from the added counts."""


def semantic_scores(counts: SemanticCounts, compared: Compared, classes: Sequence[tuple[int, str]]) -> SemanticScores:
    """Return the scores of an image; ``classes`` are ids and names, and used where classes are compared."""
    foreground, accuracy = counts.foreground, counts.accuracy(compared)
    ids = classes if compared == "classes" else ()
    return SemanticScores(
        compared=compared,
        pixel_accuracy=accuracy,
        pixel_error=1 - accuracy,
        dice=foreground.dice,
        iou=foreground.iou,
        precision=foreground.precision,
        recall=foreground.recall,
        classes=tuple(ClassScores.of(value, name, counts.of_class(value)) for value, name in ids),
    )


def summarise(images: Sequence[SemanticScores], pooled: SemanticCounts) -> SemanticSummary:
    """Return the mean scores of images (at least one) that were compared alike, and those of their added counts."""
    first, foreground = images[0], pooled.foreground
    means = {name: _mean([getattr(image, name) for image in images]) for name in ("pixel_accuracy", "pixel_error", *SCORES)}
    return SemanticSummary(
        compared=first.compared,
        classes=tuple(
            ClassScores(c.id, c.name, *(_mean([getattr(image.classes[n], name) for image in images]) for name in SCORES))
            for n, c in enumerate(first.classes)
        ),
        **means,
        **{f"{name}_pooled": getattr(foreground, name) for name in SCORES},
    )


def _bounded(values: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    wide = values.astype(np.int64)
    beyond = (wide < 0) | (wide >= OTHERS.start)
    wide[beyond] = OTHERS.start + wide[beyond] % len(OTHERS)
    return wide


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
