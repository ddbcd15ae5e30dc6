"""Pairs of finds and points: as many as can be, by the shortest ways, and what is counted of them."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from slideseg.evaluation.metrics.points import (
    NOBODY,
    PointScores,
    confuse,
    count_doubled,
    count_several,
    pair,
)

places = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=7).map(
    lambda rows: np.array(rows, float).reshape(-1, 2)
)


def held_by_nobody(points: np.ndarray) -> np.ndarray:
    return np.full(len(points), NOBODY)


def best_by_trying(found: np.ndarray, points: np.ndarray, distance: float) -> tuple[int, float]:
    """Return the most pairs and their smallest sum of distances, by trying all."""
    few, many = (found, points) if len(found) <= len(points) else (points, found)
    best = (0, 0.0)
    for order in permutations(range(len(many)), len(few)):
        lengths = np.linalg.norm(few - many[list(order)], axis=1)
        near = lengths[lengths <= distance]
        best = min(best, (-len(near), float(near.sum())))
    return -best[0], best[1]


def test_a_greedy_choice_would_lose_a_pair() -> None:
    """The first find is nearest to the point that the second one needs."""
    found, points = np.array([[0.0, 5.0], [0.0, 9.0]]), np.array([[0.0, 1.5], [0.0, 6.0]])
    pairs = pair(found, points, 4.0)
    assert pairs.find_of.tolist() == [0, 1]
    assert pairs.point_of.tolist() == [0, 1]


def test_of_two_choices_the_nearer_one_is_taken() -> None:
    found, points = np.array([[0.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 2.0], [0.0, 0.0]])
    assert pair(found, points, 5.0).find_of.tolist() == [1, 0]


@pytest.mark.parametrize("distance", [1e3, 1e15, 1e308])
def test_a_distance_beyond_all_points_is_as_good_as_none(distance: float) -> None:
    found, points = np.array([[0.0, 0], [0, 3]]), np.array([[0.0, 2], [0, 9]])
    pairs = pair(found, points, distance)
    assert pairs.find_of.tolist() == [0, 1], "2 and 6 away, not 9 and 1"


def test_the_distance_itself_is_near_enough() -> None:
    assert pair(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), 5.0).find_of.tolist() == [0]
    assert pair(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), 4.99).find_of.tolist() == [NOBODY]


@given(places, places, st.sampled_from([0.5, 2.0, 5.0, 50.0]))
def test_pairs_are_as_many_as_can_be_and_as_short(found: np.ndarray, points: np.ndarray, distance: float) -> None:
    pairs = pair(found, points, distance)
    there = np.flatnonzero(pairs.find_of != NOBODY)
    lengths = np.linalg.norm(found[pairs.find_of[there]] - points[there], axis=1)
    most, shortest = best_by_trying(found, points, distance)
    assert len(there) == most
    assert lengths.sum() == pytest.approx(shortest)
    assert (lengths <= distance).all()
    assert pairs.point_of[pairs.find_of[there]].tolist() == there.tolist()
    assert (pairs.point_of != NOBODY).sum() == len(there)


@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.integers(0, 300), st.floats(0.1, 20))
def test_many_are_paired_as_often_as_a_maximum_matching_has_it(seed: int, finds: int, ends: int, distance: float) -> None:
    random = np.random.default_rng(seed)
    found, points = random.random((finds, 2)) * 60, random.random((ends, 2)) * 60
    near = np.linalg.norm(found[:, None] - points[None], axis=2) <= distance
    expected = (maximum_bipartite_matching(csr_matrix(near), perm_type="column") >= 0).sum() if near.size else 0
    assert (pair(found, points, distance).find_of != NOBODY).sum() == expected


@given(places, places, st.sampled_from([2.0, 5.0]))
def test_who_is_a_find_and_who_a_point_does_not_matter(found: np.ndarray, points: np.ndarray, distance: float) -> None:
    one, other = pair(found, points, distance), pair(points, found, distance)
    assert (one.find_of != NOBODY).sum() == (other.find_of != NOBODY).sum()


@given(places, st.sampled_from([1.0, 5.0]))
def test_the_points_themselves_are_all_found_and_none_twice(points: np.ndarray, distance: float) -> None:
    points = np.unique(points, axis=0)
    pairs = pair(points, points, distance)
    assert pairs.find_of.tolist() == list(range(len(points)))
    assert count_doubled(pairs, points, points, np.arange(len(points)), distance) == 0


def test_a_second_find_beside_a_point_doubles_it() -> None:
    found, points = np.array([[0.0, 0.0], [0.0, 2.0], [0.0, 2.5], [9.0, 9.0]]), np.array([[0.0, 0.0], [0.0, 40.0]])
    pairs = pair(found, points, 3.0)
    assert count_doubled(pairs, found, points, held_by_nobody(points), 3.0) == 1  # two more finds, but one point
    assert count_doubled(pair(found, points, 1.0), found, points, held_by_nobody(points), 1.0) == 0


def test_a_find_whose_outline_holds_the_point_of_another_doubles_it() -> None:
    found, points = np.array([[0.0, 0.0], [0.0, 20.0]]), np.array([[0.0, 1.0]])
    pairs = pair(found, points, 3.0)
    assert count_doubled(pairs, found, points, np.array([1]), 3.0) == 1
    assert count_doubled(pairs, found, points, np.array([0]), 3.0) == 0


def test_neighbours_with_points_of_their_own_double_nothing() -> None:
    found = points = np.array([[0.0, 0.0], [0.0, 2.0]])
    assert count_doubled(pair(found, points, 3.0), found, points, np.array([0, 1]), 3.0) == 0


def test_a_find_doubles_only_the_nearest_of_the_points_it_claims() -> None:
    found = np.array([[0.0, 0.0], [0.0, 4.0], [0.0, 1.5]])
    points = np.array([[0.0, 0.0], [0.0, 4.0]])
    assert count_doubled(pair(found, points, 3.0), found, points, held_by_nobody(points), 3.0) == 1


def test_outlines_with_several_points_are_counted_once() -> None:
    assert count_several(np.array([NOBODY, NOBODY, 4, 4, 4, 2, 7, 7])) == 2
    assert count_several(np.zeros(0, int)) == 0


def test_shares_follow_from_counts_and_counts_add_up() -> None:
    one, other = PointScores.of_counts(10, 5, 4, 1, 2), PointScores.of_counts(0, 5, 0, 0, 0)
    assert (one.recall, one.precision, one.missed) == (0.4, 0.8, 6)
    assert one.f1 == pytest.approx(8 / 15)
    assert (other.recall, other.precision, other.f1) == (1, 0, 0)
    assert one + other == PointScores.of_counts(10, 10, 4, 1, 2)
    nothing = PointScores.of_counts(0, 0, 0, 0, 0)
    assert (nothing.recall, nothing.precision, nothing.f1) == (1, 1, 1)


def test_classes_are_told_apart_and_added_by_name() -> None:
    found, points = np.array([[0.0, 0.0], [0.0, 50.0], [90.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 51.0], [20.0, 20.0]])
    pairs = pair(found, points, 3.0)
    one = confuse(pairs, ["a", "b", "b"], ["a", "c", "c"], ["a", "b"])
    assert (one.truth, one.predicted) == (("a", "b", "c"), ("a", "b"))
    assert one.matched == ((1, 0), (0, 0), (0, 1))
    assert one.missed == (0, 0, 1)
    assert one.extra == (0, 1)
    other = confuse(pairs, ["b", "b", "a"], ["d", "c", "c"], ["b", "a"])
    total = one + other
    assert (total.truth, total.predicted) == (("a", "b", "c", "d"), ("a", "b"))
    assert total.matched == ((1, 0), (0, 0), (0, 2), (0, 1))
    assert total.missed == (0, 0, 2, 0)
    assert total.extra == (1, 1)
