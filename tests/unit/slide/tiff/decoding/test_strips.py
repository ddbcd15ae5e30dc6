"""Strips and tiles that are too large to be decoded whole are what tifffile decodes of them whole."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from slideseg.slide.rows import stream
from slideseg.slide.rows.copy import chunk_slide
from slideseg.slide.tiff import pages, preflight
from slideseg.slide.tiff.decoding import strips
from slideseg.slide.tiff.decoding.strips import WholeStrip, open_rows
from slideseg.space.box import Box

RNG = np.random.default_rng(11)
SMOOTH = np.add.outer(np.arange(150), np.arange(208))[..., None] + np.arange(3)
IMAGE = SMOOTH + RNG.integers(0, 9, SMOOTH.shape)
BYTES = IMAGE.astype(np.uint8)
WORDS = (IMAGE * 90).astype(np.uint16)
FLOATS = (IMAGE / 7).astype(np.float32)

KINDS = {
    **{
        f"{codec}-{predictor}": (BYTES, {"compression": codec, "predictor": predictor, "photometric": "rgb"})
        for codec in ("zlib", "zstd", "lzw", "packbits", "lzma")
        for predictor in (False, True)
    },
    "big-endian": (WORDS, {"compression": "zlib", "predictor": True, "photometric": "rgb", "byteorder": ">"}),
    "floats": (FLOATS, {"compression": "lzw", "photometric": "rgb"}),
    "floats-predictor": (FLOATS, {"compression": "zstd", "predictor": 3, "photometric": "rgb"}),
    "planar": (BYTES.transpose(2, 0, 1), {"compression": "zlib", "photometric": "rgb", "planarconfig": "separate"}),
    "jpeg-ycbcr": (BYTES, {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2)}),
    "jpeg-rgb": (BYTES, {"compression": "jpeg", "photometric": "rgb"}),
    "jpeg-grey": (BYTES[..., 0], {"compression": "jpeg", "photometric": "minisblack"}),
    "jpeg2000": (BYTES, {"compression": "jpeg2000", "photometric": "rgb"}),
}
WHOLE = {"jpeg2000"}
"""What can only be decoded whole."""
LAYOUTS = {"one-strip": {"rowsperstrip": 150}, "three-strips": {"rowsperstrip": 56}, "one-tile": {"tile": (160, 208)}}


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Have any strip be large, and bands small."""
    monkeypatch.setattr(pages, "_LARGE", 0)
    monkeypatch.setattr(stream, "BAND_BYTES", 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_boxes_are_crops_of_what_tifffile_reads(kind, layout, tmp_path):
    pixels, options = KINDS[kind]
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, pixels, metadata=None, **options, **LAYOUTS[layout])
    whole = tifffile.imread(path)
    whole = whole.transpose(1, 2, 0) if kind == "planar" else whole.reshape(*whole.shape[:2], -1)
    with open_slide(path) as slide:
        for box in (Box(0, 0, 150, 208), Box(3, 5, 60, 200), Box(100, 0, 149, 9), Box(7, 7, 8, 8), Box(50, 190, 120, 208)):
            np.testing.assert_array_equal(slide.read(box), whole[box.slices])
        (page,) = slide._levels[0].pages.pages[0]
        found = {isinstance(reader, WholeStrip) for reader in page.large._readers.values()}
        assert found == {kind in WHOLE}
        assert len(page.large._readers) <= (3 if kind == "planar" else 1)


def test_samples_of_12_bits(tmp_path):
    path = tmp_path / "x.tif"
    packed = RNG.integers(0, 256, (150, 312), np.uint8)
    tifffile.imwrite(path, packed, compression="zlib", rowsperstrip=150, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["ImageWidth"].overwrite(208)
        file.pages.first.tags["BitsPerSample"].overwrite(12)
    whole = tifffile.imread(path)
    assert whole.max() > 4000
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(Box(20, 30, 120, 200))[..., 0], whole[20:120, 30:200])


def test_channels_in_pages_of_one_strip_each(tmp_path):
    path = tmp_path / "x.ome.tif"
    stack = np.ascontiguousarray(WORDS.transpose(2, 0, 1))
    tifffile.imwrite(path, stack, ome=True, metadata={"axes": "CYX"}, compression="zlib", rowsperstrip=150)
    with open_slide(path) as slide:
        for y in range(0, 150, 50):
            np.testing.assert_array_equal(slide.read(Box(y, 9, y + 50, 100)), WORDS[y : y + 50, 9:100])


def test_the_copy_of_a_strip_is_made_in_one_pass(tmp_path, monkeypatch):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, BYTES, compression="zlib", rowsperstrip=150, photometric="rgb", metadata=None)
    opened = []
    monkeypatch.setattr(strips, "open_rows", lambda *a: opened.append(a[2]) or open_rows(*a))
    with open_slide(path) as slide:
        opened.clear()  # a strip as small as this one is tried when the file is opened
        copied = chunk_slide(slide, str(tmp_path / "copy.zarr"))
    with open_slide(copied) as copy:
        np.testing.assert_array_equal(copy.read(Box(0, 0, 150, 208)), BYTES)
    assert opened == [0]  # never begun anew


def test_a_strip_that_comes_in_rows_may_be_larger_than_what_is_decoded_whole(tmp_path, monkeypatch):
    for codec in ("zlib", "jpeg2000"):
        tifffile.imwrite(
            tmp_path / f"{codec}.tif", BYTES, compression=codec, rowsperstrip=150, photometric="rgb", metadata=None
        )
    monkeypatch.setattr(preflight, "MAX_WHOLE", 1000)
    with open_slide(tmp_path / "zlib.tif") as slide:
        np.testing.assert_array_equal(slide.read(Box(0, 0, 150, 208)), BYTES)
    with pytest.raises(SlideError, match="too large to decode"):
        open_slide(tmp_path / "jpeg2000.tif")


@pytest.mark.parametrize("codec", ["zlib", "zstd", "lzw", "lzma"])
def test_a_strip_that_ends_too_early_is_an_error(codec, tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, BYTES, compression=codec, rowsperstrip=150, photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as file:
        counts = file.pages.first.tags["StripByteCounts"]
        where, count = counts.valueoffset, int(file.pages.first.databytecounts[0])
    with open(path, "r+b") as raw:
        raw.seek(where)
        raw.write((count // 2).to_bytes(4, "little"))
    with pytest.raises(SlideError, match="can't be decoded"), open_slide(path) as slide:
        slide.read(Box(0, 0, 150, 208))


def test_a_changed_byte_is_found_by_the_checksum(tmp_path):
    path = tmp_path / "x.tif"
    noise = RNG.integers(0, 256, (150, 208), np.uint8)
    tifffile.imwrite(path, noise, compression="zlib", rowsperstrip=150, metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        data[file.pages.first.dataoffsets[0] + 9000] ^= 1
    path.write_bytes(data)
    with pytest.raises(SlideError, match="incorrect data check"), open_slide(path) as slide:
        slide.read(Box(0, 0, 150, 208))
