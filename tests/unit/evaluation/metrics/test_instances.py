"""Object scores by hand, and panoptic quality against torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.detection import PanopticQuality

from slideseg.evaluation.metrics.instances import InstanceScores, instance_scores, instances_of_classes, mean_scores
from slideseg.evaluation.metrics.overlap import OverlapTable


def squares(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (40, 40)) -> np.ndarray:
    """Objects 1, 2 .. in boxes (y0, x0, y1, x1)."""
    labels = np.zeros(shape, np.int32)
    for n, (y0, x0, y1, x1) in enumerate(boxes, 1):
        labels[y0:y1, x0:x1] = n
    return labels


def scores(predicted: np.ndarray, truth: np.ndarray) -> InstanceScores:
    return instance_scores(OverlapTable.of(predicted, truth))


def test_a_case_by_hand() -> None:
    """One object found with IoU 0.6, one with 0.25 (no match), one missed, one invented.

    Truth 10 x 10 each; predicted: rows 0-5 of the first (60 of 100), 10 x 4 of the second beside 60 pixels elsewhere
    (40 of 160), and 5 x 5 far away.
    """
    truth = squares((0, 0, 10, 10), (0, 20, 10, 30), (20, 0, 30, 10))
    predicted = squares((0, 0, 6, 10), (0, 26, 10, 36), (30, 30, 35, 35))
    got = scores(predicted, truth)
    assert got.f1 == got.rq == pytest.approx(2 / 6)
    assert got.sq == pytest.approx(0.6)
    assert got.pq == pytest.approx(0.2)
    assert got.ap == pytest.approx(2 * (1 / 5) / 10)  # at 0.5 and 0.55; at 0.6 it is no longer above
    assert got.aji == pytest.approx((60 + 40) / (100 + 160 + 100 + 25))
    assert (got.predicted, got.truth) == (3, 3)


def test_precision_is_of_the_finds_and_recall_of_what_is_there() -> None:
    truth = squares((0, 0, 10, 10), (0, 20, 10, 30), (20, 0, 30, 10), (20, 20, 30, 30))
    predicted = squares((0, 0, 10, 10), (0, 20, 10, 31), (35, 35, 40, 40))
    got = scores(predicted, truth)
    assert (got.precision, got.recall) == (pytest.approx(2 / 3), pytest.approx(2 / 4))
    other = scores(truth, predicted)
    assert (other.precision, other.recall) == (got.recall, got.precision)
    mean = mean_scores([got, other])
    assert mean.precision == mean.recall == pytest.approx((2 / 3 + 2 / 4) / 2)
    assert got.f1 == pytest.approx(2 * got.precision * got.recall / (got.precision + got.recall))


def test_aji_lets_one_object_be_the_best_of_two() -> None:
    truth, merged = squares((0, 0, 10, 10), (0, 10, 10, 20)), squares((0, 0, 10, 20))
    assert scores(merged, truth).aji == pytest.approx((100 + 100) / (200 + 200))
    assert scores(truth, merged).aji == pytest.approx(100 / (200 + 100))
    assert scores(merged, truth).f1 == 0  # an IoU of exactly 0.5 is no match
    assert scores(merged, truth).sq == 0


def test_perfect_empty_and_half_empty() -> None:
    some, none = squares((1, 1, 5, 5), (7, 7, 9, 9)), squares()
    assert scores(some * 1000, some) == InstanceScores(1, 1, 1, 1, 1, 1, 2, 2, 1, 1)
    assert scores(none, none) == InstanceScores(1, 1, 1, 1, 1, 1, 0, 0, 1, 1)
    assert scores(some, none) == InstanceScores(0, 0, 0, 0, 0, 0, 2, 0, 0, 1)
    assert scores(none, some) == InstanceScores(0, 0, 0, 0, 0, 0, 0, 2, 1, 0)


@pytest.mark.parametrize("seed", range(3))
def test_panoptic_quality_is_that_of_torchmetrics(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, predicted = np.zeros((80, 80), np.int32), np.zeros((80, 80), np.int32)
    for n in range(1, 26):
        y, x = 16 * ((n - 1) // 5), 16 * ((n - 1) % 5)
        truth[y : y + 12, x : x + 12] = n
        dy, dx = random.integers(0, 5, 2)
        predicted[y + dy : y + 12, x + dx : x + 12] = n if random.random() > 0.2 else 0
    oracle = PanopticQuality(things={1}, stuffs={0}, return_sq_and_rq=True, return_per_class=True)
    pairs = [torch.tensor(np.stack([labels > 0, labels], -1).astype(np.int64))[None] for labels in (predicted, truth)]
    pq, sq, rq = oracle(*pairs)[0].tolist()
    got = scores(predicted, truth)
    assert (got.pq, got.sq, got.rq) == (pytest.approx(pq), pytest.approx(sq), pytest.approx(rq))
    assert 0 < got.pq < 1


def test_shards_give_what_the_whole_gives() -> None:
    random = np.random.default_rng(0)
    truth = squares(*((y, x, y + 7, x + 7) for y in range(0, 40, 8) for x in range(0, 40, 8)))
    predicted = np.roll(truth, tuple(random.integers(0, 4, 2)), (0, 1))
    table = OverlapTable.empty()
    for y in range(0, 40, 9):
        table += OverlapTable.of(predicted[y : y + 9], truth[y : y + 9])
    assert instance_scores(table) == scores(predicted, truth)


def test_many_objects_are_one_table() -> None:
    truth = np.arange(300 * 300, dtype=np.int32).reshape(300, 300).repeat(2, 0).repeat(2, 1)
    assert scores(truth, truth).truth == 300 * 300 - 1
    assert scores(truth, truth).pq == 1


def test_means_weigh_images_alike() -> None:
    one, none = scores(squares((0, 0, 9, 9)), squares((0, 0, 9, 9))), scores(squares((0, 0, 9, 9)), squares((20, 20, 29, 29)))
    mean = mean_scores([one, none])
    assert (mean.f1, mean.pq, mean.aji, mean.predicted, mean.truth) == (0.5, 0.5, 0.5, 2, 2)


def test_parts_of_a_mask_are_objects_and_a_diagonal_does_not_join_them() -> None:
    mask = np.array([[255, 0, 0], [0, 255, 255]])
    assert instances_of_classes(mask).tolist() == [[1, 0, 0], [0, 2, 2]]


def test_a_border_parts_touching_objects_and_belongs_to_the_nearer() -> None:
    class_map = np.array([[0, 2, 1, 1, 2, 2, 1, 2, 0]])
    assert instances_of_classes(class_map, border=2).tolist() == [[0, 1, 1, 1, 1, 2, 2, 2, 0]]
    assert instances_of_classes(class_map).max() == 1


def test_a_border_without_an_inside_is_an_object() -> None:
    class_map = np.array([[1, 2, 0, 2, 2]])
    assert instances_of_classes(class_map, border=2).tolist() == [[1, 1, 0, 2, 2]]
