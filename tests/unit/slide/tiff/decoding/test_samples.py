"""Colours are what the streams say, whatever the tag says."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest
import tifffile

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from tests.unit.slide.tiff.decoding.test_streams import renamed, without

Y, X = np.mgrid[:128, :192]
WAVES = (np.sin(Y / 20), np.sin(X / 30), np.cos((Y + X) / 25))
RGB = (128 + 100 * np.stack(WAVES, axis=-1)).astype(np.uint8)
YCBCR, RGB_CODE = 6, 2


def ycbcr(rgb: np.ndarray) -> np.ndarray:
    """Return Y, Cb and Cr (ITU-R BT.601, full range)."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.clip(np.rint(np.stack([y, 128 + (b - y) / 1.772, 128 + (r - y) / 1.402], axis=-1)), 0, 255).astype(np.uint8)


def jpeg(pixels, **options) -> bytes:
    return imagecodecs.jpeg8_encode(pixels, level=98, **options)


STREAMS = {
    "jfif": lambda p: jpeg(p, subsampling="444"),
    "jfif-420": lambda p: jpeg(p, subsampling="420"),
    "adobe-rgb": lambda p: jpeg(p, colorspace="RGB", outcolorspace="RGB"),
    "named-rgb": lambda p: without(jpeg(p, colorspace="RGB", outcolorspace="RGB"), 0xEE),
    "subsampled": lambda p: without(jpeg(p, subsampling="422"), 0xE0),
}


def write(path, encode, compression, tag, **options):
    tiles = [encode(RGB[y : y + 64, x : x + 64]) for y in range(0, 128, 64) for x in range(0, 192, 64)]
    options = {"shape": RGB.shape, "dtype": np.uint8, "tile": (64, 64), "metadata": None, "photometric": tag} | options
    tifffile.imwrite(path, iter(tiles), compression=compression, **options)
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags[262].overwrite(YCBCR if tag == "ycbcr" else RGB_CODE)
    return path


@pytest.mark.parametrize("tag", ["rgb", "ycbcr"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_jpeg_knows_its_colours(tmp_path, name, tag):
    path = write(tmp_path / "x.tif", STREAMS[name], 7, tag)
    with open_slide(path) as slide:
        assert slide.is_rgb
        found = slide.read(Box(0, 0, 128, 192)).astype(int)
        told = any("the streams are believed" in note for note in slide.notes)
    assert np.abs(found - RGB).mean() < 2
    assert told is (("rgb" in name) != (tag == "rgb"))


BARE = "bare-rgb"


def bare_rgb(pixels) -> bytes:
    """Return RGB as Aperio stores it: no marker, and components 0, 1 and 2."""
    return renamed(without(jpeg(pixels, colorspace="RGB", outcolorspace="RGB"), 0xEE), b"\0\1\2")


def stack(path, names):
    encoders = STREAMS | {BARE: bare_rgb}
    with tifffile.TiffWriter(path) as writer:
        for name in names:
            tiles = [encoders[name](RGB[y : y + 64, x : x + 64]) for y in range(0, 128, 64) for x in range(0, 192, 64)]
            options = {"shape": RGB.shape, "dtype": np.uint8, "tile": (64, 64), "metadata": None, "photometric": "rgb"}
            writer.write(iter(tiles), compression=7, **options)
    with tifffile.TiffFile(path, mode="r+") as tif:
        for page in tif.pages:
            page.aspage().tags[262].overwrite(RGB_CODE)
    return path


@pytest.mark.parametrize("names", [list(STREAMS), list(STREAMS)[::-1], [BARE, BARE], [BARE, "jfif"], ["jfif", BARE]])
def test_every_page_of_a_stack_knows_its_colours(tmp_path, names):
    with open_slide(stack(tmp_path / "x.tif", names)) as slide:
        assert slide.shape == (len(names), 128, 192, 3)
        for plane in range(len(names)):
            assert np.abs(slide.read(Box(0, 0, 128, 192), 0, plane).astype(int) - RGB).mean() < 2


def mixed(first, others):
    """Return what encodes the first tile in one way and the others in another."""
    done = iter([first])
    return lambda pixels: next(done, others)(pixels)


@pytest.mark.parametrize("tag", ["rgb", "ycbcr"])
@pytest.mark.parametrize("names", [("adobe-rgb", "jfif"), ("jfif", "adobe-rgb"), ("named-rgb", "jfif-420"), ("grey", "jfif")])
def test_every_jpeg_tile_has_its_own_colours(tmp_path, names, tag):
    encoders = STREAMS | {"grey": lambda pixels: jpeg(np.full_like(pixels[..., 0], 200))}
    path = write(tmp_path / "x.tif", mixed(*(encoders[name] for name in names)), 7, tag)
    wanted = RGB.copy()
    if names[0] == "grey":
        wanted[:64, :64] = 200
    with open_slide(path) as slide:
        assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - wanted).mean() < 2
        assert slide.read(Box(3, 3, 70, 60)).shape == (67, 57, 3)
        assert ("others YCbCr" in " ".join(slide.notes)) is (names[0] != "grey")


@pytest.mark.parametrize("first", [True, False])
def test_every_jpeg_2000_tile_has_its_own_colours(tmp_path, first):
    def encode(transformed):
        options = {"codecformat": "j2k", "mct": transformed, "level": 0}
        return lambda p: imagecodecs.jpeg2k_encode(p if transformed else ycbcr(p), **options)

    for compression in (33003, 34712):
        path = write(tmp_path / "x.tif", mixed(encode(first), encode(not first)), compression, "ycbcr")
        with open_slide(path) as slide:
            assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - RGB).max() <= 2


def retagged(path, sampling=None):
    """Say YCbCr, with the sampling of colours or, as the standard has it, at half resolution where none is named."""
    with tifffile.TiffFile(path, mode="r+") as tif:
        tags = tif.pages.first.tags
        tags[262].overwrite(YCBCR)
        assert (530 in tags) is (sampling is not None)
    return path


@pytest.mark.parametrize("code", [33003, 33005, 34712, 50001])
def test_sampling_that_no_tag_names_is_the_streams_own(tmp_path, code):
    def encode(p):
        if code == 50001:
            return imagecodecs.webp_encode(p, lossless=True)
        return imagecodecs.jpeg2k_encode(p, codecformat="j2k", mct=True, level=0)

    path = retagged(write(tmp_path / "x.tif", encode, code, "rgb"))
    with open_slide(path) as slide:
        assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - RGB).max() <= 1


@pytest.mark.parametrize("compression", [7, 33005])
@pytest.mark.parametrize("tag", ["rgb", "ycbcr"])
def test_planes_that_are_stored_apart_are_what_the_tag_says(tmp_path, compression, tag):
    planes = np.moveaxis(RGB if tag == "rgb" else ycbcr(RGB), -1, 0)
    encode = jpeg if compression == 7 else lambda p: imagecodecs.jpeg2k_encode(p, codecformat="j2k", level=0)
    tiles = [encode(np.ascontiguousarray(p[y : y + 64, x : x + 64])) for p in planes for y in (0, 64) for x in (0, 64, 128)]
    options = {"shape": planes.shape, "dtype": "u1", "tile": (64, 64), "photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "x.tif", iter(tiles), compression=compression, metadata=None, **options)
    path = retagged(tmp_path / "x.tif") if tag == "ycbcr" else tmp_path / "x.tif"
    with open_slide(path) as slide:
        assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - RGB).mean() < 2
        assert not slide.notes


def test_where_a_jpeg_says_nothing_the_tag_decides(tmp_path):
    with open_slide(write(tmp_path / "x.tif", bare_rgb, 7, "rgb")) as slide:
        assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - RGB).mean() < 2
        assert not slide.notes


@pytest.mark.parametrize("container", ["j2k", "jp2"])
@pytest.mark.parametrize(
    ("compression", "tag", "transformed", "is_ycbcr"),
    [
        (33003, "rgb", False, True),
        (33003, "ycbcr", False, True),
        (33003, "rgb", True, False),
        (33005, "rgb", False, False),
        (33005, "rgb", True, False),
        (34712, "ycbcr", False, True),
        (34712, "rgb", False, False),
        (34712, "ycbcr", True, False),
    ],
)
def test_a_jpeg_2000_without_a_component_transform_is_what_its_compression_and_tag_say(
    tmp_path, compression, tag, transformed, is_ycbcr, container
):
    def encode(pixels):
        stored = ycbcr(pixels) if is_ycbcr else pixels
        space = "UNSPECIFIED" if is_ycbcr else "SRGB"
        return imagecodecs.jpeg2k_encode(stored, codecformat=container, mct=transformed, level=0, colorspace=space)

    with open_slide(write(tmp_path / "x.tif", encode, compression, tag)) as slide:
        found = slide.read(Box(0, 0, 128, 192)).astype(int)
        assert bool(slide.notes) is (compression == 33003 and tag == "rgb" and not transformed)
    assert np.abs(found - RGB).max() <= 2


def subsampled(pixels, down: int, across: int) -> bytes:
    """Return a JPEG 2000 stream of Y, Cb and Cr, the latter two at lower resolution: three streams of one component in one."""
    y, cb, cr = np.moveaxis(ycbcr(pixels), -1, 0)
    planes = [np.ascontiguousarray(plane) for plane in (y, cb[::down, ::across], cr[::down, ::across])]
    options = {"codecformat": "j2k", "reversible": True, "resolutions": 1, "level": 0}
    streams = [imagecodecs.jpeg2k_encode(plane, **options) for plane in planes]
    coded = b"".join(stream[stream.index(b"\xff\x93") + 2 : stream.rindex(b"\xff\xd9")] for stream in streams)
    heads = {marker: streams[0].index(bytes([0xFF, marker])) for marker in (0x52, 0x5C)}
    cod, qcd = (streams[0][at : at + 2 + int.from_bytes(streams[0][at + 2 : at + 4], "big")] for at in heads.values())
    sides = (pixels.shape[1], pixels.shape[0])
    size = struct.pack(">HIIIIIIIIH", 0, *sides, 0, 0, *sides, 0, 0, 3) + bytes([7, 1, 1, *([7, across, down] * 2)])
    tile = struct.pack(">HHIBB", 10, 0, 14 + len(coded), 0, 1)
    siz = b"\xff\x51" + struct.pack(">H", len(size) + 2) + size
    return b"\xff\x4f" + siz + cod + qcd + b"\xff\x90" + tile + b"\xff\x93" + coded + b"\xff\xd9"


@pytest.mark.parametrize(("down", "across"), [(1, 2), (2, 2)])
@pytest.mark.parametrize(("compression", "tag"), [(33003, "rgb"), (33003, "ycbcr"), (34712, "ycbcr"), (34712, "rgb")])
def test_a_subsampled_jpeg_2000_is_ycbcr(tmp_path, down, across, compression, tag):
    """Its decoder makes RGB of it, which must not be done again."""
    with open_slide(write(tmp_path / "x.tif", lambda p: subsampled(p, down, across), compression, tag)) as slide:
        found = slide.read(Box(0, 0, 128, 192)).astype(int)
    assert np.abs(found - RGB).mean() < 4


def test_a_jp2_that_says_its_colours_is_believed(tmp_path):
    def encode(pixels):
        return imagecodecs.jpeg2k_encode(ycbcr(pixels), codecformat="jp2", mct=False, level=0, colorspace="SYCC")

    for compression, tag in ((34712, "rgb"), (34712, "ycbcr")):
        with open_slide(write(tmp_path / "x.tif", encode, compression, tag)) as slide:
            assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - RGB).max() <= 2


@pytest.mark.parametrize("sampling", [(1, 1), (2, 2)])
def test_ycbcr_without_jpeg_is_turned_into_rgb_if_it_is_not_subsampled(tmp_path, sampling):
    options = {"photometric": "rgb", "compression": "zlib", "metadata": None}
    tifffile.imwrite(tmp_path / "x.tif", ycbcr(RGB), extratags=[(530, "H", 2, sampling, True)], **options)
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+") as tif:
        tif.pages.first.tags[262].overwrite(YCBCR)
    if sampling == (1, 1):
        with open_slide(tmp_path / "x.tif") as slide:
            assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - RGB).max() <= 2
    else:
        with pytest.raises(SlideError, match="subsampled YCbCr"):
            open_slide(tmp_path / "x.tif")


def test_a_jpeg_of_leicas_own_compression_is_read_if_it_is_one(tmp_path):
    path = write(tmp_path / "x.tif", STREAMS["jfif"], 7, "ycbcr")
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags[259].overwrite(33007)
    with open_slide(path) as slide:
        assert np.abs(slide.read(Box(0, 0, 128, 192)).astype(int) - RGB).mean() < 2


@pytest.mark.parametrize(
    ("compression", "name"), [(33007, "GT450"), (32809, "ThunderScan"), (34676, "LogLuv"), (6, "old-style JPEG")]
)
def test_compressions_that_are_not_read_are_named(tmp_path, compression, name):
    tifffile.imwrite(tmp_path / "x.tif", RGB, photometric="rgb", compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+") as tif:
        tif.pages.first.tags[259].overwrite(compression)
    with pytest.raises(SlideError, match=f"{name}.*compression {compression}"):
        open_slide(tmp_path / "x.tif")


@pytest.mark.parametrize(("photometric", "name"), [(5, "CMYK"), (8, r"CIE L\*a\*b\*"), (32803, "colour filter")])
def test_colours_that_are_not_read_are_named(tmp_path, photometric, name):
    tifffile.imwrite(tmp_path / "x.tif", RGB, photometric="rgb", metadata=None)
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+") as tif:
        tif.pages.first.tags[262].overwrite(photometric)
    with pytest.raises(SlideError, match=f"{name}.*photometric {photometric}"):
        open_slide(tmp_path / "x.tif")


def test_gdal_says_what_stands_where_there_is_no_data(tmp_path):
    def tiles():
        yield RGB[:64, :64]
        yield from [None] * 5

    options = {
        "shape": RGB.shape,
        "dtype": "u1",
        "tile": (64, 64),
        "compression": "zlib",
        "photometric": "rgb",
        "metadata": None,
    }
    tifffile.imwrite(tmp_path / "x.tif", tiles(), extratags=[(42113, "s", 0, "7", True)], **options)
    with open_slide(tmp_path / "x.tif") as slide:
        assert slide.background == (7, 7, 7)
        assert (slide.read(Box(64, 64, 128, 192)) == 7).all()
