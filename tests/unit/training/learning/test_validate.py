"""Scores by hand: what counts as right with one labelled class and with several."""

from __future__ import annotations

import pytest
import torch

from slideseg.training.learning.validate import class_map, confusion, scores_of

NAMES = ["background", "a", "b"]
LOSSES = torch.tensor([6.0, 3.0])
ONE = torch.tensor([[[5, 1, 0], [1, 3, 0], [0, 2, 4]]])
"""One image: rows are the truth, columns what was found."""


def test_a_border_class_is_part_of_the_labelled_one() -> None:
    scores = scores_of(ONE, LOSSES, NAMES, labelled=1)
    assert scores.dice == pytest.approx(2 * 9 / (10 + 10))  # 9 of 10 pixels of either are both above 0
    assert scores.iou == pytest.approx(9 / 11)
    assert scores.loss == 2


def test_taking_one_labelled_class_for_another_is_wrong() -> None:
    scores = scores_of(ONE, LOSSES, NAMES, labelled=2)
    a, b = 2 * 3 / (4 + 6), 2 * 4 / (6 + 4)
    assert scores.dice == pytest.approx((a + b) / 2)
    assert scores.class_dice == pytest.approx({"a": a, "b": b})
    swapped = torch.tensor([[[5, 0, 0], [0, 0, 4], [0, 4, 0]]])
    assert scores_of(swapped, LOSSES, NAMES, labelled=2).dice == 0
    assert scores_of(swapped, LOSSES, NAMES, labelled=1).dice == 1


def test_images_weigh_the_same_and_unseen_ones_do_not_count() -> None:
    perfect, empty = torch.zeros(3, 3, dtype=torch.long), torch.zeros(3, 3, dtype=torch.long)
    perfect[1, 1] = 1000
    unseen = torch.zeros_like(perfect)
    empty[0, 0] = 7  # nothing there and nothing found
    counts = torch.stack([ONE[0], perfect, empty, unseen])
    assert scores_of(counts, LOSSES, NAMES, labelled=1).dice == pytest.approx((0.9 + 1 + 1) / 3)


def test_one_channel_is_a_sigmoid_and_more_are_a_softmax() -> None:
    assert class_map(torch.tensor([-1.0, 0.0, 2.0]).reshape(1, 1, 1, 3)).tolist() == [[[0, 0, 1]]]
    assert class_map(torch.tensor([[1.0, 3.0], [2.0, 0.0]]).reshape(1, 2, 1, 2)).tolist() == [[[1, 0]]]


def test_confusion_counts_pairs() -> None:
    assert confusion(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 1]), 3).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
