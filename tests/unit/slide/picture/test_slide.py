"""What is transparent in a picture shows the background, and was not scanned."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from tests.unit.slide.picture.test_in_rows import DEEP, PICTURES, RGB

WHOLE = Box(0, 0, 150, 210)


def over(pixels, alpha, white, top):
    share = (alpha / top)[..., None]
    return np.floor(pixels * share + white * (1 - share) + 0.5)


def with_pillow(path):
    """Return colours and alpha of 8 bits, by another road than the reader's: everything as RGBA."""
    rgba = np.asarray(Image.open(path).convert("RGBA")).astype(float)
    return rgba[..., :3], rgba[..., 3]


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        *(("alpha.png", 3), ("palette-key.png", 3), ("palette-alpha.png", 3), ("key.png", 3)),
        *(("grey-alpha.png", 1), ("grey-palette-alpha.png", 1), ("grey-key.png", 1)),
    ],
)
def test_alpha_of_any_kind(tmp_path, name, channels):
    colours, alpha = with_pillow(PICTURES[name](tmp_path / name))
    white = 255 if channels == 3 else 0
    with open_slide(tmp_path / name) as slide:
        assert slide.background == (white,) * channels
        assert slide.shape == (150, 210, channels)
        np.testing.assert_array_equal(slide.read(WHOLE), over(colours, alpha, white, 255)[..., :channels])
        np.testing.assert_array_equal(slide.scanned(WHOLE), alpha > 0)
        assert 0 < (alpha > 0).mean() < 1


@pytest.mark.parametrize(
    ("name", "colours", "alpha"),
    [
        ("deep-alpha.png", DEEP, DEEP[..., 0] * 7),
        ("deep-grey-alpha.png", DEEP[..., :1], DEEP[..., 0] * 7),
        ("deep-grey-key.png", DEEP[..., :1] // 4000, (DEEP[..., 0] // 4000 != 1) * 65535),
        ("deep-key.png", DEEP // 4000, (DEEP // 4000 != 1).any(axis=2) * 65535),
    ],
)
def test_alpha_of_16_bits(tmp_path, name, colours, alpha):
    PICTURES[name](tmp_path / name)
    white = 65535 if colours.shape[2] == 3 else 0
    with open_slide(tmp_path / name) as slide:
        np.testing.assert_array_equal(slide.read(WHOLE), over(colours.astype(float), alpha, white, 65535))
        scanned = slide.scanned(WHOLE)
        np.testing.assert_array_equal(np.ones((150, 210), bool) if scanned is None else scanned, alpha > 0)


def test_a_palette_of_greys_is_one_channel(tmp_path):
    PICTURES["grey-palette.png"](tmp_path / "x.png")
    with open_slide(tmp_path / "x.png") as slide:
        assert (slide.is_rgb, slide.background) == (False, None)
        np.testing.assert_array_equal(slide.read(WHOLE)[..., 0], 255 - RGB[..., 0])


def test_one_bit_is_black_and_white(tmp_path):
    PICTURES["bilevel.png"](tmp_path / "x.png")
    with open_slide(tmp_path / "x.png") as slide:
        np.testing.assert_array_equal(slide.read(WHOLE)[..., 0], np.where(RGB[..., 0] > 99, 255, 0))


def test_the_reported_picture(data):
    path = data / "reported" / "c25_transparent.png"
    if not path.exists():
        pytest.skip("no reported files in the data folder")
    with open_slide(path) as slide:
        pixels = slide.read(Box(0, 0, *slide.shape[:2]))
        assert 0.18 < (pixels[..., 0] < 128).mean() < 0.2
        assert (pixels[~slide.scanned(Box(0, 0, *slide.shape[:2]))] == 255).all()
