"""The small picture: what is in a pixel of it, whatever is read first."""

import numpy as np
import pytest

from slideseg.slide.array import ArraySlide
from slideseg.slide.facts import Facts, Level
from slideseg.slide.reader import Reader
from slideseg.slide.tissue import picture
from slideseg.slide.tissue.picture import PIXEL, smooth, take_picture


class Padded(Reader):
    """A slide with gaps whose second level is padded beyond the first, and has pixels that are no squares."""

    def __init__(self):
        levels = (Level((400, 600)), Level((128, 128), (4.0, 6.0)))
        kind = {"axes": "yxc", "dtype": np.dtype(np.uint8), "is_rgb": False, "direct": True}
        super().__init__(Facts(path="x", shape=(400, 600, 1), levels=levels, **kind))

    def _read(self, box, level, plane):
        rows = np.arange(box.y0, box.y1, dtype=np.uint8)
        return np.broadcast_to(rows[:, None, None], (*box.shape, 1)).copy()

    def _scanned(self, box, level, plane):
        return np.broadcast_to(np.arange(box.x0, box.x1) >= (300, 50)[level], box.shape)


def test_a_pixel_is_the_mean_of_its_block():
    image = np.arange(40 * 24 * 3, dtype=np.uint16).reshape(40, 24, 3)
    made = take_picture(ArraySlide(image))

    assert made.pixels.shape == (5, 3, 3)
    assert made.pixels[1, 2] == pytest.approx(image[8:16, 16:24].mean(axis=(0, 1)), abs=0.5)
    assert made.pixel == (PIXEL, PIXEL)
    assert made.scanned.all()


@pytest.mark.parametrize("direct", [True, False])
def test_it_does_not_depend_on_what_is_read_at_once(monkeypatch, direct):
    slide = ArraySlide(np.random.default_rng(0).integers(0, 255, (333, 555, 3), np.uint8))
    monkeypatch.setattr(type(slide), "direct", direct)
    whole = take_picture(slide).pixels
    for piece in (8, 72, 200):
        monkeypatch.setattr(picture, "_PIECE", piece)

        assert (take_picture(slide).pixels == whole).all()


def test_it_has_a_bound_whatever_the_slide_s_size_and_channels(monkeypatch):
    monkeypatch.setattr(picture, "LONGEST", 50)

    assert take_picture(ArraySlide(np.zeros((999, 500, 1), np.uint8))).pixels.shape == (50, 25, 1)
    assert take_picture(ArraySlide(np.zeros((999, 500, 4), np.uint8))).pixels.shape == (42, 21, 4)


def test_levels_may_be_padded_and_have_gaps():
    made = take_picture(Padded())

    assert made.pixel == (8.0, 12.0)
    assert made.pixels.shape == (50, 50, 1)
    assert made.scanned[:, 25:].all()
    assert not made.scanned[:, :25].any()


def test_where_nothing_was_scanned_nothing_is_read(monkeypatch):
    class Sparse(ArraySlide):
        background = (7, 7, 7)
        boxes = ()

        def _read(self, box, level, plane):
            self.boxes = (*self.boxes, box)
            return super()._read(box, level, plane)

        def _scanned(self, box, level, plane):
            return np.broadcast_to(np.arange(box.x0, box.x1) < 100, box.shape)

    monkeypatch.setattr(picture, "_PIECE", 64)
    slide = Sparse(np.full((64, 640, 3), 100, np.uint8))
    made = take_picture(slide)
    assert [box.x1 for box in slide.boxes] == [64, 128]
    assert (made.pixels[:, 16:] == 7).all()
    assert (made.scanned == (np.arange(80) < 13)).all()


def test_what_is_no_number_counts_as_not_scanned():
    image = np.ones((64, 64, 1), np.float32)
    image[:32] = np.nan
    image[40, 40] = np.inf
    made = take_picture(ArraySlide(image))

    assert not made.scanned[:4].any()
    assert made.scanned[4:].all()
    assert np.isfinite(made.pixels).all()


def test_smoothing_darkens_nothing_beside_black():
    where = np.arange(20)[:, None] + np.zeros((20, 20)) >= 10
    smoothed = smooth(np.where(where, 200, 0).astype(np.float32)[..., None], where)

    assert smoothed[where] == pytest.approx(200)
    assert (smoothed[~where] == 0).all()
