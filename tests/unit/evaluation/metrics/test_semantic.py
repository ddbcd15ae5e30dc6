"""Dice, IoU and accuracy from counts that add up."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_precision, multiclass_recall

from slideseg.evaluation.metrics.semantic import OTHERS, SemanticCounts, semantic_scores, summarise

CLASSES = [(0, "background"), (1, "nucleus"), (2, "border")]
LABELS = arrays(np.int32, st.shared(st.tuples(st.integers(1, 9), st.integers(1, 9)), key="shape"), elements=st.integers(0, 300))


def test_a_case_by_hand() -> None:
    predicted = np.array([[0, 1, 1, 2], [0, 0, 1, 1]])
    truth = np.array([[0, 1, 2, 2], [1, 0, 1, 0]])
    scores = semantic_scores(SemanticCounts.of(predicted, truth), "classes", CLASSES)
    assert scores.pixel_accuracy == pytest.approx(5 / 8)
    assert scores.pixel_error == pytest.approx(3 / 8)
    assert scores.dice == pytest.approx(2 * 4 / (5 + 5))
    assert scores.iou == pytest.approx(4 / 6)
    assert [(c.name, c.dice, c.iou) for c in scores.classes] == [
        ("background", pytest.approx(4 / 6), pytest.approx(2 / 4)),
        ("nucleus", pytest.approx(4 / 7), pytest.approx(2 / 5)),
        ("border", pytest.approx(2 / 3), pytest.approx(1 / 2)),
    ]


def test_precision_and_recall_by_hand() -> None:
    predicted = np.array([[0, 1, 1, 2], [0, 0, 1, 1]])
    truth = np.array([[0, 1, 2, 2], [1, 0, 1, 0]])
    counts = SemanticCounts.of(predicted, truth)
    scores = semantic_scores(counts, "classes", [*CLASSES, (3, "absent")])
    assert (scores.precision, scores.recall) == (pytest.approx(4 / 5), pytest.approx(4 / 5))
    assert [(c.precision, c.recall) for c in scores.classes] == [
        (pytest.approx(2 / 3), pytest.approx(2 / 3)),
        (pytest.approx(2 / 4), pytest.approx(2 / 3)),
        (pytest.approx(1), pytest.approx(1 / 2)),
        (1, 1),
    ]
    fewer = np.where(predicted == 2, 0, predicted)
    border = semantic_scores(SemanticCounts.of(fewer, truth), "classes", CLASSES).classes[2]
    assert (border.precision, border.recall, border.dice) == (1, 0, 0)


@given(LABELS, LABELS)
def test_scores_of_classes_are_those_of_torchmetrics(predicted: np.ndarray, truth: np.ndarray) -> None:
    """But where there is nothing to divide by."""
    predicted, truth = predicted % 3, truth % 3
    found = semantic_scores(SemanticCounts.of(predicted, truth), "classes", CLASSES)
    pair = torch.tensor(predicted), torch.tensor(truth)
    for name, oracle in {"precision": multiclass_precision, "recall": multiclass_recall, "dice": multiclass_f1_score}.items():
        divisor = {"precision": predicted, "recall": truth, "dice": np.concatenate([predicted, truth])}[name]
        for one, want in zip(found.classes, oracle(*pair, num_classes=3, average=None).tolist(), strict=True):
            assert getattr(one, name) == (pytest.approx(want, abs=1e-6) if (divisor == one.id).any() else 1)


def test_instance_ids_are_compared_as_foreground() -> None:
    """Any class above 0 is nucleus: a prediction of three classes against ids."""
    predicted, truth = np.array([[0, 1, 2, 1]]), np.array([[0, 700, 0, 701]], np.uint16)
    counts = SemanticCounts.of(predicted, truth)
    scores = semantic_scores(counts, "foreground", CLASSES)
    assert scores.pixel_accuracy == pytest.approx(3 / 4)
    assert scores.dice == pytest.approx(4 / 5)
    assert scores.classes == ()
    assert len(counts.true_values - {0}) == 2
    assert counts.true_values - {0} <= set(OTHERS)
    assert counts.predicted_values == {0, 1, 2}


def test_two_empty_images_are_alike_and_one_is_not() -> None:
    empty, full = np.zeros((2, 2), int), np.ones((2, 2), int)
    assert semantic_scores(SemanticCounts.of(empty, empty), "classes", CLASSES).dice == 1
    assert semantic_scores(SemanticCounts.of(full, empty), "classes", CLASSES).dice == 0
    assert semantic_scores(SemanticCounts.of(empty, full), "foreground", CLASSES).iou == 0


def test_the_mean_over_images_is_not_the_pooled_score() -> None:
    """A small bad image weighs as much as a large good one in the mean, and little in the pooled score."""
    bad = SemanticCounts.of(np.array([[1, 0]]), np.array([[0, 1]]))
    good = SemanticCounts.of(np.ones((5, 5), int), np.ones((5, 5), int))
    images = [semantic_scores(counts, "classes", CLASSES[:2]) for counts in (bad, good)]
    summary = summarise(images, bad + good)
    assert summary.dice == pytest.approx(0.5)
    assert summary.dice_pooled == pytest.approx(50 / 52)
    assert summary.iou_pooled == pytest.approx(25 / 27)
    assert summary.precision == summary.recall == pytest.approx(0.5)
    assert summary.precision_pooled == summary.recall_pooled == pytest.approx(25 / 26)
    assert summary.classes[1].recall == pytest.approx(0.5)
    assert summary.classes[1].dice == pytest.approx(0.5)


@given(LABELS, LABELS, st.integers(0, 9))
def test_parts_add_up_to_the_whole(predicted: np.ndarray, truth: np.ndarray, cut: int) -> None:
    whole = SemanticCounts.of(predicted, truth)
    parts = SemanticCounts.of(predicted[:cut], truth[:cut]) + SemanticCounts.of(predicted[cut:], truth[cut:])
    assert (whole.pixels == parts.pixels).all()
    assert (whole.pixels == (SemanticCounts.empty() + whole).pixels).all()
    assert whole.foreground.both == np.sum((predicted > 0) & (truth > 0))
    assert whole.foreground.errors == np.sum((predicted > 0) != (truth > 0))


def test_negative_values_are_foreground_that_is_no_class() -> None:
    counts = SemanticCounts.of(np.array([-1]), np.array([256]))
    assert counts.foreground.both == 1
    assert counts.pixels[OTHERS.start :, OTHERS.start :].sum() == 1


def test_shapes_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="shapes"):
        SemanticCounts.of(np.zeros((2, 3), int), np.zeros((3, 2), int))
