"""A result lies where its slide lies, whatever its resolution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideseg.result.coordinates import Coordinates
from slideseg.slide.facts import PixelSize

SIDES = st.tuples(st.floats(0.05, 20), st.floats(0.05, 20))


@given(SIDES, SIDES, st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)))
def test_a_result_and_its_slide_share_their_outer_corner(own, scale, origin):
    slide = Coordinates.of_slide(PixelSize(own), origin)
    coarser = Coordinates.of_slide(PixelSize(own), origin, scale)
    assert slide.first_yx == origin
    for axis in (0, 1):
        corners = [one.first_yx[axis] - one.side_yx[axis] / 2 for one in (slide, coarser)]
        assert corners[0] == pytest.approx(corners[1], abs=1e-6)
        assert coarser.side_yx[axis] == pytest.approx(own[axis] * scale[axis])


def test_without_microns_they_are_pixels_of_level_0():
    coarser = Coordinates.of_slide(PixelSize(), (0.0, 10.0), (2.0, 4.0))
    assert (coarser.mpp, coarser.mpp_yx, coarser.side_yx, coarser.first_yx) == (None, None, (2.0, 4.0), (0.5, 11.5))


def test_one_number_is_the_side_of_a_square_of_the_same_area():
    assert Coordinates.of_slide(PixelSize((0.5, 0.125))).mpp == pytest.approx(0.25)
