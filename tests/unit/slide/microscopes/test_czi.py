from __future__ import annotations

import numpy as np
import pytest

from slideseg.errors import SlideError
from slideseg.slide.open import open_file, open_slide
from slideseg.slide.selection import WHOLE
from slideseg.space.box import Box

czi = pytest.importorskip("pylibCZIrw.czi")

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (300, 470, 3), dtype=np.uint8)
GREY = RNG.integers(0, 60000, (2, 3, 2, 120, 150), dtype=np.uint16)
"""A stack (t, z, c, y, x)."""


def mosaic(path, pixels=RGB, corner=(-70, 40), left_out=(), tile=128):
    """Write RGB pixels in tiles, their first pixel at ``corner`` (y, x) of the microscope's stage."""
    with czi.create_czi(str(path)) as document:
        for number, box in enumerate(Box.of_shape(pixels.shape[:2]).split(tile, tile)):
            if number not in left_out:
                part = np.ascontiguousarray(pixels[box.slices][..., ::-1])
                document.write(data=part, location=(corner[1] + box.x0, corner[0] + box.y0), scene=0)
        document.write_metadata("made", scale_x=0.25e-6, scale_y=0.5e-6)
    return path


def stack(path):
    with czi.create_czi(str(path)) as document:
        for t, z, c in np.ndindex(GREY.shape[:3]):
            document.write(data=GREY[t, z, c][..., None], plane={"T": t, "Z": z, "C": c})
        names = {0: "DAPI", 1: "Cy5"}
        document.write_metadata("made", channel_names=names, scale_x=1e-7, scale_y=1e-7, scale_z=2e-6)
    return path


@pytest.mark.parametrize("box", [Box(0, 0, 300, 470), Box(100, 90, 140, 300), Box(299, 469, 300, 470), Box(127, 0, 129, 470)])
def test_a_mosaic_is_put_together(tmp_path, box):
    with open_slide(mosaic(tmp_path / "x.czi")) as slide:
        assert (slide.shape, slide.axes, slide.dtype, slide.is_rgb) == ((300, 470, 3), "yxc", np.uint8, True)
        assert slide.mpp_yx == pytest.approx((0.5, 0.25))
        assert slide.pixel.source == "CZI Scaling"
        assert slide.background is None
        np.testing.assert_array_equal(slide.read(box), RGB[box.slices])
        assert slide.scanned(box) is None


def test_where_no_tile_lies_is_white_and_not_scanned(tmp_path):
    gaps = RGB.copy()
    gaps[128:256, 0:128] = 255
    with open_slide(mosaic(tmp_path / "x.czi", left_out=(4,))) as slide:
        whole = Box.of_shape(slide.levels[0].shape)
        np.testing.assert_array_equal(slide.read(whole), gaps)
        assert slide.background == (255, 255, 255)
        there = slide.scanned(whole)
        assert not there[128:256, :128].any()
        assert there.sum() == 300 * 470 - 128 * 128
        assert slide.scanned(Box(0, 0, 100, 100)) is None


def test_planes_and_channels_of_a_stack(tmp_path):
    path = stack(tmp_path / "x.czi")
    with open_file(str(path), WHOLE) as slide:
        assert (slide.axes, slide.shape, slide.dtype) == ("tzyxc", (2, 3, 120, 150, 2), np.uint16)
        assert [channel.name for channel in slide.channels] == ["DAPI", "Cy5"]
        assert (slide.mpp, slide.pixel.z) == (pytest.approx(0.1), pytest.approx(2.0))
        for plane, (t, z) in enumerate(np.ndindex(2, 3)):
            expected = GREY[t, z].transpose(1, 2, 0)[7:90, 30:50]
            np.testing.assert_array_equal(slide.read(Box(7, 30, 90, 50), 0, plane), expected)
    with open_slide(path, t=1, channel="cy5") as slide:
        np.testing.assert_array_equal(slide.read(Box(0, 0, 120, 150), 0, 2)[..., 0], GREY[1, 2, 1])


def test_a_scene_is_an_image(tmp_path):
    path = tmp_path / "x.czi"
    with czi.create_czi(str(path)) as document:
        document.write(data=np.ascontiguousarray(RGB[:100, :200, ::-1]), location=(0, 0), scene=0)
        document.write(data=np.ascontiguousarray(RGB[100:250, :300, ::-1]), location=(900, 500), scene=1)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(Box(0, 0, 100, 200)), RGB[:100, :200])
        assert [(image.number, image.used) for image in slide.images] == [(0, True), (1, False)]
        assert "scene 0 of 2" in slide.remarks[0]
    with open_slide(path, series=1) as slide:
        np.testing.assert_array_equal(slide.read(Box(0, 0, 150, 300)), RGB[100:250, :300])
    with pytest.raises(SlideError, match=r"no such image .got --series 2, want 0, 1"):
        open_slide(path, series=2)


def test_damage_is_one_line(tmp_path):
    path = mosaic(tmp_path / "x.czi")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(SlideError, match="damaged or unsupported CZI"):
        open_slide(path)
