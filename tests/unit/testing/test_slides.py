from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from slideseg.errors import SlideError
from slideseg.slide.array import ArraySlide
from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from slideseg.testing.slides import FailingSlide, PatternSlide, SlowSlide, write_pyramid

GREY = np.arange(48 * 70, dtype=np.uint16).reshape(48, 70)


def test_levels_are_means_of_level_0(tmp_path):
    write_pyramid(tmp_path / "x.tif", GREY, tile=16, compression="zlib", levels=3, mpp=0.5)
    with open_slide(tmp_path / "x.tif") as slide:
        assert slide.mpp == 0.5
        assert [level.shape for level in slide.levels] == [(48, 70), (24, 35), (12, 17)]
        half = np.rint(GREY.reshape(24, 2, 35, 2).mean(axis=(1, 3)))
        np.testing.assert_array_equal(slide.read((0, 0, 24, 35), 1)[..., 0], half)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2)])
def test_the_smallest_images_can_be_written(tmp_path, shape):
    write_pyramid(tmp_path / "x.tif", GREY[: shape[0], : shape[1]], tile=16, compression=None, levels=5)
    with open_slide(tmp_path / "x.tif") as slide:
        assert slide.axes == "yxc"
        np.testing.assert_array_equal(slide.read((0, 0, *shape))[..., 0], GREY[: shape[0], : shape[1]])


def test_writing_takes_the_memory_of_a_few_tiles(tmp_path):
    peaks = []
    for side in (512, 2048):
        tracemalloc.start()
        write_pyramid(tmp_path / "x.tif", PatternSlide((side, side)), tile=128, levels=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + (1 << 20)


def test_a_pattern_has_tissue_where_it_should():
    full, empty = PatternSlide((100, 100)), PatternSlide((100, 100), tissue=0.0)
    assert full.read((0, 0, 100, 100)).min() < 100
    assert (empty.read((0, 0, 100, 100)) == 243).all()


def test_a_slow_slide_counts_and_waits():
    slide = SlowSlide(ArraySlide(GREY), 0.02)
    start = time.perf_counter()
    slide.read((0, 0, 5, 5))
    assert time.perf_counter() - start >= 0.02
    assert slide.reads == 1


def test_a_failing_slide_fails_where_and_as_often_as_told():
    slide = FailingSlide(ArraySlide(GREY), Box(10, 10, 12, 12), times=2)
    assert slide.read((0, 0, 10, 10)).shape == (10, 10, 1)
    for _ in range(2):
        with pytest.raises(SlideError, match="on purpose"):
            slide.read((5, 5, 11, 11))
    np.testing.assert_array_equal(slide.read((5, 5, 11, 11))[..., 0], GREY[5:11, 5:11])
