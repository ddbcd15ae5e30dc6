"""Damaged TIFFs are refused with one kind of error; none is read wrong, none hangs."""

from __future__ import annotations

import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from slideseg.slide.tiff.preflight import Segments, check_directories, check_segments, check_tables
from slideseg.space.box import Box
from tests import containers

PIXELS = np.random.default_rng(1).integers(0, 256, (96, 80, 3), dtype=np.uint8)
KINDS = {
    "tiles-deflate": {"tile": (32, 32), "compression": "zlib"},
    "tiles-jpeg": {"tile": (32, 32), "compression": "jpeg"},
    "tiles-raw": {"tile": (32, 32)},
    "strips-lzw": {"rowsperstrip": 16, "compression": "lzw"},
    "raw": {},
}
GOOD = Segments(offsets=[8, 108], counts=[100, 100], expected=2, full_bytes=100, last_bytes=100, compression=1, whole=True)


@pytest.fixture(scope="module", params=KINDS)
def tiff(request, tmp_path_factory):
    """A small TIFF's bytes and its pixels."""
    path = tmp_path_factory.mktemp("tiff") / "image.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", metadata=None, **KINDS[request.param])
    return path.read_bytes(), read_all(path)


def read_all(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read(Box.of_shape(slide.levels[0].shape))


def changed(segments: Segments, **facts: object) -> Segments:
    return Segments(**({name: getattr(segments, name) for name in Segments.__slots__} | facts))


def test_a_good_table_passes():
    check_segments("x.tif", GOOD, 208)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"offsets": [8]}, "does not fit its size"),
        ({"expected": 3}, "does not fit its size"),
        ({"offsets": [8, 109]}, "cut off"),
        ({"offsets": [8, 2**64 - 50]}, "cut off"),
        ({"offsets": [8, 0]}, "without data"),
        ({"offsets": [0, 0], "counts": [0, 0]}, "all or nearly all tiles are missing"),
        ({"offsets": [8, 8], "counts": [150, 150]}, "share the same bytes"),
        ({"counts": [100, 30]}, "too short"),
        ({"offsets": [8, 58]}, "overlap"),
        ({"offsets": [58, 8]}, "overlap"),
        ({"stored_bytes": 10}, "longer than what it holds"),
        ({"full_bytes": 5 << 30}, "too large to decode"),
    ],
)
def test_bad_tables_are_refused(facts, message):
    with pytest.raises(SlideError, match=message):
        check_segments("x.tif", changed(GOOD, **facts), 208)


def test_equal_tiles_may_be_kept_once():
    check_segments("x.tif", changed(GOOD, offsets=[108, 8, 108], counts=[100, 100, 100], expected=3), 308)


@pytest.mark.parametrize("offset", [0, 8, 50, 10**9])
def test_a_length_of_0_says_that_a_tile_was_left_out(offset):
    check_segments("x.tif", changed(GOOD, offsets=[8, offset], counts=[100, 0]), 208)


def test_a_page_that_lost_the_lengths_of_nearly_all_tiles_is_damaged():
    tables = {"offsets": [8, *[108] * 2000], "counts": [100, *[0] * 2000], "expected": 2001}
    with pytest.raises(SlideError, match=r"nearly all tiles are missing.*2000 of 2001"):
        check_segments("x.tif", changed(GOOD, **tables), 208)
    fewer = {name: number if name == "expected" else number[:1000] for name, number in tables.items()} | {"expected": 1000}
    check_segments("x.tif", changed(GOOD, **fewer), 208)


def test_a_page_may_leave_out_all_tiles_but_one():
    check_segments("x.tif", changed(GOOD, offsets=[8, *[0] * 9999], counts=[100, *[0] * 9999], expected=10_000), 208)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"II*\0", "cut off"),
        (b"II*\0\0\0\0\0", "without an image"),
        (b"II*\0\xff\0\0\0", "cut off"),
        (b"MM\0*\0\0\0\x08\0\0\0\0\0\0", "without tags"),
        (b"II+\0\x04\0\0\0" + b"\0" * 8, "not a TIFF"),
        (b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 256, 3, 1, 5) + struct.pack("<I", 8), "circle"),
        (b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 273, 4, 2**31, 30) + struct.pack("<I", 0), "tag 273"),
        (b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 256, 3, 2, 5) + struct.pack("<I", 0), "ImageWidth is no number"),
        (b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 317, 11, 1, 5) + struct.pack("<I", 0), "Predictor is no number"),
        (b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 277, 3, 1, 65535) + struct.pack("<I", 0), "channels.*got 65535"),
        (b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 262, 3, 1, 2) + struct.pack("<I", 0), "lacks BitsPerSample"),
        (b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHH", 1, 277, 3, 1, 0, 7) + struct.pack(">I", 0), "channels.*got 0"),
    ],
)
def test_bad_directories_are_refused(tmp_path, content, message):
    path = tmp_path / "x.tif"
    path.write_bytes(content)
    with pytest.raises(SlideError, match=message):
        check_directories(str(path))
    with pytest.raises(SlideError):
        open_slide(path)


def test_a_cut_file_is_refused_wherever_it_is_cut(tiff, tmp_path):
    content, pixels = tiff
    path = tmp_path / "cut.tif"
    for length in {*range(0, 400, 7), *range(400, len(content), 211), len(content) - 1}:
        path.write_bytes(content[:length])
        try:
            read = read_all(path)
        except SlideError:
            continue
        np.testing.assert_array_equal(read, pixels, err_msg=f"cut at {length}")


@settings(max_examples=150)
@given(place=st.integers(0, 700), value=st.integers(0, 255))
def test_a_changed_byte_is_an_error_or_a_picture(tiff, tmp_path_factory, place, value):
    content, _ = tiff
    # directories lie in front or at the end: change those, not the pixels
    place = place if place < 350 else len(content) - (place - 350) - 1
    path = tmp_path_factory.getbasetemp() / "changed.tif"
    path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
    try:
        with open_slide(path) as slide:
            assert np.prod(slide.shape) < 1e9
            slide.read(Box.of_shape(tuple(min(side, 200) for side in slide.levels[0].shape)))
    except SlideError:
        return


def test_a_first_image_without_pixels_is_not_replaced_by_another(tmp_path):
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(PIXELS, photometric="rgb", metadata=None, tile=(32, 32))
        writer.write(PIXELS[:20, :20], photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as tif:
        entry = tif.pages[0].tags["ImageLength"].valueoffset
    content = bytearray(path.read_bytes())
    content[entry : entry + 4] = b"\0\0\0\0"
    path.write_bytes(content)
    with pytest.raises(SlideError, match="no pixels"):
        open_slide(path)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"compression": "lzw"}, {"compression": "jpeg"}])
@pytest.mark.parametrize("form", [{"tile": (32, 32)}, {"rowsperstrip": 16}])
def test_grey_without_bits_is_not_read_as_black_and_white(tmp_path, options, form):
    """BitsPerSample is 1 where the tag is missing: of deflate each tile then holds eight times the bytes it should."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, PIXELS[..., 0], photometric="minisblack", metadata=None, **form, **options)
    with tifffile.TiffFile(path) as tif:
        entry = tif.pages[0].tags["BitsPerSample"].offset
    content = bytearray(path.read_bytes())
    content[entry : entry + 2] = struct.pack("<H", 59999)
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"holds|longer"):
        read_all(path)


@pytest.mark.parametrize("missing", [1, 96, 1536])
def test_a_tile_of_too_few_pixels_is_not_filled_up(tmp_path, missing):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", metadata=None, tile=(32, 32), compression="zlib")
    short = zlib.compress(PIXELS[:32, :32].tobytes()[:-missing])
    with tifffile.TiffFile(path) as tif:
        place, table = tif.pages[0].dataoffsets[0], tif.pages[0].tags["TileByteCounts"]
    number = struct.pack("<H" if table.dtype == 3 else "<I", len(short))
    content = bytearray(path.read_bytes())
    content[place : place + len(short)] = short
    content[table.valueoffset : table.valueoffset + len(number)] = number
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"holds \d+ bytes of pixels|cannot be reshaped"):
        read_all(path)


@pytest.mark.parametrize(
    ("entry", "change", "message"),
    [
        (325, lambda at: (at + 2, struct.pack("<H", 12)), "no numbers .tag 325"),
        (325, lambda at: (at, struct.pack("<H", 59999)), "no numbers .tag 325"),
        (324, lambda at: (at + 4, struct.pack("<Q", 3)), "does not fit"),
    ],
)
def test_tables_that_openslide_would_die_of_are_refused(tmp_path, entry, change, message):
    """It asks for the memory that a lost or lying length says, and its library ends the process where there is not so much."""
    path = containers.scn(tmp_path, containers.discs((128, 192))).path
    check_tables(str(path))
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages[5].tags[entry]
    place, new = change(tag.offset)
    content = bytearray(path.read_bytes())
    content[place : place + len(new)] = new
    path.write_bytes(content)
    with pytest.raises(SlideError, match=message):
        open_slide(path)


def test_a_cut_scanner_file_is_refused_before_openslide_sees_it(tmp_path):
    path = containers.scn(tmp_path, containers.discs((128, 192))).path
    content = path.read_bytes()
    for part in range(200):
        path.write_bytes(content[: len(content) * part // 200])
        with pytest.raises(SlideError):
            open_slide(path)


def test_a_table_of_strips_that_is_longer_than_the_image_is_refused(tmp_path):
    """tifffile cuts it to what a lying ImageLength needs, and hands out the upper part of the picture."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", metadata=None, rowsperstrip=16)
    with tifffile.TiffFile(path) as tif:
        entry = tif.pages[0].tags["ImageLength"].valueoffset
    content = bytearray(path.read_bytes())
    content[entry : entry + 4] = struct.pack("<I", 32)
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"does not fit its size .got a list of 6, want 2"):
        open_slide(path)


READABLE = ("appended_1mib_junk", "description_no_terminator", "description_not_utf8", "mpp_")
FOUND_WHEN_READ = (
    "tile_all_zero_bytes",
    "tile_garbage_second_half",
    "tile_garbage_whole",
    "tile_halved_bytecount",
)


def test_copies_of_a_real_slide_with_one_fault_each(data, tmp_path):
    """Harmless faults read right; tables are refused before any read, spoilt tiles by the read, and nothing else happens."""
    archive = data / "hostile_tiff" / "made_here" / "svs_jpeg.tar.xz"
    original = data / "wsi" / "aperio" / "CMU-1-Small-Region.svs"
    if not (archive.exists() and original.exists()):
        pytest.skip("no hostile_tiff in the data folder")
    pixels = read_all(original)
    path = tmp_path / "slide.svs"
    surprises = []
    with tarfile.open(archive) as members:
        for member in (member for member in members if member.isfile()):
            path.write_bytes(members.extractfile(member).read())
            name = Path(member.name).stem
            if outcome(path, pixels) != expected_outcome(name):
                surprises.append((name, outcome(path, pixels)))
    assert not surprises


def outcome(path: Path, pixels: np.ndarray) -> str:
    try:
        slide = open_slide(path)
    except SlideError:
        return "refused"
    try:
        box = Box.of_shape(slide.levels[0].shape)
        there = slide.scanned(box)
        right = slide.read(box) == pixels
        return "wrong" if not right[slice(None) if there is None else there].all() else "right" if there is None else "a gap"
    except SlideError:
        return "refused when read"
    finally:
        slide.close()


def expected_outcome(name: str) -> str:
    if name.startswith(READABLE):
        return "right"
    if name in ("tile_bytecount_zero", "third_of_tiles_missing"):
        return "a gap"
    return "refused when read" if name in FOUND_WHEN_READ else "refused"


def test_hostile_files_raise_slide_errors_or_read(data):
    folder = data / "hostile_tiff"
    if not folder.is_dir():
        pytest.skip("no hostile_tiff in the data folder")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in {".tif", ".tiff", ".svs"}]
    assert files
    read = set()
    for path in files:
        try:
            with open_slide(path) as slide:
                slide.read(Box.of_shape(tuple(min(side, 512) for side in slide.levels[0].shape)))
        except SlideError:
            continue
        read.add(path.relative_to(folder).parts[0])
    assert read <= {"go-fuzz", "pillow"}  # a few of those are valid
