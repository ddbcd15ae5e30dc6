"""A JPEG whose coded pixels end too early, with an end marker behind them: its decoder fills it up with grey."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from slideseg.errors import SlideError
from slideseg.slide.jpeg import filled
from slideseg.slide.open import open_slide
from slideseg.slide.picture import slide as picture
from slideseg.space.box import Box
from tests.dicom_files import Made, write

Y, X = np.mgrid[:128, :192]
RGB = (120 + 90 * np.stack([np.sin(Y / 9), np.cos(X / 7), np.sin((X + Y) / 11)], axis=-1)).astype(np.uint8)
GREY = np.where((Y < 60)[..., None], RGB, np.uint8(128))
"""A picture that ends in mid-grey, as it should."""
KINDS = {
    "444": {"subsampling": 0},
    "420": {"subsampling": 2},
    "restarts": {"restart_marker_blocks": 5},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
}


def jpeg(pixels, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=92, **options)
    return file.getvalue()


def cut(stream: bytes, share: float = 0.6) -> bytes:
    return stream[: int(share * len(stream))] + b"\xff\xd9"


def tiff(path, encode, pixels=RGB, **options):
    tiles = [encode(np.ascontiguousarray(pixels[y : y + 64, x : x + 64])) for y in (0, 64) for x in (0, 64, 128)]
    options = {"shape": pixels.shape, "dtype": pixels.dtype, "tile": (64, 64), "metadata": None, "photometric": "rgb"} | options
    tifffile.imwrite(path, iter(tiles), compression=7, **options)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_behind_the_coded_pixels_change_nothing(kind):
    for pixels in (RGB, GREY, RGB[..., 0]):
        stream = jpeg(pixels, **KINDS[kind])
        more = filled(stream)
        assert len(more) > len(stream)
        assert (imagecodecs.jpeg8_decode(more) == imagecodecs.jpeg8_decode(stream)).all()


@pytest.mark.parametrize("share", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tile_that_was_cut_is_refused(tmp_path, kind, share):
    path = tiff(tmp_path / "x.tif", lambda pixels: cut(jpeg(pixels, **KINDS[kind]), share))
    with pytest.raises(SlideError, match=r"a tile can't be decoded.*tile 0"):
        open_slide(path)
    with open_slide(path, on_bad_tile="background") as slide:
        assert (slide.read(Box(0, 0, 128, 192)) == 255).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_tile_that_ends_in_grey_is_read(tmp_path, kind):
    with open_slide(tiff(tmp_path / "x.tif", lambda pixels: jpeg(pixels, **KINDS[kind]) + b"\0" * 99, GREY)) as slide:
        assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - GREY).mean() < 4


def test_a_grey_tile_of_12_bits(tmp_path):
    deep = (RGB[..., 0].astype(np.uint16) << 4) | 7

    def encode(pixels):
        return imagecodecs.jpeg_encode(pixels, bitspersample=12, level=95)

    options = {"photometric": "minisblack", "bitspersample": 12}
    with open_slide(tiff(tmp_path / "x.tif", encode, deep, **options)) as slide:
        assert np.abs(slide.read(Box(0, 0, 128, 192))[..., 0].astype(int) - deep).mean() < 16
    with pytest.raises(SlideError, match="end too early"):
        open_slide(tiff(tmp_path / "y.tif", lambda pixels: cut(encode(pixels)), deep, **options))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_dicom_frame_that_was_cut_is_refused(tmp_path, channels):
    pixels = np.ascontiguousarray(GREY[..., :channels])

    def encode(tile):
        return jpeg(np.squeeze(tile))

    write(tmp_path / "x.dcm", Made(pixels, syntax="jpeg", encode=encode))
    with open_slide(tmp_path / "x.dcm") as slide:
        assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - pixels).mean() < 4
    write(tmp_path / "y.dcm", Made(pixels, syntax="jpeg", encode=lambda tile: cut(encode(tile), 0.9)))
    with pytest.raises(SlideError, match="end too early"), open_slide(tmp_path / "y.dcm") as slide:
        slide.read(Box(0, 0, 128, 192))


@pytest.mark.parametrize("small", [1, 256 << 20])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_was_cut_is_refused(tmp_path, monkeypatch, kind, small):
    monkeypatch.setattr(picture, "_SMALL", small)
    path = tmp_path / "x.jpg"
    path.write_bytes(jpeg(GREY, **KINDS[kind]))
    with open_slide(path) as slide:
        assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - GREY).mean() < 4
    path.write_bytes(cut(jpeg(RGB, **KINDS[kind])))
    with pytest.raises(SlideError, match="damaged picture"), open_slide(path) as slide:
        slide.read(Box(0, 0, 128, 192))
