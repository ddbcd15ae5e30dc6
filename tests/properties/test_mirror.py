"""The law of the mirror: numpy.pad with mode="reflect", for every image size and margin."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slideseg.slide.array import ArraySlide
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.box import Box
from slideseg.space.mirror_index import mirror_index

SIDES = st.integers(1, 12)
MARGINS = st.integers(0, 40)


@given(st.tuples(SIDES, SIDES), MARGINS, st.data())
def test_any_box_is_a_crop_of_the_padded_image(shape, margin, data):
    image = np.arange(2 * np.prod(shape), dtype=np.uint16).reshape(*shape, 2)
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    y = sorted(data.draw(st.tuples(*[st.integers(-margin, shape[0] + margin)] * 2)))
    x = sorted(data.draw(st.tuples(*[st.integers(-margin, shape[1] + margin)] * 2)))
    box = Box(y[0], x[0], y[1], x[1])
    read = read_mirrored(ArraySlide(image[None]), box)
    np.testing.assert_array_equal(read, padded[box.shift(margin, margin).slices])


@given(st.integers(1, 50), st.integers(-300, 300), st.integers(0, 80))
def test_the_index_stays_inside_and_steps_by_one(size, start, length):
    index = mirror_index(start, start + length, size)
    assert len(index) == length
    if length:
        assert index.min() >= 0
        assert index.max() < size
    if size > 1:
        assert (np.abs(np.diff(index)) == 1).all()
