"""Chunks and shards that are cut off, or say to be of another size than they are."""

from __future__ import annotations

import struct

import numcodecs
import numpy as np
import pytest
import zarr

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from tests.unit.slide.zarr.made import multiscale

NOISE = np.random.default_rng(6).integers(1, 60000, (48, 64), dtype=np.uint16)
SMOOTH = np.add.outer(np.arange(1, 49), np.arange(64)).astype(np.uint16)
PICTURES = {"noise, which is stored as it is": NOISE, "smooth": SMOOTH, "both": np.where(np.arange(64) < 32, NOISE, SMOOTH)}


def plain(path, pixels, **options):
    """Write an array of one chunk, or of one shard of four chunks; return the file that holds it."""
    array = zarr.create_array(str(path), shape=pixels.shape, dtype=pixels.dtype, **{"chunks": pixels.shape} | options)
    array[...] = pixels
    return only_chunk(path)


def as_level(path, pixels, **options):
    """Write an array as the one level of an OME-Zarr."""
    ome = {"version": "0.4", "multiscales": [multiscale("yx", [(0.5, 0.5)])]}
    zarr.open_group(str(path), mode="w", zarr_format=options["zarr_format"], attributes=ome)
    return plain(path / "0", pixels, **options)


def only_chunk(path):
    (chunk,) = (file for file in path.rglob("*") if file.is_file() and "zarr" not in file.name and file.name[0] != ".")
    return chunk


KINDS = {
    "version 2": (plain, {"zarr_format": 2, "compressors": numcodecs.Blosc("zstd", shuffle=2)}),
    "version 2, never compressed": (plain, {"zarr_format": 2, "compressors": numcodecs.Blosc("lz4", clevel=0)}),
    "version 2, filtered": (plain, {"zarr_format": 2, "filters": [numcodecs.Delta("<u2")], "compressors": numcodecs.Blosc()}),
    "version 2, OME-Zarr": (as_level, {"zarr_format": 2, "compressors": numcodecs.Blosc("blosclz")}),
    "version 3": (plain, {"compressors": zarr.codecs.BloscCodec(cname="lz4")}),
    "version 3, numcodecs": (plain, {"compressors": {"name": "numcodecs.blosc", "configuration": {"cname": "zlib"}}}),
    "version 3, OME-Zarr": (as_level, {"zarr_format": 3, "compressors": zarr.codecs.BloscCodec(shuffle="noshuffle")}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", PICTURES)
def test_a_chunk_that_is_cut_off_is_damage(tmp_path, kind, picture):
    (write, options), pixels = KINDS[kind], PICTURES[picture]
    chunk = write(tmp_path / "x.zarr", pixels, **options)
    whole = chunk.read_bytes()
    with open_slide(tmp_path / "x.zarr") as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 48, 64))[..., 0], pixels)
        for length in {*range(40), *range(0, len(whole), max(1, len(whole) // 50)), len(whole) - 1}:
            chunk.write_bytes(whole[:length])
            with pytest.raises(SlideError, match=rf"x.zarr: damaged zarr .*it has {length} bytes"):
                slide.read((0, 0, 48, 64))
        chunk.write_bytes(whole + b"padding")
        np.testing.assert_array_equal(slide.read((0, 0, 48, 64))[..., 0], pixels)


def sharded(path, pixels, location, codecs, index_codecs=()):
    """Write an array of one shard of four chunks; return the file."""
    serializer = zarr.codecs.ShardingCodec(
        chunk_shape=(24, 32),
        codecs=[zarr.codecs.BytesCodec(), *codecs],
        index_codecs=[zarr.codecs.BytesCodec(), *index_codecs],
        index_location=location,
    )
    return plain(path, pixels, serializer=serializer, compressors=None)


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("picture", PICTURES)
def test_a_chunk_in_a_shard_that_is_cut_off_is_damage(tmp_path, location, picture):
    pixels = PICTURES[picture]
    shard = sharded(tmp_path / "x.zarr", pixels, location, [zarr.codecs.BloscCodec()])
    data = shard.read_bytes()
    index_at = 0 if location == "start" else len(data) - 64
    index = np.frombuffer(data[index_at : index_at + 64], "<u8").reshape(4, 2).copy()
    with open_slide(tmp_path / "x.zarr") as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 48, 64))[..., 0], pixels)
        last = int(index[:, 0].argmax())
        for length in {*range(40), int(index[last, 1]) // 2, int(index[last, 1]) - 1}:
            index[last, 1] = length
            shard.write_bytes(data[:index_at] + index.tobytes() + data[index_at + 64 :])
            with pytest.raises(SlideError, match=rf"x.zarr: damaged zarr .*it has {length} bytes"):
                slide.read((0, 0, 48, 64))


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("codec", [None, zarr.codecs.ZstdCodec(), zarr.codecs.BloscCodec(), zarr.codecs.GzipCodec()])
@pytest.mark.parametrize("box", [(0, 0, 48, 64), (24, 32, 48, 64), (20, 40, 30, 50)])
def test_a_shard_that_is_cut_off_has_no_chunks_that_are_not_stored(tmp_path, location, codec, box):
    shard = sharded(tmp_path / "x.zarr", NOISE, location, [] if codec is None else [codec], [zarr.codecs.Crc32cCodec()])
    whole = shard.read_bytes()
    y0, x0, y1, x1 = box
    with open_slide(tmp_path / "x.zarr") as slide:
        np.testing.assert_array_equal(slide.read(box)[..., 0], NOISE[y0:y1, x0:x1])
        for length in {*range(80), *range(80, len(whole), 97), len(whole) - 1}:
            shard.write_bytes(whole[:length])
            with pytest.raises(SlideError, match=r"x.zarr: damaged zarr"):
                slide.read(box)


@pytest.mark.parametrize(
    ("said", "options"),
    [
        (2 << 30, {"zarr_format": 2, "compressors": numcodecs.Blosc()}),
        (2 << 30, {"zarr_format": 2, "filters": [numcodecs.Delta("<u2")], "compressors": numcodecs.Blosc()}),
        (6142, {"zarr_format": 2, "compressors": numcodecs.Blosc()}),
        (2 << 30, {"compressors": zarr.codecs.BloscCodec()}),
        (6146, {"compressors": zarr.codecs.BloscCodec()}),
    ],
)
def test_what_a_chunk_says_to_hold_is_not_believed(tmp_path, said, options):
    chunk = plain(tmp_path / "x.zarr", SMOOTH, **options)
    data = bytearray(chunk.read_bytes())
    data[4:8] = struct.pack("<I", said)
    chunk.write_bytes(data)
    with open_slide(tmp_path / "x.zarr") as slide, pytest.raises(SlideError, match=f"says that it holds {said} bytes"):
        slide.read((0, 0, 48, 64))
