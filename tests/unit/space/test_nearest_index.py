"""The pixel of another grid that a pixel's centre falls on."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slideseg.space.nearest_index import nearest_index


def test_it_is_exact_where_nothing_is_resampled():
    np.testing.assert_array_equal(nearest_index(3, 9, 1.0, 9), np.arange(3, 9))


@given(size=st.integers(1, 400), length=st.integers(1, 400), data=st.data())
def test_a_part_is_a_part_of_the_whole_and_every_index_is_inside(size, length, data):
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    whole = nearest_index(0, length, size / length, size)
    np.testing.assert_array_equal(nearest_index(start, stop, size / length, size), whole[start:stop])
    assert (np.diff(whole) >= 0).all()
    assert whole[0] >= 0
    assert whole[-1] < size
    exact = [min(size - 1, (2 * i + 1) * size // (2 * length)) for i in range(length)]
    assert (np.abs(whole - exact) <= 1).all()
