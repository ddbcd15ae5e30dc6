"""Which values a slide has, by what is looked at of it."""

import numpy as np
import pytest

from slideseg.errors import SlideError, UnreachableError
from slideseg.slide.array import ArraySlide
from slideseg.slide.open import open_slide
from slideseg.slide.reader import Reader
from slideseg.slide.selection import facts_of
from slideseg.slide.values import measured
from slideseg.slide.values.measured import Values, look_at_values, measure_values
from slideseg.testing.slides import write_pyramid

RNG = np.random.default_rng(0)


class Watched(Reader):
    """A slide of an array, which keeps what is read of it."""

    def __init__(self, image, there=None, **facts):
        self._inner, self._there, self.boxes = ArraySlide(image), there, []
        super().__init__(type(facts_of(self._inner))(**{**_facts(self._inner), **facts}))

    def _read(self, box, level, plane):
        self.boxes.append(box)
        return self._inner.read(box, level, plane)

    def _scanned(self, box, level, plane):
        return None if self._there is None else self._there[box.slices]


def _facts(slide):
    facts = facts_of(slide)
    return {name: getattr(facts, name) for name in facts.__dataclass_fields__}


def test_a_small_slide_is_looked_at_as_a_whole():
    image = RNG.integers(0, 4096, (300, 200, 2)).astype(np.uint16)
    image[..., 1] //= 100
    low, high = np.percentile(image, (0.1, 99.9), method="nearest")
    ends = [tuple(np.percentile(image[..., channel], (0.1, 99.9), method="nearest")) for channel in range(2)]

    assert measure_values(ArraySlide(image)) == Values(low, high, image.max(), tuple(ends))
    assert measure_values(ArraySlide(image)).limits == tuple(zip(*ends, strict=True))


def test_colours_are_one_picture_and_a_channel_without_anything_is_taken_like_the_others():
    image = RNG.integers(0, 4096, (300, 200, 3)).astype(np.uint16)
    image[..., 1] //= 100
    low, high = np.percentile(image, (0.1, 99.9), method="nearest")
    assert measure_values(ArraySlide(image.astype(np.uint8))).of_channels == ()
    image[..., 2] = 7
    floats = image[..., 1:].astype(np.float32)
    floats[..., 0] = np.nan
    empty = measure_values(Watched(image, is_rgb=False)).of_channels[2]
    low, high = np.percentile(image, (0.1, 99.9), method="nearest")
    assert empty == (low, high)
    floats[:100, :, 1] = 9
    assert measure_values(Watched(floats, is_rgb=False)).of_channels == ((7, 9), (7, 9))


def test_a_large_one_in_places_that_a_small_piece_of_tissue_can_not_miss(monkeypatch):
    monkeypatch.setattr(measured, "MOST_VALUES", 1 << 16)
    image = RNG.integers(90, 110, (1000, 3000)).astype(np.uint16)
    image[100:200, 400:700] = 5000  # a hundredth of it
    slide = Watched(image, direct=True)

    assert measure_values(slide).high == 5000
    assert sum(box.area for box in slide.boxes) <= 1 << 16
    assert [(box.y0, box.x0) for box in slide.boxes] == sorted((box.y0, box.x0) for box in slide.boxes)


def test_one_that_is_decoded_from_its_top_is_read_once_and_gives_the_same(monkeypatch):
    monkeypatch.setattr(measured, "MOST_VALUES", 1 << 14)
    image = RNG.integers(0, 4096, (400, 500, 3)).astype(np.uint16)
    rows = Watched(image, direct=False)

    assert measure_values(rows) == measure_values(Watched(image, direct=True))
    assert all(box.shape[1] == 500 for box in rows.boxes)
    assert all(one.y1 <= next_one.y0 + 26 for one, next_one in zip(rows.boxes, rows.boxes[1:], strict=False))


def test_planes_of_a_stack_are_looked_at_and_not_all_of_many(monkeypatch):
    monkeypatch.setattr(measured, "MOST_VALUES", 1 << 14)
    stack = np.zeros((40, 64, 64, 1), np.uint16)
    stack[20:] = 1000 + np.arange(64)[:, None]
    slide = Watched(stack)

    assert measure_values(slide).limits == (0, 1063)
    assert len(slide.boxes) <= 8 * 25


def test_what_was_not_scanned_and_what_is_no_number_does_not_count():
    image = np.linspace(0.2, 0.8, 10_000, dtype=np.float32).reshape(100, 100)
    image[:10], image[10], image[11] = np.nan, np.inf, np.finfo(np.float32).min
    there = np.ones((100, 100), bool)
    there[90:], image[90:] = False, 99

    seen = measure_values(Watched(image, there))
    assert (image[12, 0] <= seen.low, seen.largest) == (True, pytest.approx(image[89, 99]))
    assert measure_values(Watched(image, np.zeros_like(there))) is None


@pytest.mark.parametrize("image", [np.full((50, 50), 7, np.uint16), np.full((9, 9), np.nan, np.float32)], ids=["one", "none"])
def test_where_all_values_are_one_there_is_no_range(image):
    assert measure_values(ArraySlide(image)) is None
    assert look_at_values(ArraySlide(image)) is None


def test_damage_is_told_when_values_are_asked_for_and_not_when_they_are_only_looked_at():
    class Damaged(Watched):
        def _read(self, box, level, plane):
            raise SlideError("damaged")

    slide = Damaged(np.zeros((50, 50), np.uint16))
    assert look_at_values(slide) is None
    with pytest.raises(SlideError, match="damaged"):
        measure_values(slide)


def test_a_bucket_that_fails_is_no_damage():
    class Away(Watched):
        def _read(self, *_):
            raise UnreachableError("no answer")

    with pytest.raises(UnreachableError):
        look_at_values(Away(np.ones((20, 20, 1), np.uint16)))


def test_a_large_picture_of_8_bits_is_not_decoded_for_it(monkeypatch):
    monkeypatch.setattr(measured, "SMALL_PLANE", 100)
    slide = Watched(np.eye(50, dtype=np.uint8), direct=False)

    assert look_at_values(slide) is None
    assert not slide.boxes
    assert look_at_values(Watched(np.eye(50, dtype=np.uint16), direct=False)) is not None


def test_values_are_those_of_the_level(tmp_path):
    image = np.zeros((512, 512), np.uint16)
    image[::2, ::2], image[1::2, 1::2] = 4000, 1000
    write_pyramid(tmp_path / "x.tif", image, compression=None, levels=2)
    with open_slide(tmp_path / "x.tif") as slide:
        assert measure_values(slide, 0).limits == (0, 4000)
        assert measure_values(slide, 1) is None  # its means are all the same
