from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideseg.errors import ConfigError, SlideError
from slideseg.slide.array import ArraySlide
from slideseg.slide.open import open_slide
from slideseg.slide.resampled import ResampledSlide, block_mean, choose_level, weights
from slideseg.space.box import Box
from slideseg.testing.slides import PatternSlide, write_pyramid

RNG = np.random.default_rng(3)
FACTORS = st.floats(0.2, 9, allow_nan=False)


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), FACTORS, st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_boxes_together_are_the_whole_to_the_bit(shape, factor, height, width, floats):
    image = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    slide = ResampledSlide(ArraySlide(image.astype(np.float32) / 7 if floats else image), 0, (factor, factor * 1.25))
    box = Box.of_shape(slide.levels[0].shape)
    whole = slide.read(box)
    pieces = np.zeros_like(whole)
    for part in box.split(height, width):
        pieces[part.slices] = slide.read(part)
    np.testing.assert_array_equal(pieces, whole)


@given(st.integers(1, 300), FACTORS, st.data())
def test_weights_are_a_mean_of_pixels_inside(size, factor, data):
    out = max(1, round(size / factor))
    start = data.draw(st.integers(0, out - 1))
    stop = data.draw(st.integers(start + 1, out))
    first, last, matrix = weights(start, stop, size, factor)
    assert 0 <= first < last <= size
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert (matrix.data > 0).all()


@pytest.mark.parametrize("factor", [0.3, 0.5, 1.5, 2.0, 3.3])
def test_a_constant_stays_and_a_ramp_stays_straight(factor):
    ramp = np.broadcast_to(np.arange(200, dtype=np.float64) + 0.5, (50, 200))
    slide = ResampledSlide(ArraySlide(np.ascontiguousarray(ramp)), 0, (1.0, factor))
    read = slide.read(Box.of_shape(slide.levels[0].shape))[..., 0]
    inner = slice(8, -8)
    expected = (np.arange(read.shape[1]) + 0.5) * factor
    np.testing.assert_allclose(read[:, inner], np.broadcast_to(expected[inner], read[:, inner].shape), rtol=1e-2)
    flat = ResampledSlide(ArraySlide(np.full((30, 30), 201, np.uint8)), 0, (factor, factor))
    assert (flat.read(Box.of_shape(flat.levels[0].shape)) == 201).all()


def test_stripes_finer_than_the_output_become_grey():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 64))
    slide = ResampledSlide(ArraySlide(stripes), 0, (8.0, 8.0))
    assert np.abs(slide.read(Box(1, 1, 7, 15)).astype(int) - 127).max() <= 1


def test_shape_mpp_and_axes_follow():
    slide = ResampledSlide(ArraySlide(np.zeros((3, 101, 57, 2), np.uint16), mpp=0.25), 0, (2.0, 2.0))
    assert (slide.shape, slide.axes, slide.mpp, slide.dtype) == ((3, 50, 28, 2), "zyxc", 0.5, np.uint16)
    assert ResampledSlide(ArraySlide(np.zeros((1, 1), np.uint8)), 0, (7.0, 7.0)).shape == (1, 1, 1)


def test_integers_are_clipped_and_rounded_half_to_even():
    slide = ResampledSlide(ArraySlide(np.array([[0, 1, 2, 255]], np.uint8)), 0, (0.5, 0.5))
    assert slide.read(Box(0, 0, 1, 8)).ravel().tolist() == [0, 0, 1, 1, 2, 65, 192, 255]


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32])
def test_negative_values_stay_so(dtype):
    low = -300 if np.dtype(dtype).kind == "i" else 0
    image = RNG.integers(low, 300, (20, 20, 1)).astype(dtype)
    means = image[:, :, 0].reshape(10, 2, 10, 2).mean(axis=(1, 3))
    np.testing.assert_array_equal(block_mean(image, 2)[..., 0], np.floor(means + 0.5))
    slide = ResampledSlide(ArraySlide(np.full((8, 8), low, dtype)), 0, (2.0, 2.0))
    assert (slide.read(Box(0, 0, 4, 4)) == low).all()


def test_a_level_that_is_not_there_is_refused():
    with pytest.raises(SlideError, match="no such level"):
        ResampledSlide(ArraySlide(np.zeros((4, 4), np.uint8)), 1, (2.0, 2.0))


@pytest.mark.parametrize(
    ("mpp", "expected"),
    [
        (0.25, (0, 1.0)),
        (0.26, (0, 1.0)),
        (0.2, (0, 0.8)),
        (0.4, (0, 1.6)),
        (0.49, (1, 1.0)),
        (0.5, (1, 1.0)),
        (0.75, (1, 1.5)),
        (4.0, (2, 4.0)),
    ],
)
def test_the_nearest_level_that_is_fine_enough(tmp_path, mpp, expected):
    write_pyramid(tmp_path / "x.tif", PatternSlide((400, 400)), compression="zlib", levels=3, mpp=0.25)
    with open_slide(tmp_path / "x.tif") as slide:
        level, factors = choose_level(slide, mpp)
    assert (level, *factors) == pytest.approx((*expected, expected[1]))


@pytest.mark.parametrize(
    ("mpp", "factors", "shape"),
    [(0.5, (1.0, 2.0), (60, 40)), (1.0, (2.0, 4.0), (30, 20)), (0.25, (0.5, 1.0), (120, 80)), (0.8, (1.6, 3.2), (38, 25))],
)
def test_pixels_of_two_sides_become_square(mpp, factors, shape):
    slide = ArraySlide(np.zeros((60, 80), np.uint8), mpp=(0.5, 0.25))
    level, got = choose_level(slide, mpp)
    assert (level, *got) == pytest.approx((0, *factors))
    resampled = ResampledSlide(slide, level, got)
    assert resampled.levels[0].shape == shape
    assert resampled.mpp_yx == pytest.approx((mpp, mpp))


class Gaps(ArraySlide):
    """An image whose left half was not scanned."""

    def _scanned(self, box, level, plane):
        return np.broadcast_to(np.arange(box.x0, box.x1) >= self.shape[1] // 2, box.shape)


@pytest.mark.parametrize("factors", [(2.0, 2.0), (1.0, 4.0), (0.5, 0.5)])
def test_what_was_not_scanned_stays_so(factors):
    slide = ResampledSlide(Gaps(np.zeros((40, 80), np.uint8)), 0, factors)
    there = slide.scanned(Box.of_shape(slide.levels[0].shape))
    columns = slide.levels[0].shape[1]
    assert there.shape == slide.levels[0].shape
    np.testing.assert_array_equal(there, np.broadcast_to(np.arange(columns) >= columns // 2, there.shape))
    assert ResampledSlide(ArraySlide(np.zeros((4, 4), np.uint8)), 0, factors).scanned(Box(0, 0, 1, 1)) is None


def test_a_slide_without_mpp_can_not_be_asked_for_one():
    slide = ArraySlide(np.zeros((4, 4), np.uint8))
    with pytest.raises(ConfigError, match="does not say"):
        choose_level(slide, 0.5)
    with pytest.raises(ConfigError, match="above 0"):
        choose_level(ArraySlide(np.zeros((4, 4), np.uint8), mpp=1.0), 0.0)
