"""The image for viewing: right pixels, right place, bounded reads, one window a slide."""

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from slideseg.result.layout import ResultLayout
from slideseg.result.overview import plan_overview, write_overview
from slideseg.slide.array import ArraySlide
from slideseg.slide.facts import Facts, Level, make_levels
from slideseg.slide.reader import Reader
from slideseg.slide.resampled import block_mean
from slideseg.slide.values.window import display_window, to_uint8
from slideseg.space.box import Box
from slideseg.space.grid import ShardGrid
from slideseg.testing.records import made_coordinates
from slideseg.testing.slides import Opened


class Pyramid(Reader):
    """A slide of any size, value y + 3 x of level 0 in a level's first pixel; it notes the largest box that was read."""

    def __init__(self, shapes, dtype=np.uint8, channels=1, planes=0):
        stack = (planes,) if planes else ()
        axes = "zyxc" if planes else "yxc"
        shape = (*stack, *shapes[0], channels)
        super().__init__(
            Facts(
                path="<pyramid>",
                axes=axes,
                shape=shape,
                dtype=np.dtype(dtype),
                levels=make_levels(shapes),
                is_rgb=False,
                direct=True,
            )
        )
        self.largest = 0

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        self.largest = max(self.largest, *box.shape)
        y, x = np.ogrid[box.y0 : box.y1, box.x0 : box.x1]
        pixels = np.repeat((y + 3 * x + 7 * plane + 11 * level)[:, :, None], self.shape[-1], axis=2)
        return (pixels % 200).astype(self.dtype)


def layout(shape, axis=None, planes=1, mpp=0.5) -> ResultLayout:
    return ResultLayout(ShardGrid(shape, planes, 1024), axis, (), 0, made_coordinates(mpp))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
def test_blocks_are_the_rounded_mean(height, width, factor, seed):
    image = np.random.default_rng(seed).integers(0, 255, (height, width, 2)).astype(np.uint8)
    got = block_mean(image, factor)
    assert got.shape == (-(-height // factor), -(-width // factor), 2)
    for y, x in np.ndindex(got.shape[:2]):
        block = image[factor * y : factor * (y + 1), factor * x : factor * (x + 1)].reshape(-1, 2).astype(int)
        np.testing.assert_array_equal(got[y, x], (block.sum(axis=0) + len(block) // 2) // len(block))


def test_floats_are_averaged_as_they_are():
    image = np.array([[[0.25], [0.5]]], np.float32)
    np.testing.assert_array_equal(block_mean(image, 2), [[[0.375]]])


@pytest.mark.parametrize(
    ("shapes", "working", "full", "expected"),
    [
        ([(100, 200)], (100, 200), False, (0, 1, (100, 200), (1, 1))),
        ([(8193, 100)], (8193, 100), False, (0, 2, (4097, 50), (2, 2))),
        ([(40000, 20000), (10000, 5000), (2500, 1250)], (40000, 20000), False, (1, 2, (5000, 2500), (8, 8))),
        ([(40000, 20000), (10000, 5000), (2500, 1250)], (10000, 5000), False, (1, 2, (5000, 2500), (2, 2))),
        ([(40000, 20000), (8000, 4000)], (40000, 20000), False, (0, 5, (8000, 4000), (5, 5))),
        ([(40000, 20000), (10000, 5000)], (10000, 5000), True, (1, 1, (10000, 5000), (1, 1))),
        ([(40000, 20000), (10000, 5000)], (20000, 10000), True, (0, 2, (20000, 10000), (1, 1))),
        ([(9000, 9000)], (3000, 3000), True, (0, 3, (3000, 3000), (1, 1))),
        ([(1, 1)], (1, 1), True, (0, 1, (1, 1), (1, 1))),
    ],
)
def test_the_nearest_finer_level_is_read(shapes, working, full, expected):
    overview = plan_overview(Pyramid(shapes), layout(working), full=full)
    level, factor, shape, pixel = expected
    assert (overview.level, overview.factor, overview.plan.grid.shape_yx) == (level, factor, shape)
    np.testing.assert_allclose(overview.pixel_yx, pixel)


def test_pixels_are_the_mean_of_the_slide_s(tmp_path):
    slide = Pyramid([(3000, 2500)], channels=3)
    url = str(tmp_path / "x.zarr")
    computed = write_overview(url, Opened(slide), layout((3000, 2500)), long_side=1000)
    group = zarr.open_group(url, mode="r")
    want = block_mean(slide.read(Box(0, 0, 3000, 2500)), 3)
    np.testing.assert_array_equal(np.moveaxis(group["0"][:], 0, -1), want)
    assert len(list(group.array_keys())) == layout((3000, 2500)).levels
    assert computed == 4
    assert write_overview(url, Opened(slide), layout((3000, 2500)), long_side=1000) == 0


def test_reads_are_bounded_whatever_the_slide(tmp_path):
    slide = Pyramid([(30_000, 700)])
    write_overview(str(tmp_path / "x.zarr"), Opened(slide), layout((30_000, 700)), long_side=3000)
    assert slide.largest <= 2048


def test_all_planes_of_a_stack(tmp_path):
    slide = Pyramid([(300, 200)], planes=3, channels=2)
    write_overview(str(tmp_path / "x.zarr"), Opened(slide), layout((300, 200), "z", 3))
    image = zarr.open_array(str(tmp_path / "x.zarr"), path="0", mode="r")
    assert image.shape == (2, 3, 300, 200)
    for plane in range(3):
        np.testing.assert_array_equal(np.moveaxis(image[:, plane], 0, -1), slide.read(Box(0, 0, 300, 200), 0, plane))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_other_types_go_through_one_window_for_all(tmp_path, dtype):
    y, x = np.mgrid[:1500, :1300]
    image = np.stack([y + x, 1000 - y / 2], axis=-1).astype(dtype)
    slide = ArraySlide(image)
    window = display_window(slide)
    write_overview(str(tmp_path / "x.zarr"), Opened(slide), layout((1500, 1300)))
    stored = zarr.open_array(str(tmp_path / "x.zarr"), path="0", mode="r")
    np.testing.assert_array_equal(np.moveaxis(stored[:], 0, -1), to_uint8(image, window))
    assert stored.dtype == np.uint8
    assert (stored[:].min(), stored[:].max()) == (0, 255)
    for (low, high), values in zip(window, np.moveaxis(image, -1, 0), strict=True):
        np.testing.assert_allclose([low, high], np.percentile(values, (0.1, 99.9)), rtol=0.02, atol=15)


def test_windows_of_odd_images():
    flat = np.full((10, 10, 2), 7, np.uint16)
    assert display_window(ArraySlide(flat)) == ((7.0, 8.0), (7.0, 8.0))
    nothing = np.full((10, 10), np.nan, np.float32)
    assert display_window(ArraySlide(nothing)) == ((0.0, 1.0),)
    assert not to_uint8(nothing[:, :, None], ((0.0, 1.0),)).any()
    infinite = np.array([[np.inf, -np.inf, 0.5]], np.float32)[:, :, None]
    np.testing.assert_array_equal(to_uint8(infinite, ((0.0, 1.0),)).ravel(), [255, 0, 128])


def test_a_window_is_measured_on_the_smallest_level():
    slide = Pyramid([(100_000, 100_000), (1000, 1000)], np.uint16, planes=20)
    assert slide.levels[-1] == Level((1000, 1000), (100.0, 100.0))
    display_window(slide)
    assert slide.largest <= 512
