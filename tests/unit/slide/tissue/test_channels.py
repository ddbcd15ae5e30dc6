"""What channels have in common, against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from slideseg.slide.tissue import channels

pixels = arrays(np.float32, array_shapes(min_dims=2, max_dims=3, max_side=5), elements=st.sampled_from([-1.5, 0, 0.1, 7, 255]))


@given(pixels)
def test_they_are_numpy_s(of):
    assert (channels.highest(of) == of.max(axis=-1)).all()
    assert (channels.lowest(of) == of.min(axis=-1)).all()
    assert (channels.chroma(of) == np.ptp(of, axis=-1)).all()
    assert (channels.are_zero(of) == (of == 0).all(axis=-1)).all()
    assert channels.mean(of) == pytest.approx(of.mean(axis=-1), rel=1e-6)
    assert channels.mean(of).dtype == of.dtype


def test_there_may_be_no_pixels():
    nothing = np.zeros((0, 3), np.float32)

    assert channels.highest(nothing).shape == channels.chroma(nothing).shape == (0,)
