from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from slideseg.slide.tiff.slide import TiffSlide
from slideseg.space.box import Box
from slideseg.testing.slides import PatternSlide, write_pyramid

RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (60, 84, 3), dtype=np.uint8)
APERIO = "Aperio Image Library v11.2.1\r\n84x60 (32x32) JPEG/RGB Q=70|AppMag = 20|MPP = {}"


def write(path, pixels, **options):
    tifffile.imwrite(path, pixels, **({"metadata": None} | options))
    return TiffSlide(str(path))


def whole(slide, plane=0):
    return slide.read(Box.of_shape(slide.levels[0].shape), 0, plane)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_the_image_is_turned_upright(tmp_path, orientation, tile):
    pixels = RGB if orientation < 5 else RGB[:40]
    extra = [(274, "H", 1, orientation, True)]
    with write(tmp_path / "x.tif", pixels, photometric="rgb", extratags=extra, tile=tile) as slide:
        read = whole(slide)
        part = slide.read((3, 5, 17, 40 if orientation < 5 else 30))
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(part, expected[3:17, 5 : 40 if orientation < 5 else 30])


@pytest.mark.parametrize(
    ("description", "mpp"), [("0.4990", 0.499), ("0,25", 0.25), ("nan", None), ("-1", None), ("1e9", None), ("fine", None)]
)
def test_aperio_names_its_mpp(tmp_path, description, mpp):
    options = {"photometric": "rgb", "tile": (32, 32), "description": APERIO.format(description)}
    with write(tmp_path / "x.svs", RGB, **options) as slide:
        assert slide.mpp == mpp


def test_an_svs_is_its_baseline_and_reduced_levels(tmp_path):
    path = tmp_path / "x.svs"
    big = PatternSlide((512, 700)).read((0, 0, 512, 700))
    with tifffile.TiffWriter(path) as writer:
        options = {"photometric": "rgb", "metadata": None}
        writer.write(big, tile=(128, 128), description=APERIO.format(0.5), **options)
        writer.write(big[::8, ::8], description="Aperio\r\n700x512 -> 87x64 - ", **options)
        writer.write(big[::4, ::4], tile=(128, 128), description="Aperio\r\n700x512 -> 175x128 ", **options)
        writer.write(RGB, description="Aperio\r\nlabel 84x60", subfiletype=1, **options)
        writer.write(RGB[:, :50], description="Aperio\r\nmacro 50x60", subfiletype=9, **options)
    with open_slide(path) as slide:
        assert [level.shape for level in slide.levels] == [(512, 700), (128, 175)]
        assert slide.levels[1].downsample == 4
        np.testing.assert_array_equal(slide.read((0, 0, 128, 175), 1), big[::4, ::4])


@pytest.mark.parametrize(
    ("unit", "resolution", "mpp"),
    [("CENTIMETER", 20000, 0.5), ("INCH", 101600, 0.25), ("NONE", 20000, None), ("INCH", 300, None), ("CENTIMETER", 1, None)],
)
def test_resolution_tags_count_only_where_they_can_be_a_microscopes(tmp_path, unit, resolution, mpp):
    options = {"resolution": (resolution, resolution), "resolutionunit": unit, "photometric": "rgb"}
    with write(tmp_path / "x.tif", RGB, **options) as slide:
        assert slide.mpp == pytest.approx(mpp) if mpp else slide.mpp is None


def test_imagej_names_its_unit(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, RGB[..., 0], imagej=True, resolution=(4, 4), metadata={"unit": "um"})
    assert open_slide(path).mpp == 0.25


def test_alpha_is_dropped_and_a_fourth_band_kept(tmp_path):
    four = np.dstack([RGB, RGB[..., :1]])
    with write(tmp_path / "a.tif", four, photometric="rgb", extrasamples=["unassalpha"]) as slide:
        assert slide.is_rgb
        np.testing.assert_array_equal(whole(slide), RGB)
    with write(tmp_path / "b.tif", four, photometric="rgb", extrasamples=["unspecified"]) as slide:
        assert not slide.is_rgb
        np.testing.assert_array_equal(whole(slide), four)


@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_white_is_zero_is_inverted(tmp_path, tile):
    grey = RGB[..., 0].astype(np.uint16) * 257
    with write(tmp_path / "x.tif", grey, photometric="miniswhite", tile=tile) as slide:
        np.testing.assert_array_equal(whole(slide)[..., 0], 65535 - grey)


def test_a_palette_becomes_rgb(tmp_path):
    colours = RNG.integers(0, 65536, (3, 256), dtype=np.uint16)
    with write(tmp_path / "x.tif", RGB[..., 0], photometric="palette", colormap=colours) as slide:
        assert slide.is_rgb
        np.testing.assert_array_equal(whole(slide), (colours >> 8).astype(np.uint8).T[RGB[..., 0]])


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint32"])
def test_whole_numbers_of_other_types_are_images_too(tmp_path, dtype):
    pixels = (RGB.astype(np.int64) - 100).astype(dtype)
    with write(tmp_path / "x.tif", pixels, photometric="rgb", tile=(64, 64), compression="zlib") as slide:
        assert slide.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(whole(slide), pixels)


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (RGB[..., 0] > 9, {}, "unsupported type"),
        (RGB.astype(np.int64), {"photometric": "rgb"}, "unsupported type"),
        (np.zeros((8, 8), np.complex64), {}, "unsupported type"),
        (np.dstack([RGB, RGB[..., :1]]), {"photometric": "separated"}, "unsupported colours"),
        (RGB, {"photometric": "cielab"}, "unsupported colours"),
        (np.zeros((2, 3, 8, 8), np.uint8), {"imagej": True, "metadata": {"axes": "TZYX"}}, "too many axes"),
        (np.zeros((2, 8, 8, 3), np.uint8), {"ome": True, "metadata": {"axes": "CYXS"}, "photometric": "rgb"}, "too many axes"),
    ],
)
def test_what_can_not_be_read_right_is_refused(tmp_path, pixels, options, message):
    with pytest.raises(SlideError, match=message):
        write(tmp_path / "x.tif", pixels, **options)


def test_channels_between_planes_are_sorted_out(tmp_path):
    stack = RNG.integers(0, 9999, (2, 3, 20, 30), dtype=np.uint16)
    path = tmp_path / "x.ome.tif"
    tifffile.imwrite(path, stack, ome=True, metadata={"axes": "CZYX"}, compression="zlib")
    with open_slide(path) as slide:
        assert (slide.axes, slide.shape) == ("zyxc", (3, 20, 30, 2))
        np.testing.assert_array_equal(whole(slide, 2), stack[:, 2].transpose(1, 2, 0))


def test_a_pyramid_of_channels_in_sub_directories(tmp_path):
    channels = RNG.integers(0, 9999, (3, 64, 96), dtype=np.uint16)
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", ome=True, bigtiff=True) as writer:
        options = {"tile": (32, 32), "compression": "zlib", "photometric": "minisblack"}
        writer.write(channels, subifds=1, metadata={"axes": "CYX"}, **options)
        writer.write(channels[:, ::2, ::2], subfiletype=1, **options)
    with open_slide(tmp_path / "x.ome.tif") as slide:
        assert [level.shape for level in slide.levels] == [(64, 96), (32, 48)]
        for level in range(2):
            read = slide.read(Box.of_shape(slide.levels[level].shape), level)
            np.testing.assert_array_equal(read, channels[:, :: 2**level, :: 2**level].transpose(1, 2, 0))


def test_a_stack_of_one_directory_is_read_whole(tmp_path):
    stack = RNG.integers(0, 9999, (5, 20, 30), dtype=np.uint16)
    path = tmp_path / "x.tif"
    description = "ImageJ=1.53\nimages=5\nslices=5\n"
    tifffile.imwrite(path, stack[0], description=description, metadata=None, byteorder=">")
    with path.open("ab") as file:
        file.write(stack[1:].astype(">u2").tobytes())
    with open_slide(path) as slide:
        assert (slide.axes, slide.shape) == ("zyxc", (5, 20, 30, 1))
        np.testing.assert_array_equal(whole(slide, 4)[..., 0], stack[4])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SlideError, match="cut off"):
        open_slide(path)


def test_a_cut_stack_of_one_directory_by_tifffile_is_refused(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.ones((5, 20, 30), np.uint8), photometric="minisblack", truncate=True)
    with open_slide(path) as slide:
        assert slide.shape == (5, 20, 30, 1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SlideError, match="cut off"):
        open_slide(path)


def test_pages_that_are_missing_are_not_read_as_zero(tmp_path):
    path = tmp_path / "x.ome.tif"
    xml = tifffile.OmeXml()
    xml.addimage("uint8", (5, 60, 84), (5, 1, 1, 60, 84, 1), axes="ZYX")
    tifffile.imwrite(path, RGB[..., 0], description=xml.tostring(), metadata=None)
    with pytest.raises(SlideError):
        open_slide(path)


def test_sparse_tiles_are_zero_only_from_writers_that_leave_them_out(tmp_path):
    def tiles():
        yield RGB[:32, :32]
        yield from [None] * 5

    options = {"shape": RGB.shape, "dtype": "u1", "tile": (32, 32), "compression": "zlib", "photometric": "rgb"}
    with write(tmp_path / "x.tif", tiles(), **options) as slide:
        assert not whole(slide)[32:].any()
    with pytest.raises(SlideError, match="tiles are missing"):
        write(tmp_path / "y.tif", tiles(), software="scanner", **options)


def test_a_page_of_another_shape_is_no_level(tmp_path):
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as writer:
        for pixels in (RGB, RGB[:, :30], RGB[::2, ::2]):
            writer.write(pixels, photometric="rgb", tile=(32, 32), metadata=None)
    with open_slide(path) as slide:
        assert {level.shape for level in slide.levels} <= {(60, 84), (30, 42)}


@pytest.mark.parametrize(
    ("shape", "options", "direct"),
    [
        ((5000, 5000), {"tile": (256, 256), "compression": "zlib"}, True),
        ((5000, 5000), {}, True),
        ((5000, 5000), {"compression": "zlib", "rowsperstrip": 5000}, False),
        ((5000, 5000), {"compression": "zlib", "rowsperstrip": 16}, True),
        ((3000, 30000), {"compression": "zlib", "rowsperstrip": 16}, False),
        ((2000, 3000), {"compression": "zlib", "rowsperstrip": 2000}, True),
    ],
)
def test_direct_says_whether_a_box_costs_its_size(tmp_path, shape, options, direct):
    with write(tmp_path / "x.tif", np.zeros(shape, np.uint8), **options) as slide:
        assert slide.direct is direct


def test_a_large_strip_is_decoded_once_for_neighbouring_boxes(tmp_path, monkeypatch):
    pixels = np.zeros((4200, 8200), np.uint8)
    pixels[::97, ::89] = 200
    with write(tmp_path / "x.tif", pixels, compression="zlib", rowsperstrip=4200) as slide:
        page = slide._images[0].pages[0][0].page
        decode, calls = page.decode, []
        monkeypatch.setitem(page.__dict__, "decode", lambda *args, **named: calls.append(1) or decode(*args, **named))
        parts = [slide.read((y, 0, y + 1050, 8200)) for y in range(0, 4200, 1050)]
    np.testing.assert_array_equal(np.concatenate(parts)[..., 0], pixels)
    assert len(calls) == 1


def test_zarr_view_shows_the_same_pixels(tmp_path):
    write_pyramid(tmp_path / "x.tif", RGB, tile=32, compression="zlib", levels=2)
    with TiffSlide(str(tmp_path / "x.tif")) as slide:
        for level in range(2):
            np.testing.assert_array_equal(slide.zarr(level)[:], slide.read(Box.of_shape(slide.levels[level].shape), level))


def test_a_file_cut_while_it_is_open_raises(tmp_path):
    with write(tmp_path / "x.tif", RGB, photometric="rgb") as slide:
        with open(tmp_path / "x.tif", "r+b") as file:
            file.truncate(3000)
        with pytest.raises(SlideError, match="ends at 3000"):
            whole(slide)
