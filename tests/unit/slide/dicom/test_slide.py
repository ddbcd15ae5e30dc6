"""Slides of DICOM files: their pixels against what was written, and against OpenSlide where that is right."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import pydicom
import pytest
from PIL import Image

from slideseg.errors import SlideError
from slideseg.slide.dicom.codec import Codec
from slideseg.slide.dicom.slide import DicomSlide
from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from tests.dicom_files import REDUCED, STREAMS, VOLUME, Made, light, series, write

RNG = np.random.default_rng(3)
SMOOTH = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (20, 26, 3), dtype=np.uint8)).resize((260, 200), Image.Resampling.BICUBIC)
)
"""200 x 260 pixels that any codec does well."""
GREY = SMOOTH[..., :1]
DEEP = GREY.astype(np.uint16) * 250


def whole(slide, level=0, plane=0):
    return slide.read(Box.of_shape(slide.levels[level].shape), level, plane)


def opened(path, pixels, **options):
    return open_slide(write(path, Made(pixels, **options)))


@pytest.mark.parametrize("offsets", ["basic", "extended", "none"])
@pytest.mark.parametrize("syntax", ["lossless-jpeg", "jpeg-ls", "jpeg2000", "htj2k", "jpeg-xl", "rle"])
def test_every_lossless_codec_and_table_of_offsets(tmp_path, syntax, offsets):
    with opened(tmp_path / "x.dcm", SMOOTH, syntax=syntax, offsets=offsets) as slide:
        assert (slide.axes, slide.shape, slide.mpp_yx, slide.is_rgb) == ("yxc", (200, 260, 3), (0.5, 0.5), True)
        np.testing.assert_array_equal(whole(slide), SMOOTH)
        np.testing.assert_array_equal(slide.read((60, 120, 70, 200)), SMOOTH[60:70, 120:200])


@pytest.mark.parametrize("pixels", [GREY, DEEP], ids=["8", "16"])
@pytest.mark.parametrize(
    "syntax", ["native", "lossless-jpeg", "jpeg-ls", "jpeg2000", "jpeg-xl", "rle", "big", "deflated", "implicit"]
)
def test_grey_of_8_and_16_bits(tmp_path, syntax, pixels):
    with opened(tmp_path / "x.dcm", pixels, syntax=syntax) as slide:
        assert (slide.shape, slide.dtype, slide.is_rgb) == ((200, 260, 1), pixels.dtype, False)
        np.testing.assert_array_equal(whole(slide), pixels)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", ["native", "implicit", "big", "deflated"])
def test_pixels_that_are_not_compressed(tmp_path, syntax, undefined):
    with opened(tmp_path / "x.dcm", SMOOTH, syntax=syntax, undefined=undefined) as slide:
        np.testing.assert_array_equal(whole(slide), SMOOTH)


@pytest.mark.parametrize("offsets", ["basic", "none"])
def test_frames_in_several_items(tmp_path, offsets):
    with opened(tmp_path / "x.dcm", SMOOTH, syntax="jpeg2000", fragment=1000, offsets=offsets) as slide:
        np.testing.assert_array_equal(whole(slide), SMOOTH)
    with opened(tmp_path / "y.dcm", SMOOTH, syntax="rle", tile=(200, 260), fragment=1000, offsets=offsets) as slide:
        np.testing.assert_array_equal(whole(slide), SMOOTH)


def test_jpeg_of_8_and_12_bits(tmp_path):
    with opened(tmp_path / "x.dcm", SMOOTH, syntax="jpeg", photometric="YBR_FULL_422") as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).max() < 25
        assert not slide.notes
    twelve = GREY.astype(np.uint16) * 16
    with opened(tmp_path / "y.dcm", twelve, syntax="jpeg12", tags={"BitsStored": 12, "HighBit": 11}) as slide:
        assert np.abs(whole(slide).astype(int) - twelve).max() <= 16


def test_planes_of_samples_and_bits_that_do_not_count(tmp_path):
    planar = lambda tile: tile.transpose(2, 0, 1).tobytes()  # noqa: E731
    with opened(tmp_path / "x.dcm", SMOOTH, encode=planar, syntax="items", tags={"PlanarConfiguration": 1}) as slide:
        np.testing.assert_array_equal(whole(slide), SMOOTH)
    dirty = (GREY.astype(np.uint16) << 2) | 0xC000
    with opened(tmp_path / "y.dcm", dirty, tags={"BitsStored": 12, "HighBit": 11}) as slide:
        np.testing.assert_array_equal(whole(slide), GREY.astype(np.uint16) << 2)
    with opened(tmp_path / "z.dcm", GREY, photometric="MONOCHROME1") as slide:
        np.testing.assert_array_equal(whole(slide), 255 - GREY)


def ycbcr(pixels):
    return np.asarray(Image.fromarray(pixels).convert("YCbCr"))


def halved(tile):
    y, cb, cr = ycbcr(tile).transpose(2, 0, 1)
    return np.stack([y[:, ::2], y[:, 1::2], cb[:, ::2], cr[:, ::2]], axis=-1).tobytes()


def test_luminance_and_colour_differences_without_a_stream(tmp_path):
    exact = np.asarray(Image.fromarray(ycbcr(SMOOTH), "YCbCr").convert("RGB"))
    for syntax in ("native", "rle", "jpeg-ls"):
        with opened(tmp_path / f"{syntax}.dcm", ycbcr(SMOOTH), syntax=syntax, photometric="YBR_FULL") as slide:
            np.testing.assert_array_equal(whole(slide), exact)
    with opened(tmp_path / "h.dcm", SMOOTH, syntax="items", encode=halved, photometric="YBR_FULL_422") as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).mean() < 6
    opened(tmp_path / "n.dcm", SMOOTH, photometric="YBR_FULL_422").close()
    written = pydicom.dcmread(tmp_path / "n.dcm")
    tiles = np.frombuffer(written.PixelData, np.uint8).reshape(-1, written.Rows, written.Columns, 3)
    written.PixelData = b"".join(halved(tile) for tile in tiles)
    written.save_as(tmp_path / "n.dcm")
    with open_slide(tmp_path / "n.dcm") as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).mean() < 6
    for number, options in enumerate(({}, {"syntax": "items", "encode": np.ndarray.tobytes})):  # the length says all
        with opened(tmp_path / f"{number}.dcm", ycbcr(SMOOTH), photometric="YBR_FULL_422", **options) as slide:
            np.testing.assert_array_equal(whole(slide), exact)


def jpeg(space, markers=True, names=True):
    def encode(tile):
        data = imagecodecs.jpeg8_encode(tile, 97, colorspace="RGB", outcolorspace=space, subsampling="444")
        if not markers:
            assert data[2:4] in (b"\xff\xe0", b"\xff\xee")
            data = data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]
        if markers and names:
            return data
        data = data.replace(b"\x03R\x11\0G\x11\0B\x11", b"\x03\1\x11\0\2\x11\0\3\x11")
        return data.replace(b"\x03R\0G\0B\0", b"\x03\1\0\2\0\3\0")

    return encode


@pytest.mark.parametrize(
    ("space", "markers", "says", "told"),
    [
        ("YCBCR", True, "RGB", True),
        ("RGB", True, "YBR_FULL_422", True),
        ("RGB", True, "RGB", False),
        ("YCBCR", True, "YBR_FULL", False),
        ("YCBCR", False, "YBR_FULL_422", False),
        ("RGB", False, "RGB", False),
    ],
)
def test_what_a_jpeg_says_counts_and_the_file_where_it_says_nothing(tmp_path, space, markers, says, told):
    with opened(tmp_path / "x.dcm", SMOOTH, syntax="jpeg", encode=jpeg(space, markers), photometric=says) as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).max() < 20
        assert bool(slide.notes) == told
        assert not told or f"says {says}" in slide.notes[0]


def test_an_adobe_marker_alone_says_that_components_are_colours(tmp_path):
    encode = jpeg("RGB", names=False)
    with opened(tmp_path / "x.dcm", SMOOTH, syntax="jpeg", encode=encode, photometric="YBR_FULL_422") as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).max() < 20
        assert "streams are RGB" in slide.notes[0]


def jpeg2000(mct, ycc=False, container="j2k"):
    def encode(tile):
        pixels, space = (ycbcr(tile), "SYCC") if ycc else (tile, "SRGB")
        return imagecodecs.jpeg2k_encode(pixels, codecformat=container, colorspace=space, reversible=True, mct=mct, level=0)

    return encode


@pytest.mark.parametrize(
    ("mct", "ycc", "container", "says", "told"),
    [
        (True, False, "j2k", "YBR_RCT", False),
        (True, False, "j2k", "RGB", True),
        (True, False, "j2k", "YBR_FULL", True),
        (False, False, "j2k", "RGB", False),
        (False, True, "j2k", "YBR_FULL", False),
        (False, True, "j2k", "YBR_ICT", True),
        (False, False, "j2k", "YBR_RCT", True),
        (False, True, "jp2", "RGB", True),
    ],
)
def test_what_jpeg_2000_says_counts(tmp_path, mct, ycc, container, says, told):
    encode = jpeg2000(mct, ycc, container)
    with opened(tmp_path / "x.dcm", SMOOTH, syntax="jpeg2000", encode=encode, photometric=says) as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).max() <= 4 * ycc
        assert bool(slide.notes) == told


def test_a_stack_of_planes_and_optical_paths(tmp_path):
    pixels = RNG.integers(0, 60000, (2, 3, 100, 130, 1)).astype(np.uint16)
    lights = [light("p0", "DAPI", "111743"), light("p1", "FITC", "111743")]
    with opened(tmp_path / "x.dcm", pixels, tags={"OpticalPathSequence": lights}) as slide:
        assert (slide.axes, slide.shape) == ("zyxc", (3, 100, 130, 2))
        assert [channel.name for channel in slide.channels] == ["DAPI", "FITC"]
        assert slide.pixel.z == 2
        for plane in range(3):
            np.testing.assert_array_equal(whole(slide, 0, plane), pixels[:, plane, ..., 0].transpose(1, 2, 0))
    sparse = Made(pixels, left_out=(7,), undefined=True)
    with open_slide(write(tmp_path / "y.dcm", sparse)) as slide:
        assert slide.shape == (3, 100, 130, 2)
        assert slide.background == (0, 0)
        expected = pixels[:, 1, ..., 0].transpose(1, 2, 0).copy()
        expected[:64, 64:128, 0] = 0
        np.testing.assert_array_equal(whole(slide, 0, 1), expected)


def test_planes_and_paths_in_files_of_their_own(tmp_path):
    pixels, one = RNG.integers(0, 255, (2, 2, 100, 130, 1)).astype(np.uint8), series()
    for path in range(2):
        for plane in range(2):
            corner = light("")
            corner.ZOffsetInSlideCoordinateSystem = 1.5 * plane
            tags = {"OpticalPathSequence": [light(f"c{path}")], "TotalPixelMatrixOriginSequence": [corner]}
            write(
                tmp_path / f"{path}{plane}.dcm", Made(pixels[path, plane], series=one, number=1 + 2 * path + plane, tags=tags)
            )
    with open_slide(tmp_path) as slide:
        assert (slide.axes, slide.shape, slide.pixel.z) == ("zyxc", (2, 100, 130, 2), 1.5)
        np.testing.assert_array_equal(whole(slide, 0, 1), pixels[:, 1, ..., 0].transpose(1, 2, 0))


def test_where_no_tile_is_nothing_was_scanned(tmp_path):
    with opened(tmp_path / "x.dcm", SMOOTH, left_out=(0, 7), syntax="jpeg-ls") as slide:
        expected = SMOOTH.copy()
        expected[:64, :64] = expected[64:128, 128:192] = 255
        np.testing.assert_array_equal(whole(slide), expected)
        there = slide.scanned((0, 0, 200, 260))
        assert not there[:64, :64].any()
        assert not there[64:128, 128:192].any()
        assert there.sum() == 200 * 260 - 2 * 64 * 64
        assert slide.scanned((0, 64, 64, 200)) is None
        assert slide.background == (255, 255, 255)
        assert "2 tiles of level 0 were not scanned" in slide.remarks[0]
    lab = {"RecommendedAbsentPixelCIELabValue": [0, 0x8080, 0x8080]}
    with opened(tmp_path / "y.dcm", SMOOTH, left_out=(0,), tags=lab) as slide:
        assert (whole(slide)[:64, :64] == 0).all()


def test_tiles_off_the_grid_and_empty_frames(tmp_path):
    places = [(0, 0), (0, 60), (50, 30), (136, 196)]
    with opened(tmp_path / "x.dcm", SMOOTH, places=places) as slide:
        expected, there = np.full_like(SMOOTH, 255), np.zeros((200, 260), bool)
        for y, x in places:
            expected[y : y + 64, x : x + 64] = SMOOTH[y : y + 64, x : x + 64]
            there[y : y + 64, x : x + 64] = True
        np.testing.assert_array_equal(whole(slide), expected)
        np.testing.assert_array_equal(slide.scanned((0, 0, 200, 260)), there)
    blank = lambda tile: b"" if (tile == SMOOTH[:64, :64]).all() else imagecodecs.jpegls_encode(tile)  # noqa: E731
    for offsets in ("basic", "none"):
        with opened(tmp_path / f"{offsets}.dcm", SMOOTH, syntax="jpeg-ls", encode=blank, offsets=offsets) as slide:
            assert (whole(slide)[:64, :64] == 255).all()
            np.testing.assert_array_equal(whole(slide)[64:], SMOOTH[64:])
            assert slide.scanned((0, 0, 64, 65)).sum() == 64


def test_of_tiles_that_overlap_the_later_lies_on_top(tmp_path):
    numbers = iter(range(1, 200))
    encode = lambda tile: np.full_like(tile, next(numbers)).tobytes()  # noqa: E731
    places = [(y, x) for y in range(0, 137, 17) for x in range(0, 197, 13)]
    expected = np.full((200, 260), 255)
    for number, (y, x) in enumerate(places, 1):
        expected[y : y + 64, x : x + 64] = number
    with opened(tmp_path / "x.dcm", SMOOTH, places=places, syntax="items", encode=encode) as slide:
        for _ in range(5):
            np.testing.assert_array_equal(whole(slide)[..., 0], expected)


def test_an_image_in_several_files(tmp_path):
    one, uid = series(), series()
    parts = [slice(0, 5), slice(5, 9), slice(9, None)]
    for k, part in enumerate(parts):
        tags = {"ConcatenationUID": uid, "InConcatenationNumber": k + 1, "InConcatenationTotalNumber": 3}
        write(tmp_path / f"{2 - k}.dcm", Made(SMOOTH, "jpeg2000", series=one, frames=part, tags=tags))
    with open_slide(tmp_path / "1.dcm") as slide:
        np.testing.assert_array_equal(whole(slide), SMOOTH)
        assert len(slide.levels) == 1
    (tmp_path / "1.dcm").unlink()
    with pytest.raises(SlideError, match="no part 2 of 3"):
        open_slide(tmp_path / "0.dcm")


def pyramid(folder, *, sizes, spacings, tile=(64, 64), **options):
    """Write levels of one picture, each filled up to ``sizes``; return that picture."""
    big = np.asarray(Image.fromarray(SMOOTH).resize((520, 400), Image.Resampling.BICUBIC))
    one = series()
    for k, (size, spacing) in enumerate(zip(sizes, spacings, strict=True)):
        step = 2**k
        level = np.asarray(Image.fromarray(big).reduce(step)) if k else big
        filled = np.full((*size, 3), 255, np.uint8)
        filled[: level.shape[0], : level.shape[1]] = level[: size[0], : size[1]]
        kind = VOLUME if k == 0 else REDUCED
        write(
            folder / f"{k}.dcm", Made(filled, "jpeg2000", tile, spacing=spacing, kind=kind, series=one, number=k + 1, **options)
        )
    return big


ALL = [(400, 520), (200, 260), (100, 130)]
FILLED = [(400, 520), (256, 320), (128, 192)]
RIGHT = [(0.0005, 0.0005), (0.001, 0.001), (0.002, 0.002)]


@pytest.mark.parametrize(
    ("sizes", "spacings"),
    [
        (ALL, RIGHT),
        (FILLED, RIGHT),
        (ALL, [None] * 3),
        (FILLED, [None] * 3),
        (ALL, [(0.0005, 0.0005)] * 3),
        (FILLED, [(0.0005, 0.0005)] * 3),
        (ALL, [(0.0005, 0.0005), (0.002, 0.002), (0.001, 0.001)]),
        (FILLED, [(0.0005, 0.0005), (0.000781, 0.000812), (0.00156, 0.00135)]),
    ],
)
def test_levels_lie_where_their_pixels_do(tmp_path, sizes, spacings):
    big = pyramid(tmp_path, sizes=sizes, spacings=spacings)
    with open_slide(tmp_path / "0.dcm") as slide:
        assert [level.shape for level in slide.levels] == ALL
        assert [level.scale for level in slide.levels] == [(1, 1), (2, 2), (4, 4)]
        np.testing.assert_array_equal(whole(slide, 1), np.asarray(Image.fromarray(big).reduce(2)))


def test_a_level_that_is_another_picture_is_not_used(tmp_path):
    one = series()
    write(tmp_path / "a.dcm", Made(SMOOTH, series=one))
    other = np.ascontiguousarray(np.asarray(Image.fromarray(SMOOTH).reduce(2))[::-1, ::-1])
    write(tmp_path / "b.dcm", Made(other, series=one, spacing=(0.0005, 0.0005), number=2))
    write(tmp_path / "c.dcm", Made(SMOOTH[:90, :90], series=one, spacing=(0.0005, 0.0005), number=3))
    with open_slide(tmp_path / "a.dcm") as slide:
        assert len(slide.levels) == 1
        assert [note.split(" ")[0] for note in slide.notes] == ["b.dcm", "c.dcm"]


def test_a_level_is_looked_over_whatever_its_spacing_says(tmp_path):
    big = pyramid(tmp_path, sizes=ALL[:2], spacings=RIGHT[:2])
    other = np.ascontiguousarray(np.asarray(Image.fromarray(big).reduce(4))[::-1, ::-1])
    one = pydicom.dcmread(tmp_path / "0.dcm", stop_before_pixels=True).SeriesInstanceUID
    write(tmp_path / "2.dcm", Made(other, series=one, spacing=RIGHT[2], kind=REDUCED, number=3))
    with open_slide(tmp_path / "0.dcm") as slide:
        assert [level.scale for level in slide.levels] == [(1, 1), (2, 2)]
        assert "2.dcm (100 x 130) is not the same picture" in slide.notes[0]


@pytest.mark.parametrize(("level_0", "level_1", "used"), [((), (3,), 1), ((12, 13, 21, 22), (), 2), ((), (1,), 2)])
def test_a_level_without_a_frame_that_the_finer_one_has_is_not_used(tmp_path, level_0, level_1, used):
    big = np.array(Image.fromarray(SMOOTH).resize((520, 400), Image.Resampling.BICUBIC))
    big[:128, 128:256] = 255  # background under frame 1 of level 1
    one = series()
    half = np.asarray(Image.fromarray(big).reduce(2))
    write(tmp_path / "0.dcm", Made(big, series=one, spacing=RIGHT[0], left_out=level_0))
    write(tmp_path / "1.dcm", Made(half, series=one, spacing=RIGHT[1], kind=REDUCED, number=2, left_out=level_1))
    with open_slide(tmp_path / "0.dcm") as slide:
        assert len(slide.levels) == used
        lack = "1.dcm (200 x 260) lacks frames of what level 0 shows: not used"
        assert (lack in slide.notes) == (used == 1)


def test_pixels_have_two_sides_rows_first(tmp_path):
    with opened(tmp_path / "x.dcm", SMOOTH, spacing=(0.001, 0.0005)) as slide:
        assert slide.mpp_yx == (1.0, 0.5)
        assert "PixelSpacing" in slide.pixel.source
    volume = {"ImagedVolumeHeight": 0.1, "ImagedVolumeWidth": 0.065}
    with opened(tmp_path / "y.dcm", SMOOTH, spacing=None, tags=volume) as slide:
        assert slide.mpp_yx == pytest.approx((0.5, 0.25))
    with opened(tmp_path / "z.dcm", SMOOTH, spacing=None) as slide:
        assert slide.mpp is None


def test_labels_overviews_and_thumbnails_are_no_slide(tmp_path):
    one, big = series(), np.asarray(Image.fromarray(SMOOTH).resize((600, 500)))
    write(tmp_path / "label.dcm", Made(big, series=one, kind=("ORIGINAL", "PRIMARY", "LABEL", "NONE")))
    write(tmp_path / "macro.dcm", Made(big, series=one, kind=("ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"), number=2))
    write(
        tmp_path / "thumb.dcm",
        Made(SMOOTH[::2, ::2], series=one, kind=("DERIVED", "PRIMARY", "THUMBNAIL", "RESAMPLED"), number=3),
    )
    with pytest.raises(SlideError, match=r"holds no whole slide \(got 0 \(label\), 1 \(macro\)"):
        open_slide(tmp_path)
    write(tmp_path / "slide", Made(SMOOTH, series=one, number=4))
    with open_slide(tmp_path / "label.dcm") as slide:
        assert [(image.role, image.used) for image in slide.images] == [
            ("slide", True), ("label", False), ("macro", False), ("thumbnail", False),
        ]  # fmt: skip
        np.testing.assert_array_equal(whole(slide), SMOOTH)
        assert len(slide.levels) == 1
    with open_slide(tmp_path, series=2) as slide:
        np.testing.assert_array_equal(whole(slide), big)
    with pytest.raises(SlideError, match="--series 4"):
        open_slide(tmp_path, series=4)


def test_two_pictures_of_one_series(tmp_path):
    one, there = series(), light("")
    there.XOffsetInSlideCoordinateSystem, there.YOffsetInSlideCoordinateSystem = 20, 30
    write(tmp_path / "a.dcm", Made(SMOOTH[:100], series=one))
    write(tmp_path / "b.dcm", Made(SMOOTH, series=one, number=2, tags={"TotalPixelMatrixOriginSequence": [there]}))
    with open_slide(tmp_path) as slide, open_slide(tmp_path, series=1) as other:
        assert slide.levels[0].shape == (200, 260)
        assert other.levels[0].shape == (100, 260)
        assert [image.role for image in other.images] == ["slide", "slide"]
        assert "2 pictures of the glass" in slide.remarks[0]


def test_a_slide_is_all_files_of_its_series_and_no_other(tmp_path):
    pyramid(tmp_path, sizes=ALL, spacings=RIGHT)
    (tmp_path / "1.dcm").rename(tmp_path / "no ending")
    (tmp_path / "notes.txt").write_text("about it")
    with open_slide(tmp_path) as slide:
        assert len(slide.levels) == 3
    write(tmp_path / "other.dcm", Made(SMOOTH, preamble=False))
    with open_slide(tmp_path / "other.dcm") as slide:
        np.testing.assert_array_equal(whole(slide), SMOOTH)
    with pytest.raises(SlideError, match="2 DICOM series"):
        open_slide(tmp_path)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"syntax": "1.2.840.10008.1.2.4.102", "encode": lambda tile: b"ab"}, "MPEG-4"),
        ({"tags": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}}, "no whole slide"),
        ({"tags": {"PhotometricInterpretation": "PALETTE COLOR"}}, "PALETTE COLOR"),
        ({"tags": {"PixelRepresentation": 1}}, "numbers with a sign"),
        ({"tags": {"SamplesPerPixel": 4}}, "samples of a pixel"),
        ({"tags": {"NumberOfFrames": 21}}, "frames are missing"),
        ({"matrix": (400, 260)}, "frames are missing or too many"),
        ({"syntax": "jpeg2000", "tags": {"NumberOfFrames": 21}}, "frames are missing"),
        ({"syntax": "jpeg2000", "offsets": "none", "tags": {"NumberOfFrames": 21}}, "frames are missing"),
    ],
)
def test_what_is_not_read_is_named(tmp_path, options, match):
    with pytest.raises(SlideError, match=match):
        opened(tmp_path / "x.dcm", SMOOTH, **options)


@pytest.mark.parametrize(
    "options", [{}, {"syntax": "jpeg"}, {"syntax": "jpeg2000", "offsets": "none"}, {"syntax": "deflated"}, {"left_out": (3,)}]
)
def test_a_file_that_is_cut_off_is_refused_at_once(tmp_path, options):
    path = Path(write(tmp_path / "x.dcm", Made(SMOOTH, **options)))
    data = path.read_bytes()
    with open_slide(path) as slide:
        right = whole(slide)
    missed = []
    for share in range(200):
        path.write_bytes(data[: len(data) * share // 200])
        try:
            slide = open_slide(path)
        except SlideError:
            continue
        with slide:
            if not (whole(slide) == right).all():
                missed.append(share)
    assert not missed
    path.write_bytes(data[:-3000])
    with pytest.raises(SlideError, match=r"cut off|missing|damaged"):
        open_slide(path)


def test_a_damaged_frame_fails_or_counts_as_background(tmp_path):
    path = Path(write(tmp_path / "x.dcm", Made(SMOOTH, "jpeg2000")))
    data = bytearray(path.read_bytes())
    second = [k for k in range(len(data)) if data[k : k + 4] == b"\xff\x4f\xff\x51"][1]
    data[second + 60 : second + 500] = os.urandom(440)
    path.write_bytes(data)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read((64, 0, 200, 260)), SMOOTH[64:])
        with pytest.raises(SlideError, match="frame 2 is damaged"):
            slide.read((0, 0, 64, 70))
    with open_slide(path, on_bad_tile="background") as slide:
        assert (slide.read((0, 64, 64, 128)) == 255).all()
        assert slide.scanned((0, 0, 64, 65)).sum() == 64 * 64
        assert slide.scanned((64, 0, 200, 260)) is None


@pytest.mark.parametrize("syntax", ["jpeg", "lossless-jpeg", "jpeg-ls", "jpeg2000", "jpeg-xl", "htj2k"])
def test_a_frame_of_other_rows_and_columns_is_none(tmp_path, syntax):
    first = iter([True])
    turned = lambda tile: np.ascontiguousarray(tile.swapaxes(0, 1) if next(first, False) else tile)  # noqa: E731
    encode = lambda tile: STREAMS[syntax](turned(tile))  # noqa: E731
    with opened(tmp_path / "x.dcm", SMOOTH[:64], tile=(32, 64), syntax=syntax, encode=encode) as slide:
        assert slide.read((32, 0, 64, 260)).shape == (32, 260, 3)
        with pytest.raises(SlideError, match="a frame of"):
            slide.read((0, 0, 32, 64))


@pytest.mark.parametrize("pixels", [SMOOTH, SMOOTH[..., :1]])
@pytest.mark.parametrize("photometric", ["", "MONOCHROME1"])
def test_jpeg_frames_are_the_same_wherever_they_are_decoded_to(tmp_path, pixels, photometric):
    """In their place, where it is one frame; in a thread's memory, which the next frame takes; or kept, where they are cut."""
    if photometric and pixels.shape[-1] > 1:
        pytest.skip("of one sample only")
    with opened(tmp_path / "x.dcm", pixels, syntax="jpeg", photometric=photometric) as slide:
        whole = slide.read((0, 0, *slide.shape[:2]))
        expected = 255 - pixels if photometric else pixels
        assert np.abs(whole.astype(int) - expected).mean() < 3
        np.testing.assert_array_equal(slide.read((64, 64, 128, 128)), whole[64:128, 64:128])
        np.testing.assert_array_equal(slide.read((64, 0, 128, 256)), whole[64:128, :256])
        np.testing.assert_array_equal(slide.read((70, 9, 140, 201)), whole[70:140, 9:201])


def test_a_damaged_jpeg_that_was_decoded_in_its_place_leaves_the_background(tmp_path):
    with opened(tmp_path / "x.dcm", SMOOTH, syntax="jpeg") as slide:
        frame = slide._files[0].frames.get(0)
    data = (tmp_path / "x.dcm").read_bytes()
    half = len(frame) // 2
    damaged = frame[:half] + b"\xff\xd9" + b"\0" * (len(frame) - half - 2)
    (tmp_path / "x.dcm").write_bytes(data.replace(frame, damaged))
    with open_slide(tmp_path / "x.dcm", on_bad_tile="background") as slide:
        assert (slide.read((0, 0, 64, 64)) == slide.background[0]).all()
        assert not slide.scanned((0, 0, 64, 64)).any()
        assert (slide.read((0, 0, 64, 128))[:, :64] == slide.background[0]).all()


def test_no_frame_is_decoded_that_is_not_touched(tmp_path, monkeypatch):
    seen = []
    with opened(tmp_path / "x.dcm", SMOOTH, syntax="jpeg-ls") as slide:
        decode = Codec.decode
        monkeypatch.setattr(Codec, "decode", lambda codec, *given: seen.append(1) or decode(codec, *given))
        slide.read((63, 64, 65, 128))
    assert len(seen) == 2


def test_threads_read_the_same(tmp_path):
    with opened(tmp_path / "x.dcm", SMOOTH, syntax="jpeg-ls") as slide, ThreadPoolExecutor(4) as pool:
        boxes = [(y, x, y + 50, x + 70) for y in range(0, 150, 30) for x in range(0, 190, 40)] * 3
        for box, pixels in zip(boxes, pool.map(slide.read, boxes), strict=True):
            np.testing.assert_array_equal(pixels, SMOOTH[box[0] : box[2], box[1] : box[3]])
    with pytest.raises(SlideError):
        slide.read((0, 0, 1, 1))


@pytest.mark.parametrize(
    "name", ["wsi/openslide/boxes_0.dcm", "reported/c13_dicom_levels/l0.dcm", "reported/c33_dicom_padded/l0.dcm"]
)
def test_openslide_reads_the_same(data, name):
    path = data / name
    if not path.exists():
        pytest.skip(f"no {name} in the data folder")
    with DicomSlide(str(path)) as slide, openslide.OpenSlide(path) as oracle:
        for k, level in enumerate(slide.levels):
            expected = np.asarray(oracle.read_region((0, 0), k, level.shape[::-1]))[..., :3]
            np.testing.assert_array_equal(whole(slide, k), expected)


def test_slides_that_were_reported(data):
    folder = data / "reported"
    if not folder.is_dir():
        pytest.skip("no reported slides in the data folder")
    with open_slide(folder / "c33_dicom_padded" / "l0.dcm") as slide:
        assert [level.downsample for level in slide.levels] == [1, 2]
        assert slide.levels[1].shape == (550, 450)
    with open_slide(folder / "c13_dicom_levels") as slide:
        assert len(slide.levels) == 2
    path = folder / "c11_dicom_jpeg_named_rgb" / "level0.dcm"
    data = path.read_bytes()
    with open_slide(path) as slide:
        assert "streams are YCbCr" in slide.notes[0]
        first = np.asarray(Image.open(io.BytesIO(data[data.index(b"\xff\xd8\xff") :])))
        assert np.abs(slide.read((0, 0, 256, 256)).astype(int) - first).max() <= 2
