"""What is told of values that are hardly what they are taken for."""

import numpy as np
import pytest

from slideseg.slide.values.doubt import doubt_of_values
from slideseg.slide.values.measured import Values


def said(dtype, low, high, limits=None, white=1.0, largest=None):
    doubt = doubt_of_values(np.dtype(dtype), Values(low, high, high if largest is None else largest), limits, white)
    return None if doubt is None else str(doubt)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "try_"),
    [
        ("uint16", 16, 4080, "--range 0,4095 or --range auto"),
        ("uint16", 4, 1020, "--range 0,1023 or --range auto"),
        ("uint16", 0, 255, "--range 0,255 or --range auto"),
        ("uint16", 0, 16383, "--range 0,16383 or --range auto"),
        ("uint16", 0, 40, "--range auto"),
        ("int16", 0, 4095, "--range 0,4095 or --range auto"),
        ("int16", -1000, 3000, "--range auto"),
        ("uint32", 0, 60000, "--range 0,65535 or --range auto"),
        ("float32", 0, 4080, "--range 0,4095 or --range auto"),
        ("float64", 0, 0.0625, "--range auto"),
        ("float32", -0.5, 0.9, "--range auto"),
        ("float16", 0, 1.5, "--range auto"),
        ("uint8", 0, 1, "--range auto"),
    ],
)
def test_values_that_are_hardly_what_they_are_taken_for_are_told_with_what_helps(dtype, low, high, try_):
    assert said(dtype, low, high).endswith(f": try {try_}")


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("uint8", 0, 255),
        ("uint8", 3, 31),  # fluorescence, as dark as it gets
        ("uint16", 200, 30000),
        ("float32", 0, 1),
        ("float32", -0.009, 1.009),
        ("float64", 0.1, 0.2),
        ("int8", -1, 96),
        ("int16", 0, 20000),
    ],
)
def test_values_that_may_be_meant_like_that_are_not_told(dtype, low, high):
    assert said(dtype, low, high) is None


def test_what_is_dark_to_one_model_is_not_to_one_that_learnt_from_such():
    assert said("uint16", 16, 4080, white=0.06) is None
    assert said("uint16", 16, 900, white=0.06) is not None


def test_a_stated_range_that_the_values_hardly_touch_is_told():
    assert said("uint8", 0, 255, (0, 4095)).startswith(
        "nearly all values are 0 to 255, where the range says that black is 0 and"
    )
    assert said("uint16", 300, 4080, (0, 255)) is not None
    assert said("uint16", 300, 4080, (0, 4095)) is None
    assert said("uint16", 300, 4080, (1000, 2000)) is None


def test_the_bits_are_those_of_the_largest_value():
    assert "--range 0,4095 or" in said("uint16", 16, 200, largest=3000)
    assert said("uint16", 16, 200, largest=65535).endswith("try --range auto")  # a scale bar that was drawn into it
