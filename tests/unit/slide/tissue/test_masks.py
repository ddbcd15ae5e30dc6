"""What is done to masks, against SciPy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from slideseg.slide.tissue.masks import closed, grown, largest_within, opened, smallest_within, without_holes

masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda shape: st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
        lambda bits: np.array(bits).reshape(shape)
    )
)


@given(masks, st.integers(1, 30))
def test_opening_keeps_what_squares_fit_into(mask, side):
    got = opened(mask, side)
    padded = np.pad(mask, side, mode="symmetric")
    want = ndimage.binary_opening(padded, np.ones((side, side)))[side:-side, side:-side]

    assert (got == want).all()
    assert not (got & ~mask).any()


@given(masks, st.integers(1, 9))
def test_growing_adds_all_within_so_many_pixels(mask, steps):
    assert (grown(mask, steps) == ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=steps)).all()


@given(masks, st.integers(1, 9), st.integers(0, 99))
def test_extremes_are_those_within_so_many_pixels(mask, reach, seed):
    values = np.random.default_rng(seed).normal(size=mask.shape)

    assert (largest_within(values, reach) == ndimage.maximum_filter(values, 2 * reach + 1)).all()
    assert (smallest_within(values, reach) == ndimage.minimum_filter(values, 2 * reach + 1)).all()


@given(masks, st.integers(1, 3))
def test_closing_and_filling_only_add(mask, steps):
    assert not (mask & ~closed(mask, steps)).any()
    assert not (mask & ~without_holes(mask, 5)).any()


def test_only_small_holes_are_filled_and_none_at_the_edge():
    mask = np.ones((20, 20), bool)
    mask[3:5, 3:5] = mask[8:12, 8:12] = mask[0, 15] = False
    filled = without_holes(mask, 4)

    assert filled[3:5, 3:5].all()
    assert not filled[8:12, 8:12].any()
    assert not filled[0, 15]
