from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from slideseg.errors import SlideError
from slideseg.slide.array import NpySlide
from slideseg.slide.base import Slide
from slideseg.slide.dicom.slide import DicomSlide
from slideseg.slide.open import open_slide
from slideseg.slide.openslide import OpenSlideSlide
from slideseg.slide.picture.slide import PictureSlide
from slideseg.slide.tiff.slide import TiffSlide

if TYPE_CHECKING:
    from pathlib import Path

RGB = np.random.default_rng(4).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def test_the_content_decides_not_the_name(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "really_png.svs", "PNG")
    tifffile.imwrite(tmp_path / "really_tiff.png", RGB, photometric="rgb")
    np.save(tmp_path / "x.npy", RGB)
    (tmp_path / "x.npy").rename(tmp_path / "really_npy.jpg")
    kinds = {"really_png.svs": PictureSlide, "really_tiff.png": TiffSlide, "really_npy.jpg": NpySlide}
    for name, kind in kinds.items():
        slide = open_slide(tmp_path / name)
        assert isinstance(slide, kind)
        assert isinstance(slide, Slide)


def test_path_is_a_string_that_reopens_it(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", RGB, photometric="rgb")
    for path in (tmp_path / "x.tif", str(tmp_path / "x.tif")):
        assert open_slide(path).path == str(tmp_path / "x.tif")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", "no image that can be read"),
        (b"II*\0", "cut off"),
        (b"\x89PNG\r\n\x1a\n", "damaged picture"),
    ],
)
def test_files_that_are_no_slides(tmp_path, content, message):
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(SlideError, match=message) as error:
        open_slide(tmp_path / "x.tif")
    assert "\n" not in str(error.value)


def test_missing_files_and_plain_folders(tmp_path):
    with pytest.raises(SlideError, match="no such slide"):
        open_slide(tmp_path / "missing.svs")
    with pytest.raises(SlideError, match="no slide"):
        open_slide(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path):
    (tmp_path / "x.tif").touch(mode=0o000)
    with pytest.raises(SlideError, match="can't be read"):
        open_slide(tmp_path / "x.tif")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aperio/CMU-1-Small-Region.svs", TiffSlide),
        ("ndpi/test3-DAPI-2-387.ndpi", OpenSlideSlide),
        ("openslide/boxes_0.dcm", DicomSlide),
        ("openslide/boxes.tiff", TiffSlide),
    ],
)
def test_real_scanner_files(data: Path, name, kind):
    path = data / "wsi" / name
    if not path.exists():
        pytest.skip(f"no {name} in the data folder")
    with open_slide(path) as slide:
        assert isinstance(slide, kind)


def test_openslide_and_tiff_agree_on_a_real_slide(data: Path):
    path = data / "wsi" / "openslide" / "boxes.tiff"
    if not path.exists():
        pytest.skip("no boxes.tiff in the data folder")
    ours, theirs = open_slide(path), OpenSlideSlide(str(path))
    assert [level.shape for level in ours.levels] == [level.shape for level in theirs.levels]
    for level in (0, 1):
        box = (0, 0, *ours.levels[level].shape)
        np.testing.assert_array_equal(ours.read(box, level), theirs.read(box, level))
