from __future__ import annotations

import numpy as np
import pytest

from slideseg.errors import SlideError
from slideseg.slide.array import ArraySlide
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.box import Box
from slideseg.testing.slides import FailingSlide

IMAGE = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40, 1)


class Recording(ArraySlide):
    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.boxes: list[Box] = []

    def _read(self, box, level, plane):
        self.boxes.append(box)
        return super()._read(box, level, plane)


@pytest.mark.parametrize(
    ("box", "needed"),
    [
        (Box(5, 5, 9, 9), Box(5, 5, 9, 9)),
        (Box(-3, 5, 2, 9), Box(0, 5, 4, 9)),
        (Box(-5, 38, -2, 44), Box(3, 35, 6, 40)),
        (Box(28, 0, 33, 4), Box(26, 0, 30, 4)),
    ],
)
def test_only_the_pixels_needed_are_read(box, needed):
    slide = Recording(IMAGE)
    read_mirrored(slide, box)
    assert slide.boxes == [needed]


def test_planes_and_levels_are_passed_on():
    stack = np.stack([IMAGE, IMAGE + 5000])
    np.testing.assert_array_equal(read_mirrored(ArraySlide(stack), Box(-1, 0, 1, 2), plane=1), stack[1][[1, 0], :2])


@pytest.mark.parametrize("box", [Box(3, 3, 3, 8), Box(0, 0, 0, 0)])
def test_an_empty_box_has_no_pixels(box):
    assert read_mirrored(ArraySlide(IMAGE), box).shape == (*box.shape, 1)


def test_errors_come_through():
    with pytest.raises(SlideError, match="no such level"):
        read_mirrored(ArraySlide(IMAGE), Box(-1, -1, 2, 2), level=3)
    with pytest.raises(SlideError, match="damaged on purpose"):
        read_mirrored(FailingSlide(ArraySlide(IMAGE), Box(2, 2, 3, 3)), Box(-4, -4, 1, 1))
