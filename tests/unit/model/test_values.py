"""Which values are black and white: of a type, and as somebody says it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideseg.model.info import ModelInput
from slideseg.model.values import FULL_SCALE, on_unit_scale


@pytest.mark.parametrize("dtype", sorted(FULL_SCALE))
def test_black_is_0_and_white_is_1_and_nothing_lies_beyond(dtype):
    kind = np.dtype(dtype).kind
    values = np.array([0, 5, 10, 20, 60, 100, 110, 127], dtype)
    got = on_unit_scale(values, (10, 110))

    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.float32([0, 0, 0, 0.1, 0.5, 0.9, 1, 1]))
    white = np.array([0, 1 if kind == "f" else np.iinfo(dtype).max], dtype)
    np.testing.assert_array_equal(on_unit_scale(white), np.float32([0, 1]))


def test_without_limits_floats_are_left_as_they_are():
    values = np.float32([-3, 0.5, 40])
    np.testing.assert_array_equal(on_unit_scale(values), values)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("limits", [None, (0.0, 1.0), (-1.0, 2.0)])
def test_what_is_no_number_is_black_and_infinity_is_white(dtype, limits):
    odd = np.array([np.nan, -np.inf, np.inf], dtype)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(on_unit_scale(odd, limits), np.float32([0, 0, 1]))
    assert np.isnan(odd[0])


@pytest.mark.parametrize("limits", [None, (0.0, 1.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_end_of_a_type_s_range_is_as_good_as_infinite(dtype, limits):
    """Else a few such pixels, with which some programs mark what they have no value of, would burn out all around them."""
    odd = np.array([np.finfo("float32").min, np.finfo("float32").max, 0.25], dtype)
    np.testing.assert_array_equal(on_unit_scale(odd, limits), np.float32([0, 1, 0.25]))


def test_values_close_together_and_far_from_0_stay_apart():
    values = np.array([4_000_000_000, 4_000_000_050, 4_000_000_100], np.uint32)
    np.testing.assert_array_equal(on_unit_scale(values, (4e9, 4e9 + 100)), np.float32([0, 0.5, 1]))
    assert on_unit_scale(np.array([1e308]), (-1e308, 0.0)) == 1


@given(values=st.lists(st.integers(0, 255), min_size=1), bits=st.integers(0, 8))
def test_the_same_picture_in_more_bits_is_the_same(values, bits):
    """To the bit, so that the same is found in it."""
    eight = np.array(values, np.uint8)
    more = eight.astype(np.uint16) << bits

    np.testing.assert_array_equal(on_unit_scale(more, (0, 255 << bits)), on_unit_scale(eight))
    np.testing.assert_array_equal(on_unit_scale(more.astype(np.float32), (0, 255 << bits)), on_unit_scale(eight))
    np.testing.assert_array_equal(on_unit_scale(eight, (0, 255)), on_unit_scale(eight))


@pytest.mark.parametrize(
    ("mean", "std", "white"),
    [
        ((0.7, 0.55, 0.7), (0.25, 0.25, 0.25), 1.0),
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1.0),  # not normalised at all
        ((0.02,), (0.01,), 0.05),  # 12 bits in 16
        ((600.0,), (300.0,), None),
        ((0.01,), (0.98,), None),  # floats that somebody has normalised
    ],
)
def test_what_is_white_to_a_model_follows_from_what_it_learnt_from(mean, std, white):
    assert ModelInput(len(mean), None, mean, std).white == pytest.approx(white)
