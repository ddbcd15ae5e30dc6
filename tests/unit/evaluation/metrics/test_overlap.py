"""The overlap table counts pairs of ids, and tables of parts add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slideseg.evaluation.metrics import overlap
from slideseg.evaluation.metrics.overlap import ROWS_AT_ONCE, OverlapTable, add_up, totals

LABELS = arrays(np.int32, st.shared(st.tuples(st.integers(1, 9), st.integers(1, 9)), key="shape"), elements=st.integers(0, 5))


def rows(table: OverlapTable) -> list[tuple[int, int, int]]:
    return list(zip(table.predicted.tolist(), table.truth.tolist(), table.pixels.tolist(), strict=True))


def test_pairs_are_counted_once_each() -> None:
    predicted = np.array([[0, 7, 7], [0, 0, 7]])
    truth = np.array([[0, 0, 3], [3, 0, 3]])
    assert rows(OverlapTable.of(predicted, truth)) == [(0, 0, 2), (0, 3, 1), (7, 0, 1), (7, 3, 2)]


def test_large_ids_stay_apart() -> None:
    ids = np.array([2**62, 2**62 + 1], np.uint64)
    assert rows(OverlapTable.of(ids, ids)) == [(2**62, 2**62, 1), (2**62 + 1, 2**62 + 1, 1)]


def test_no_pixels_are_an_empty_table() -> None:
    assert rows(OverlapTable.of(np.zeros((0, 3), int), np.zeros((0, 3), int))) == rows(OverlapTable.empty()) == []
    assert rows(OverlapTable.empty() + OverlapTable.empty()) == []


def test_shapes_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="shapes"):
        OverlapTable.of(np.zeros((2, 3), int), np.zeros((3, 2), int))


@given(LABELS, LABELS, st.integers(0, 9))
def test_parts_add_up_to_the_whole(predicted: np.ndarray, truth: np.ndarray, cut: int) -> None:
    whole = OverlapTable.of(predicted, truth)
    parts = OverlapTable.of(predicted[:cut], truth[:cut]) + OverlapTable.of(predicted[cut:], truth[cut:])
    assert rows(parts) == rows(whole)
    assert sum(whole.pixels) == truth.size


@pytest.mark.parametrize("at_once", [0, 3, ROWS_AT_ONCE])
def test_many_parts_add_up_to_the_whole(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "ROWS_AT_ONCE", at_once)
    predicted, truth = np.random.default_rng(0).integers(0, 4, (2, 30, 5))
    parts = (OverlapTable.of(predicted[n], truth[n]) for n in range(30))
    assert rows(add_up(parts)) == rows(OverlapTable.of(predicted, truth))
    assert rows(add_up([])) == []


def test_totals_add_the_rows_of_an_id() -> None:
    unique, sums = totals(np.array([4, 2, 4]), np.array([1, 10, 100]))
    assert unique.tolist() == [2, 4]
    assert sums.tolist() == [10, 101]
