"""The weight map against its definition, worked out over the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from slideseg.training.data.weight_map import balance_of, reach_of, two_distances, weight_map
from slideseg.training.recipe.samples import WeightMapConfig

PLAIN = WeightMapConfig(balance=False)


def by_definition(instances, config):
    """Equation 2 of the paper, pixel by pixel and instance by instance."""
    places = np.argwhere(np.ones_like(instances)).reshape(*instances.shape, 1, 2)
    ids = [i for i in np.unique(instances) if i]
    to_each = [np.sqrt(((places - np.argwhere(instances == i)) ** 2).sum(-1)).min(-1) for i in ids]
    distances = np.sort([*to_each, *np.full((2, *instances.shape), np.inf)], axis=0)
    gap = config.w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * config.sigma**2))
    return np.where(instances > 0, 1, 1 + gap)


@st.composite
def blobs(draw):
    """Ids of random pieces, with holes, several parts and gaps in the numbering, on images of any small shape."""
    shape = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    coarse = draw(npst.arrays(np.int32, (4, 4), elements=st.sampled_from([0, 0, 0, 1, 2, 7, 900])))
    y, x = np.mgrid[: shape[0], : shape[1]]
    grown = coarse[(y // 5) % 4, (x // 6) % 4]
    return np.where(draw(npst.arrays(np.bool_, shape)), 0, grown).astype(np.int32)


@given(blobs(), st.sampled_from([0.7, 2.0, 5.0]), st.sampled_from([0.0, 1.0, 10.0]))
def test_it_is_the_papers_equation(instances, sigma, w0):
    config = WeightMapConfig(sigma=sigma, w0=w0, balance=False)
    np.testing.assert_allclose(weight_map(instances, config), by_definition(instances, config), atol=2e-6, rtol=1e-6)


@given(blobs(), st.integers(1, 12))
def test_distances_are_exact_within_reach(instances, reach):
    ids = [i for i in np.unique(instances) if i]
    each = [ndimage.distance_transform_edt(instances != i) for i in ids]
    exact = np.sort([*each, *np.full((2, *instances.shape), np.inf)], axis=0)[:2]
    found = two_distances(instances, reach)
    np.testing.assert_allclose(found, np.where(exact <= reach, exact, np.inf))


def test_a_gap_of_one_pixel_by_hand():
    """Two instances one pixel apart: d1 = d2 = 1 there, so 1 + 10 exp(-4 / 50)."""
    found = weight_map(np.array([[5, 5, 0, 3, 3]], np.int32), PLAIN)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[1, 1, 1 + 10 * np.exp(-4 / 50), 1, 1]], rtol=1e-6)


def test_one_instance_has_no_gap():
    assert weight_map(np.array([[0, 0, 3, 0]], np.int32), PLAIN).tolist() == [[1, 1, 1, 1]]
    assert weight_map(np.zeros((3, 3), np.int32), PLAIN).tolist() == np.ones((3, 3)).tolist()


def test_what_is_far_away_is_left_out_only_where_it_does_not_matter():
    config = WeightMapConfig(w0=10, sigma=5, balance=False)
    assert config.w0 * np.exp(-(reach_of(config) ** 2) / (2 * config.sigma**2)) <= 1e-7


def test_both_classes_weigh_the_same_in_sum():
    instances = np.zeros((10, 10), np.int32)
    instances[:5, :4] = 1
    weights = weight_map(instances, WeightMapConfig())
    assert weights[instances > 0].sum() == pytest.approx(50)
    assert weights[instances == 0].sum() == pytest.approx(50)


def test_a_data_sets_balance_is_taken_and_can_be_switched_off():
    instances = np.array([[0, 0, 1]], np.uint16)
    assert weight_map(instances, WeightMapConfig(), balance=(0.5, 4)).tolist() == [[0.5, 0.5, 4]]
    assert weight_map(instances, PLAIN, balance=(0.5, 4)).tolist() == [[1, 1, 1]]


def test_weights_of_counts_by_hand():
    assert balance_of([75, 25]).tolist() == pytest.approx([2 / 3, 2])
    assert balance_of([10, 0, 30]).tolist() == pytest.approx([2, 0, 2 / 3])
    assert balance_of([0, 0]).tolist() == [0, 0]
