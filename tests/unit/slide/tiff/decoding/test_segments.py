"""Tiles and strips, whatever their codec, however many threads: what tifffile reads of the whole page."""

from __future__ import annotations

import os
import warnings
from multiprocessing import get_context

import imagecodecs
import numpy as np
import pytest
import tifffile

from slideseg.errors import SlideError
from slideseg.slide import cache as cache_module
from slideseg.slide.cache import TileCache, tile_cache
from slideseg.slide.open import open_slide
from slideseg.slide.tiff.decoding.decode import SegmentDecoder
from slideseg.space.box import Box
from slideseg.tasks import share as share_module
from slideseg.tasks.share import Helpers

RNG = np.random.default_rng(3)
SMOOTH = np.add.outer(np.arange(150), np.arange(210))[..., None] + np.arange(3)
LOSSLESS = ["zlib", "zstd", "lzw", "packbits", "lzma"]
LAYOUTS = {"tiles": {"tile": (64, 48)}, "strips": {"rowsperstrip": 7}, "short-strips": {"rowsperstrip": 1}}


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    monkeypatch.setattr(share_module, "_helpers", Helpers(request.param))
    return request.param


@pytest.fixture(autouse=True)
def cache(monkeypatch):
    fresh = TileCache()
    monkeypatch.setattr(cache_module, "_cache", fresh)
    return fresh


def pixels_of(dtype: str) -> np.ndarray:
    noise = RNG.integers(0, 9, SMOOTH.shape)
    return ((SMOOTH + noise) * (1 if dtype[-1] == "1" else 100)).astype(dtype)


def written(tmp_path, pixels, **options):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, pixels, metadata=None, **options)
    return path


def check(path, expected=None):
    """Compare boxes of all kinds with tifffile's own reading of the whole."""
    whole = tifffile.imread(path) if expected is None else expected
    whole = whole.reshape(*whole.shape[:2], -1)
    with open_slide(path) as slide:
        rows, columns = slide.levels[0].shape
        boxes = [Box(0, 0, rows, columns), Box(64, 48, 128, 96), Box(0, 0, 64, 48), Box(128, 192, rows, columns)]
        ends = np.sort(RNG.integers(0, (rows, columns), (12, 2, 2)), axis=1)
        for box in boxes + [Box(*map(int, (y0, x0, y1 + 1, x1 + 1))) for (y0, x0), (y1, x1) in ends]:
            np.testing.assert_array_equal(slide.read(box), whole[box.slices])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codec", LOSSLESS)
@pytest.mark.parametrize(
    ("dtype", "predictor"), [("|u1", False), ("|u1", True), (">u2", True), (">u2", False), ("<f4", False), ("<f4", 3)]
)
def test_boxes_are_what_was_written(tmp_path, threads, codec, layout, dtype, predictor):
    if predictor == 3 and codec == "packbits":
        pytest.skip("tifffile does not write it")
    pixels = pixels_of(dtype)
    order = {"byteorder": ">"} if dtype[0] == ">" else {}
    path = written(tmp_path, pixels, compression=codec, predictor=predictor, photometric="rgb", **LAYOUTS[layout], **order)
    check(path, pixels.astype(pixels.dtype.newbyteorder("=")))


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr", "minisblack"])
@pytest.mark.parametrize("codec", ["jpeg", "jpeg2000", "webp", "png"])
def test_pictures_in_tiles_are_what_tifffile_reads(tmp_path, threads, codec, photometric):
    if photometric == "ycbcr" and codec != "jpeg":
        pytest.skip("only JPEG tiles are stored so")
    pixels = pixels_of("|u1")
    if photometric == "minisblack":
        if codec == "webp":
            pytest.skip("WebP has colours")
        pixels = pixels[..., 0]
    check(written(tmp_path, pixels, compression=codec, photometric=photometric, tile=(64, 48)), None)


PICTURES = {
    "jpeg": imagecodecs.jpeg8_encode,
    "jpeg2000": lambda tile: imagecodecs.jpeg2k_encode(tile, codecformat="j2k", reversible=True, level=0),
    "webp": lambda tile: imagecodecs.webp_encode(tile, lossless=True),
    "png": imagecodecs.png_encode,
    "jpegxl": lambda tile: imagecodecs.jpegxl_encode(tile, lossless=True),
    "jpegxr": lambda tile: imagecodecs.jpegxr_encode(tile, level=1.0),
    "lerc": imagecodecs.lerc_encode,
}


@pytest.mark.parametrize("codec", PICTURES)
@pytest.mark.parametrize("form", [(64, 64), (128, 128), (128, 64), (64, 128), (32, 128), (128, 32), (32, 32)])
def test_a_stream_of_another_form_than_its_tile_is_no_tile(tmp_path, codec, form):
    pixels = np.ascontiguousarray(SMOOTH[:128, :128]).astype(np.uint8)
    tiles = [PICTURES[codec](np.ascontiguousarray(pixels[box.slices])) for box in Box(0, 0, 128, 128).split(64, 64)]
    tiles[1] = PICTURES[codec](np.zeros((*form, 3), np.uint8))
    options = {"shape": pixels.shape, "dtype": "u1", "tile": (64, 64), "photometric": "rgb", "metadata": None}
    tifffile.imwrite(tmp_path / "x.tif", iter(tiles), compression=codec, **options)
    with open_slide(tmp_path / "x.tif") as slide:
        assert slide.read((64, 0, 128, 128)).shape == (64, 128, 3)
        if form == (64, 64):
            assert slide.read((0, 64, 64, 128)).max() <= 2
        else:
            with pytest.raises(SlideError, match=r"tile 1 .*it holds"):
                slide.read((0, 64, 64, 128))


def test_planes_that_are_stored_apart(tmp_path, threads):
    pixels = pixels_of("|u1")
    path = written(
        tmp_path, pixels.transpose(2, 0, 1), compression="zlib", photometric="rgb", planarconfig="separate", tile=(64, 48)
    )
    check(path, pixels)


def test_the_last_tile_of_a_row_may_be_as_small_as_what_is_left(tmp_path, threads):
    """Some writers store it so; it does not fit the memory of a tile."""
    pixels = pixels_of("|u1")[:64, :90]
    tiles = (imagecodecs.jpeg8_encode(np.ascontiguousarray(part)) for part in (pixels[:, :64], pixels[:, 64:]))
    path = tmp_path / "x.tif"
    options = {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2), "tile": (64, 64), "metadata": None}
    tifffile.imwrite(path, tiles, shape=pixels.shape, dtype=np.uint8, **options)
    with open_slide(path) as slide:
        whole = slide.read(Box(0, 0, 64, 90))
        np.testing.assert_array_equal(slide.read(Box(3, 60, 60, 88)), whole[3:60, 60:88])
    assert np.abs(whole.astype(int) - pixels).mean() < 9


@pytest.fixture
def decoded(monkeypatch):
    """Return the numbers of the tiles that were decoded."""
    numbers: list[int] = []
    original = SegmentDecoder.__call__

    def counting(self, data, index, out=None):
        numbers.append(index)
        return original(self, data, index, out)

    monkeypatch.setattr(SegmentDecoder, "__call__", counting)
    return numbers


def test_only_tiles_that_a_box_touches_are_decoded_and_cut_ones_once(tmp_path, decoded, cache, threads):
    path = written(tmp_path, pixels_of("|u1"), compression="zlib", photometric="rgb", tile=(32, 32))  # 7 tiles a row
    with open_slide(path) as slide:
        decoded.clear()
        slide.read(Box(0, 0, 64, 80))
        assert sorted(decoded) == [0, 1, 2, 7, 8, 9]
        assert cache.bytes == 2 * 32 * 32 * 3  # those of column 2, which end behind the box
        decoded.clear()
        slide.read(Box(0, 80, 64, 128))
        assert sorted(decoded) == [3, 10]
        decoded.clear()
        slide.read(Box(0, 0, 64, 64))
        assert sorted(decoded) == [0, 1, 7, 8]  # tiles as a whole are not kept
    assert cache.bytes == 0  # nothing is left of a closed file


def test_tiles_of_two_files_are_two(tmp_path, threads):
    slides = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        pixels = np.full((64, 64), number, np.uint8)
        slides.append(open_slide(written(tmp_path / str(number), pixels, compression="zlib", tile=(32, 32))))
    assert [int(slide.read(Box(5, 5, 6, 6))[0, 0, 0]) for slide in slides] == [0, 1]
    slides[0].close()
    assert int(slides[1].read(Box(5, 5, 6, 6))[0, 0, 0]) == 1
    slides[1].close()


def test_strips_that_follow_each_other_are_read_in_one_call(tmp_path, monkeypatch):
    pixels = pixels_of("|u1")
    path = written(tmp_path, pixels, compression="zlib", photometric="rgb", rowsperstrip=1)
    calls = []
    original = os.pread
    monkeypatch.setattr(os, "pread", lambda *a: calls.append(a[1]) or original(*a))
    with open_slide(path) as slide:
        calls.clear()
        np.testing.assert_array_equal(slide.read(Box(0, 0, 150, 210)), pixels)
    assert len(calls) == -(-sum(calls) // (64 << 10))


@pytest.mark.parametrize(
    "codec", ["zlib", "zstd", "packbits", "lzma", "jpeg", "jpeg2000", "webp", "png", "jpegxl", "jpegxr", "lerc"]
)
def test_a_tile_that_is_cut_off_is_damage_or_lacks_nothing(tmp_path, codec):
    """Wherever it is cut: the table of tiles says fewer bytes than there were."""
    pixels = np.clip(SMOOTH[:64, :64] * 3 + RNG.integers(0, 40, (64, 64, 3)), 0, 255).astype(np.uint8)
    path = written(tmp_path, pixels, tile=(64, 64), photometric="rgb", compression=codec)
    expected = tifffile.imread(path)
    with tifffile.TiffFile(path) as file:
        length = file.pages[0].databytecounts[0]
    refused = 0
    cuts = {1, 2, 3, *range(4, length, max(1, length // 60))}
    for cut in cuts:
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages[0].tags["TileByteCounts"].overwrite([length - cut])
        try:
            np.testing.assert_array_equal(open_slide(path).read((0, 0, 64, 64)), expected)
        except SlideError:
            refused += 1
    assert refused >= len(cuts) - 4  # a checksum, or what says that the end is reached


def test_a_forked_child_reads_the_same(tmp_path, threads):
    pixels = pixels_of("|u1")
    with open_slide(written(tmp_path, pixels, compression="zlib", photometric="rgb", tile=(32, 32))) as slide:
        box = Box(3, 5, 140, 200)
        expected = slide.read(box)
        held = tile_cache()._lock
        with warnings.catch_warnings(), held:  # as if another thread were at it
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads
            child = os.fork()
            if not child:
                os._exit(0 if np.array_equal(slide.read(box), expected) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def read_whole(path):
    with open_slide(path) as slide:
        return slide.read(Box.of_shape(slide.levels[0].shape))


def test_a_spawned_worker_reads_the_same(tmp_path):
    pixels = pixels_of("|u1")
    path = written(tmp_path, pixels, compression="zlib", photometric="rgb", tile=(32, 32))
    with get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(read_whole, (path,)), pixels)
