"""Large pictures, row by row, are the small ones that are decoded whole."""

from __future__ import annotations

import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from slideseg.slide.picture import slide as module
from slideseg.slide.rows import stream
from slideseg.slide.rows.copy import chunk_slide
from slideseg.space.box import Box

RNG = np.random.default_rng(8)
SMOOTH = np.add.outer(np.arange(150), np.arange(210))[..., None] + np.arange(3)
RGB = (SMOOTH + RNG.integers(0, 30, SMOOTH.shape)).astype(np.uint8)
DEEP = (SMOOTH * 90 + RNG.integers(0, 99, SMOOTH.shape)).astype(np.uint16)


def save(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def palette(path, **options):
    Image.fromarray(RGB).quantize(60).save(path, **options)
    return path


def grey_palette(path, **options):
    picture = Image.fromarray(RGB[..., 0]).copy()
    picture.putpalette([255 - index for index in range(256) for _ in range(3)])
    picture.save(path, **options)
    return path


def with_key(path, values):
    """Say in a PNG of 16 bits which colour is transparent."""
    data, body = path.read_bytes(), b"tRNS" + b"".join(value.to_bytes(2, "big") for value in values)
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    at = data.index(b"IDAT") - 4
    path.write_bytes(data[:at] + chunk + data[at:])
    return path


def deep(path, image):
    path.write_bytes(imagecodecs.png_encode(image))
    return path


PICTURES = {
    "rgb.png": lambda p: save(p, RGB),
    "grey.png": lambda p: save(p, RGB[..., 0]),
    "alpha.png": lambda p: save(p, np.dstack([RGB, RGB[..., :1] // 2])),
    "grey-alpha.png": lambda p: save(p, np.ascontiguousarray(RGB[..., :2])),
    "palette.png": palette,
    "deep.png": lambda p: deep(p, DEEP),
    "deep-grey.png": lambda p: deep(p, np.ascontiguousarray(DEEP[..., 0])),
    "grey-palette.png": lambda p: grey_palette(p),
    "palette-key.png": lambda p: palette(p, transparency=7),
    "palette-alpha.png": lambda p: palette(p, transparency=bytes(range(0, 240, 4))),
    "grey-palette-alpha.png": lambda p: grey_palette(p, transparency=bytes(range(256))),
    "key.png": lambda p: save(p, RGB // 64, transparency=(1, 1, 1)),
    "grey-key.png": lambda p: save(p, RGB[..., 0] // 64, transparency=1),
    "bilevel.png": lambda p: save(p, RGB[..., 0] > 99),
    "deep-alpha.png": lambda p: deep(p, np.dstack([DEEP, DEEP[..., :1] * 7])),
    "deep-grey-alpha.png": lambda p: deep(p, np.dstack([DEEP[..., :1], DEEP[..., :1] * 7])),
    "deep-grey-key.png": lambda p: with_key(deep(p, DEEP[..., 0] // 4000), [1]),
    "deep-key.png": lambda p: with_key(deep(p, DEEP // 4000), [1, 1, 1]),
    "420.jpg": lambda p: save(p, RGB, quality=80),
    "444.jpg": lambda p: save(p, RGB, quality=95, subsampling=0),
    "grey.jpg": lambda p: save(p, RGB[..., 0]),
    "restarts.jpg": lambda p: save(p, RGB, restart_marker_rows=1),
    "odd.jpg": lambda p: save(p, RGB[:149, :203]),
}


@pytest.fixture
def large(monkeypatch):
    """Have any picture be large, and bands small."""

    def begin() -> None:
        monkeypatch.setattr(module, "_SMALL", 0)
        monkeypatch.setattr(stream, "BAND_BYTES", 1)

    return begin


@pytest.mark.parametrize("name", PICTURES)
def test_rows_are_the_whole(name, tmp_path, large):
    path = PICTURES[name](tmp_path / name)
    with open_slide(path) as slide:
        whole = slide.read(Box.of_shape(slide.levels[0].shape))
    large()
    with open_slide(path) as slide:
        assert slide._rows is not None
        assert (slide.shape, slide.dtype) == (whole.shape, whole.dtype)
        for box in (Box.of_shape(whole.shape[:2]), Box(3, 5, 60, 200), Box(100, 0, 149, 9), Box(7, 7, 8, 8)):
            np.testing.assert_array_equal(slide.read(box), whole[box.slices])


SIDEWAYS = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"


@pytest.mark.parametrize("options", [{"progressive": True}, {"exif": SIDEWAYS}])
def test_pictures_without_one_row_after_the_other_are_decoded_whole_up_to_a_limit(options, tmp_path, large, monkeypatch):
    path = save(tmp_path / "x.jpg", RGB, **options)
    large()
    with open_slide(path) as slide:
        assert slide._rows is None
        assert slide.read(Box(0, 0, 9, 9)).shape == (9, 9, 3)
    monkeypatch.setattr(module, "MAX_WHOLE", 1000)
    with pytest.raises(SlideError, match="too large for a picture that is decoded whole"):
        open_slide(path)


def test_a_large_picture_may_be_larger_than_what_is_decoded_whole(tmp_path, large, monkeypatch):
    path = save(tmp_path / "x.png", RGB)
    large()
    monkeypatch.setattr(module, "MAX_WHOLE", 1000)
    with open_slide(chunk_slide(open_slide(path), str(tmp_path / "copy.zarr"))) as copy:
        np.testing.assert_array_equal(copy.read(Box(0, 0, 150, 210)), RGB)


@pytest.mark.parametrize("name", ["rgb.png", "420.jpg"])
def test_a_picture_that_changes_to_a_damaged_one_is_an_error(name, tmp_path, large):
    path = PICTURES[name](tmp_path / name)
    large()
    with open_slide(path) as slide:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(SlideError, match="damaged picture"):
            slide.read(Box(0, 0, 150, 210))


def test_a_head_that_claims_more_than_the_file_can_hold_is_refused(tmp_path, large):
    path = save(tmp_path / "x.png", RGB)
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(SlideError, match="too short for its size"):
        open_slide(path)


def test_a_picture_that_changes_to_another_one_is_an_error(tmp_path, large):
    path = save(tmp_path / "x.png", RGB)
    large()
    with open_slide(path) as slide:
        save(path, RGB[:90])
        with pytest.raises(SlideError, match="damaged picture"):
            slide.read(Box(0, 0, 5, 5))
