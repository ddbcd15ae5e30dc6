from __future__ import annotations

import io
import time

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from slideseg.errors import SlideError
from slideseg.slide.open import open_file, open_labels, open_slide
from slideseg.slide.selection import WHOLE
from slideseg.slide.tiff.decoding import strips
from slideseg.slide.tiff.decoding.strips import open_rows
from slideseg.slide.tiff.slide import TiffSlide
from slideseg.slide.tissue.picture import take_picture
from slideseg.space.box import Box
from slideseg.testing.slides import PatternSlide

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


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_what_is_transparent_shows_the_background(tmp_path, kind, tile):
    alpha = RNG.integers(0, 256, (60, 84), dtype=np.uint8)
    alpha[:20], alpha[40:] = 0, 255
    share = alpha[..., None] / 255
    colours = RGB if kind == "unassalpha" else np.rint(RGB * share).astype(np.uint8)
    four = np.dstack([colours, alpha])
    with write(tmp_path / "a.tif", four, photometric="rgb", extrasamples=[kind], tile=tile) as slide:
        assert slide.is_rgb
        assert slide.background == (255, 255, 255)
        pixels = whole(slide)
        np.testing.assert_array_equal(slide.scanned((0, 0, 60, 84)), alpha > 0)
    exact = RGB * share + 255 * (1 - share)
    assert np.abs(pixels - exact).max() <= (0.5 if kind == "unassalpha" else 1.01)
    assert (pixels[:20] == 255).all()
    np.testing.assert_array_equal(pixels[40:], RGB[40:])


def test_grey_is_in_front_of_black(tmp_path):
    two = np.dstack([RGB[..., 0], np.where(RGB[..., 1] > 99, 255, 0)]).astype(np.uint16)
    options = {"photometric": "minisblack", "extrasamples": ["unassalpha"], "planarconfig": "contig"}
    with write(tmp_path / "a.tif", two * 257, **options) as slide:
        assert (slide.shape, slide.background) == ((60, 84, 1), (0,))
        np.testing.assert_array_equal(whole(slide)[..., 0], np.where(two[..., 1] > 0, two[..., 0] * 257, 0))


def test_a_fourth_band_is_kept(tmp_path):
    four = np.dstack([RGB, RGB[..., :1]])
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
        (RGB.astype(np.int64), {"photometric": "rgb"}, "unsupported type"),
        (np.zeros((8, 8), np.complex64), {}, "unsupported type"),
        (np.dstack([RGB, RGB[..., :1]]), {"photometric": "separated"}, "unsupported colours"),
        (RGB, {"photometric": "cielab"}, "unsupported colours"),
        (
            np.zeros((2, 8, 8, 3), np.uint8),
            {"ome": True, "metadata": {"axes": "CYXS"}, "photometric": "rgb"},
            "several samples",
        ),
        (np.zeros((2, 8, 8), np.uint8), {"volumetric": True, "tile": (2, 16, 16)}, "ImageDepth"),
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


@pytest.mark.parametrize("software", ["tifffile.py", "scanner"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_tiles_without_data_were_not_scanned(tmp_path, software, orientation):
    def tiles():
        yield RGB[:32, :32]
        yield from [None] * 5

    options = {"shape": RGB.shape, "dtype": "u1", "tile": (32, 32), "compression": "zlib", "photometric": "rgb"}
    options |= {"extratags": [(274, "H", 1, orientation, True)], "software": software}
    with write(tmp_path / "x.tif", tiles(), **options) as slide:
        pixels, there = whole(slide), slide.scanned(Box.of_shape(slide.levels[0].shape))
        assert "5 of its 6 tiles hold no data" in slide.notes[0]
    back = {1: lambda a: a, 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, 1)}[orientation]
    np.testing.assert_array_equal(back(pixels)[:32, :32], RGB[:32, :32])
    assert (pixels[~there] == 255).all()
    assert back(there)[:32, :32].all()
    assert there.sum() == 32 * 32


@pytest.mark.parametrize("planar", [False, True])
def test_boxes_of_a_sparse_picture_show_what_is_stored_of_them(tmp_path, monkeypatch, planar):
    stored = np.random.default_rng(8).random((3 if planar else 1, 4, 6)) < 0.3
    stored.flat[0] = True  # tifffile wants to see one
    tiles = np.stack([np.full((16, 16), 3 * n, np.uint8) for n in range(1, stored.size + 1)])
    kept = (tile if planar else np.stack([tile] * 3, -1) for tile in tiles)
    data = (tile if there else None for tile, there in zip(kept, stored.flat, strict=True))
    shape = (3, 60, 90) if planar else (60, 90, 3)
    options = {"planarconfig": "separate"} if planar else {}
    grid = np.where(stored.reshape(-1, 1, 1), tiles, 0).reshape(*stored.shape, 16, 16).swapaxes(2, 3)
    image = np.moveaxis(np.broadcast_to(grid.reshape(len(stored), 64, 96), (3, 64, 96)), 0, -1)[:60, :90]
    image = np.where(image > 0, image, 255)
    with write(
        tmp_path / "x.tif", data, shape=shape, dtype="u1", tile=(16, 16), compression="zlib", photometric="rgb", **options
    ) as slide:
        for y0, x0, y1, x1 in ((0, 0, 60, 90), (3, 5, 59, 31), (17, 16, 32, 80), (16, 48, 31, 49)):
            part = image[y0:y1, x0:x1]
            there = slide.scanned((y0, x0, y1, x1))
            np.testing.assert_array_equal(slide.read((y0, x0, y1, x1)), part)
            np.testing.assert_array_equal(np.ones(part.shape[:2], bool) if there is None else there, (part < 255).any(axis=2))


def test_a_huge_picture_of_one_tile_is_looked_over_at_once(tmp_path):
    def tiles():
        yield np.full((512, 512, 3), 90, np.uint8)
        yield from [None] * (196 * 196 - 1)

    path, side = tmp_path / "x.tif", 100_000
    options = {"dtype": "u1", "tile": (512, 512), "compression": "zlib", "photometric": "rgb"}
    with write(path, tiles(), shape=(side, side, 3), **options) as slide:
        started = time.process_time()
        picture = take_picture(slide)
        assert time.process_time() - started < 10
    assert 0 < picture.scanned.sum() < 2 * (512 / picture.pixel[0] + 1) ** 2
    assert (picture.pixels[~picture.scanned] == 255).all()


@pytest.mark.parametrize("compression", ["zlib", "jpeg", None])
def test_a_tile_of_no_bytes_was_not_scanned_wherever_it_is_said_to_lie(tmp_path, compression):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, RGB, tile=(32, 32), compression=compression, photometric="rgb")
    with open_slide(path) as slide:
        wanted = whole(slide)
    with tifffile.TiffFile(path, mode="r+") as tif:
        lengths = tif.pages.first.tags["TileByteCounts"]
        lengths.overwrite([0, *lengths.value[1:]])
        assert tif.pages.first.dataoffsets[0]
    with open_slide(path) as slide:
        pixels, there = whole(slide), slide.scanned(Box.of_shape(RGB.shape[:2]))
    assert (there.sum(), pixels.shape) == (there.size - 32 * 32, RGB.shape)
    np.testing.assert_array_equal(pixels[there], wanted[there])
    assert (pixels[~there] == 255).all()


def test_a_tile_that_lies_nowhere_is_damage(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, RGB, tile=(32, 32), compression="zlib", photometric="rgb")
    with tifffile.TiffFile(path, mode="r+") as tif:
        offsets = tif.pages.first.tags["TileOffsets"]
        offsets.overwrite([*offsets.value[:3], 0, *offsets.value[4:]])
    with pytest.raises(SlideError, match="tiles without data"):
        open_slide(path)


@pytest.mark.parametrize("channels_of_their_own", [True, False])
def test_a_channel_that_was_left_out_is_black_and_the_others_count(tmp_path, channels_of_their_own):
    def tiles():
        yield from (RGB[:32, :32, 0], None, RGB[:32, :32, 1], None)

    options = {"dtype": "u1", "tile": (32, 32), "compression": "zlib", "photometric": "minisblack"}
    if channels_of_their_own:
        options |= {"shape": (2, 32, 64), "ome": True, "metadata": {"axes": "CYX"}}
    else:
        options |= {"shape": (2, 32, 64), "planarconfig": "separate"}
    with write(tmp_path / "x.ome.tif", tiles(), **options) as slide:
        there = slide.scanned((0, 0, 32, 64))
        assert there[:, :32].all()
        assert not there[:, 32:].any()
        np.testing.assert_array_equal(whole(slide)[:, :32], RGB[:32, :32, :2])
        assert not whole(slide)[:, 32:].any()


def test_a_damaged_tile_is_an_error_that_names_it_or_was_not_scanned(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, RGB, tile=(32, 32), compression="zlib", photometric="rgb")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages.first.dataoffsets[4]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 8)
    with (
        open_slide(path) as slide,
        pytest.raises(SlideError, match=r"tile 4 \(rows 32 to 60, columns 32 to 64\).*--on-bad-tile"),
    ):
        whole(slide)
    with open_slide(path, on_bad_tile="background") as slide:
        there = slide.scanned((0, 0, 60, 84))
        expected = np.ones((60, 84), bool)
        expected[32:, 32:64] = False
        np.testing.assert_array_equal(there, expected)
        np.testing.assert_array_equal(whole(slide), np.where(expected[..., None], RGB, 255))
        assert slide.background == (255, 255, 255)


def test_one_bit_is_black_and_white_and_0_and_1_as_labels(tmp_path):
    mask = RGB[..., 0] > 99
    for photometric, white in (("minisblack", mask), ("miniswhite", ~mask)):
        path = tmp_path / f"{photometric}.tif"
        tifffile.imwrite(path, mask, photometric=photometric)
        with open_slide(path) as slide:
            np.testing.assert_array_equal(whole(slide)[..., 0], np.where(white, 255, 0))
        with open_labels(path) as slide:
            np.testing.assert_array_equal(whole(slide)[..., 0], white)


def test_a_palette_of_greys_is_one_channel(tmp_path):
    ramp = np.arange(255, -1, -1, dtype=np.uint16)
    for scale in (1, 256, 257):
        with write(tmp_path / "x.tif", RGB[..., 0], photometric="palette", colormap=np.stack([ramp * scale] * 3)) as slide:
            assert not slide.is_rgb
            np.testing.assert_array_equal(whole(slide)[..., 0], 255 - RGB[..., 0])
    deep = RNG.permutation(65536).astype(np.uint16)
    stored = RGB[..., 0].astype(np.uint16) * 200
    with write(tmp_path / "x.tif", stored, photometric="palette", colormap=np.stack([deep] * 3)) as slide:
        np.testing.assert_array_equal(whole(slide)[..., 0], deep[stored])


def test_a_stack_along_time_and_depth_counts_planes_in_order(tmp_path):
    stack = RNG.integers(0, 9999, (2, 2, 3, 20, 30), dtype=np.uint16)
    path = tmp_path / "x.ome.tif"
    tifffile.imwrite(path, stack.transpose(2, 0, 1, 3, 4), ome=True, metadata={"axes": "ZCTYX"}, compression="zlib")
    with open_file(str(path), WHOLE) as slide:
        assert (slide.axes, slide.shape) == ("tzyxc", (2, 3, 20, 30, 2))
        for plane in range(6):
            np.testing.assert_array_equal(whole(slide, plane), stack[:, plane // 3, plane % 3].transpose(1, 2, 0))
    with open_slide(path, t=1) as slide:
        np.testing.assert_array_equal(whole(slide, 2), stack[:, 1, 2].transpose(1, 2, 0))
    with pytest.raises(SlideError, match="too many axes"):
        open_slide(path)


def test_planes_called_red_green_and_blue_are_colours(tmp_path):
    path = tmp_path / "x.ome.tif"
    for names, rgb in ((["Red", "Green", "Blue"], True), (["R", "G", "B"], True), (["DAPI", "FITC", "Cy5"], False)):
        metadata = {"axes": "CYX", "Channel": {"Name": names}}
        tifffile.imwrite(path, RGB.transpose(2, 0, 1), ome=True, metadata=metadata, photometric="minisblack")
        with open_slide(path) as slide:
            assert slide.is_rgb is rgb
            assert [channel.name for channel in slide.channels] == names
            np.testing.assert_array_equal(whole(slide), RGB)


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
        calls = []
        monkeypatch.setattr(strips, "open_rows", lambda *args: calls.append(1) or open_rows(*args))
        parts = [slide.read((y, 0, y + 1050, 8200)) for y in range(0, 4200, 1050)]
    np.testing.assert_array_equal(np.concatenate(parts)[..., 0], pixels)
    assert len(calls) == 1


def test_a_file_cut_while_it_is_open_raises(tmp_path):
    with write(tmp_path / "x.tif", RGB, photometric="rgb") as slide:
        with open(tmp_path / "x.tif", "r+b") as file:
            file.truncate(3000)
        with pytest.raises(SlideError, match="ends at 3000"):
            whole(slide)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_few_bits_are_stretched_to_eight_for_images_and_stay_numbers_for_labels(tmp_path, bits, photometric):
    most = (1 << bits) - 1
    values = RNG.integers(0, most + 1, (40, 64), dtype=np.uint8)
    packed = np.packbits(np.unpackbits(values[..., None], axis=-1)[..., 8 - bits :].reshape(40, -1), axis=-1)
    tifffile.imwrite(tmp_path / "x.tif", packed, photometric=photometric, rowsperstrip=40)
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+b") as tif:
        for tag, value in ((256, 64), (258, bits)):
            tif.pages[0].tags[tag].overwrite(value)
    dark = values if photometric == "minisblack" else most - values
    with open_slide(tmp_path / "x.tif") as slide:
        assert slide.dtype == np.uint8
        np.testing.assert_array_equal(whole(slide)[..., 0], dark.astype(int) * 255 // most)
    with open_labels(tmp_path / "x.tif") as labels:
        np.testing.assert_array_equal(whole(labels)[..., 0], dark)
