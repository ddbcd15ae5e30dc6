from __future__ import annotations

import numpy as np
import openslide
import pytest
from PIL import Image

import slideseg.slide.openslide
from slideseg.errors import SlideError
from slideseg.slide.openslide import OpenSlideSlide, vendor_of
from slideseg.testing.slides import PatternSlide, write_pyramid


@pytest.fixture
def path(tmp_path):
    write_pyramid(tmp_path / "x.tif", PatternSlide((401, 603)), tile=64, compression="zlib", levels=3, mpp=0.5)
    return str(tmp_path / "x.tif")


def test_vendors(path, tmp_path):
    assert vendor_of(path) == "generic-tiff"
    (tmp_path / "y").write_bytes(b"no slide")
    assert vendor_of(str(tmp_path / "y")) is None
    assert vendor_of(str(tmp_path / "missing")) is None


def test_level_0_is_the_picture(path):
    with OpenSlideSlide(path) as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 401, 603)), PatternSlide((401, 603)).read((0, 0, 401, 603)))


def test_a_fractional_level_is_the_same_in_every_box(path):
    with OpenSlideSlide(path) as slide:
        assert slide.levels[1].downsample != round(slide.levels[1].downsample)
        whole = slide.read((0, 0, 200, 301), 1)
        for box in [(0, 0, 50, 60), (13, 17, 100, 200), (199, 300, 200, 301)]:
            np.testing.assert_array_equal(slide.read(box, 1), whole[box[0] : box[2], box[1] : box[3]])


def test_transparent_pixels_are_white(path, monkeypatch):
    image = Image.new("RGBA", (3, 1))
    image.putdata([(10, 20, 30, 255), (0, 0, 0, 0), (0, 0, 0, 128)])
    with OpenSlideSlide(path) as slide:
        monkeypatch.setattr(slide._handle, "read_region", lambda *_: image)
        assert slide.read((0, 0, 1, 3)).tolist() == [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]


def test_faults_are_slide_errors(path, monkeypatch, tmp_path):
    def fail(*_):
        raise openslide.OpenSlideError("bad tile")

    with OpenSlideSlide(path) as slide:
        monkeypatch.setattr(slide._handle, "read_region", fail)
        with pytest.raises(SlideError, match="bad tile"):
            slide.read((0, 0, 5, 5))
    monkeypatch.setattr(slideseg.slide.openslide.openslide, "OpenSlide", fail)
    with pytest.raises(SlideError, match="can't read it"):
        OpenSlideSlide(path)
