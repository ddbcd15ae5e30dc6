from __future__ import annotations

import io
from contextlib import closing

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from slideseg.errors import SlideError
from slideseg.slide.array import ArraySlide
from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from tests.damage import flipped

RGB = np.random.default_rng(4).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def saved(tmp_path, image, name="x.png", **options):
    image.save(tmp_path / name, **options)
    return open_slide(tmp_path / name)


def whole(slide):
    return slide.read(Box.of_shape(slide.levels[0].shape))


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((40, 50), "yxc", (40, 50, 1)),
        ((40, 50, 4), "yxc", (40, 50, 4)),
        ((40, 50, 5), "zyxc", (40, 50, 5, 1)),
        ((2, 40, 50, 7), "zyxc", (2, 40, 50, 7)),
    ],
)
def test_axes_of_arrays(shape, axes, expected):
    slide = ArraySlide(np.zeros(shape, np.uint8))
    assert (slide.axes, slide.shape) == (axes, expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5, np.uint8), "unsupported axes"),
        (np.zeros((0, 5), np.uint8), "without pixels"),
        (np.zeros((5, 5), np.int64), "unsupported type"),
        (np.zeros((5, 5), np.complex64), "unsupported type"),
        (np.zeros((1, 5, 5, 2000), np.uint8), "too many channels"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array, message, tmp_path):
    with pytest.raises(SlideError, match=message):
        ArraySlide(array)
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(SlideError, match=message):
        open_slide(tmp_path / "x.npy")


def test_other_byte_orders_become_native(tmp_path):
    grey = np.arange(2000, dtype=">u2").reshape(40, 50)
    np.save(tmp_path / "x.npy", grey)
    for slide in (ArraySlide(grey), open_slide(tmp_path / "x.npy")):
        assert slide.dtype == np.dtype(np.uint16)
        np.testing.assert_array_equal(whole(slide)[..., 0], grey)


def test_truth_values_are_black_and_white(tmp_path):
    bits = np.arange(300).reshape(2, 10, 15) % 7 == 0
    np.save(tmp_path / "x.npy", bits)
    with closing(open_slide(tmp_path / "x.npy")) as slide:
        assert slide.dtype == np.uint8
        assert np.array_equal(slide.read(Box(2, 3, 9, 11), 0, 1)[..., 0], bits[1, 2:9, 3:11] * 255)


def test_npys_that_are_damaged_or_dangerous_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, RGB)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SlideError):
        open_slide(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(SlideError):
        open_slide(path)
    np.save(path, np.asfortranarray(RGB))
    with pytest.raises(SlideError, match="Fortran"):
        open_slide(path)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("L", (40, 50, 1)), ("LA", (40, 50, 1)), ("RGB", (40, 50, 3)), ("RGBA", (40, 50, 3)), ("P", (40, 50, 3))],
)
def test_kinds_of_png(tmp_path, mode, expected):
    image = Image.fromarray(RGB).convert(mode)
    slide = saved(tmp_path, image)
    assert (slide.shape, slide.dtype, slide.direct) == (expected, np.uint8, False)
    rgb = np.asarray(image.convert("RGB" if expected[-1] == 3 else "L")).reshape(expected)
    np.testing.assert_array_equal(whole(slide), rgb)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
def test_sixteen_bits_are_kept(tmp_path, shape):
    deep = np.random.default_rng(1).integers(0, 65536, shape, dtype=np.uint16)
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(deep))
    slide = open_slide(tmp_path / "x.png")
    assert slide.dtype == np.uint16
    np.testing.assert_array_equal(whole(slide), deep.reshape(40, 50, -1))


def test_a_jpeg_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    slide = saved(tmp_path, Image.new("RGB", (50, 40), "white"), "x.jpg", exif=exif)
    assert slide.shape == (50, 40, 3)
    assert (whole(slide) == 255).all()


def test_pictures_for_the_press_are_refused(tmp_path):
    with pytest.raises(SlideError, match="unsupported kind"):
        saved(tmp_path, Image.new("CMYK", (5, 5)), "x.jpg")


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_a_cut_picture_is_refused(tmp_path, name):
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG" if name.endswith("png") else "JPEG")
    content = file.getvalue()
    for length in (10, 30, len(content) // 2, len(content) - 40):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(SlideError, match="damaged picture"):
            whole(open_slide(tmp_path / name))


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_a_picture_is_seen_to_be_cut_before_it_is_decoded(tmp_path, name):
    Image.fromarray(RGB).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    for length in {*range(9, len(content), max(1, len(content) // 200)), len(content) - 1}:
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(SlideError, match="damaged picture"):
            open_slide(tmp_path / name)


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_what_lies_behind_the_end_of_a_picture_is_no_damage(tmp_path, name):
    slide = saved(tmp_path, Image.fromarray(RGB), name)
    before = whole(slide)
    with (tmp_path / name).open("ab") as file:
        file.write(bytes(1000))
    np.testing.assert_array_equal(whole(open_slide(tmp_path / name)), before)


def test_a_bit_of_a_png_that_flips_is_noticed(tmp_path):
    """Pillow passes over the checksums of pixels, and reads other ones."""
    Image.fromarray(RGB).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    for place in range(40, len(content) - 16, 397):
        (tmp_path / "x.png").write_bytes(flipped(content, place))
        with pytest.raises(SlideError, match="damaged picture"):
            whole(open_slide(tmp_path / "x.png"))


def test_an_npy_that_is_longer_than_its_head_says_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", RGB)
    content = (tmp_path / "x.npy").read_bytes()
    head = f"({len(RGB)}, ".encode()
    assert head in content
    (tmp_path / "x.npy").write_bytes(
        content.replace(head, f"({len(RGB) // 10}, ".encode() + b" " * (len(head) - len(f"({len(RGB) // 10}, ")))
    )
    with pytest.raises(SlideError, match=r"damaged npy .got .* bytes"):
        open_slide(tmp_path / "x.npy")


@pytest.mark.parametrize("place", [9, 57, 60, 72])
def test_an_npy_whose_head_does_not_parse_is_refused(tmp_path, place):
    np.save(tmp_path / "x.npy", RGB)
    (tmp_path / "x.npy").write_bytes(flipped((tmp_path / "x.npy").read_bytes(), place))
    with pytest.raises(SlideError, match="npy"):
        open_slide(tmp_path / "x.npy")


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path):
    content = bytearray(imagecodecs.png_encode(RGB))
    content[16:24] = (1 << 20).to_bytes(4, "big") * 2
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(SlideError):
        open_slide(tmp_path / "x.png")


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_a_picture_that_names_an_orientation_is_read_upright(tmp_path, name):
    exif = Image.Exif()
    exif[274] = 6
    slide = saved(tmp_path, Image.fromarray(RGB), name, exif=exif)
    assert slide.shape == (50, 40, 3)
    assert whole(slide).shape == (50, 40, 3)
