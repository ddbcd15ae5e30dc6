"""Runs of an image and what of them touches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from slideseg.instances.labelling.runs import components, join_runs, runs_of


def by_scipy(count, one, other):
    """Return the same as `components`."""
    number, component = connected_components(coo_array((np.ones(one.size), (one, other)), shape=(count, count)), directed=False)
    _, first, which = np.unique(component, return_index=True, return_inverse=True)
    return number, np.argsort(np.argsort(first))[which]


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_components_are_those_of_scipy(drawn):
    count, pairs = drawn
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    number, found = components(count, one, other)
    expected = by_scipy(count, one, other)
    assert number == expected[0]
    np.testing.assert_array_equal(found, expected[1])


@pytest.mark.parametrize(
    "pairs",
    [
        [(n, 5000) for n in range(5000)],  # a star around the last thing
        [(n, n + 1) for n in range(5000)],  # a chain
        [(n, 5000 - n) for n in range(2500)] + [(5000 - n, n + 1) for n in range(2500)],  # a chain from side to side
    ],
)
def test_long_ways_are_one_component(pairs):
    number, found = components(5001, *np.array(pairs).T)
    assert number == 1
    assert not found.any()


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize(
    "image", [np.tile(np.uint8([1, 0]), (64, 32)), np.eye(64, dtype=np.uint8), np.eye(64, dtype=np.uint8)[::-1]]
)
@pytest.mark.parametrize("line", [None, 0, 63])
def test_joined_runs_are_the_parts_that_scipy_finds(image, line, connectivity):
    image = image.copy()
    if line is not None:
        image[line] = 1
    runs = runs_of(image)
    number, part = join_runs(runs, runs.value > 0, connectivity)
    labels, expected = ndimage.label(image, np.ones((3, 3)) if connectivity == 8 else None)
    assert number == expected
    np.testing.assert_array_equal(runs.paint(part), labels)


def test_rows_say_where_each_row_begins():
    runs = runs_of(np.uint8([[1, 1, 0], [0, 0, 0], [1, 0, 1]]))
    assert runs.rows.tolist() == [0, 2, 3, 6]
