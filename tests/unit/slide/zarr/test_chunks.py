"""What is absent is not empty: chunks under other names, in other places, left out, lost."""

from __future__ import annotations

import shutil
import zipfile

import google_crc32c
import numpy as np
import pytest
import zarr

from slideseg.errors import SlideError
from slideseg.slide.open import open_labels, open_slide
from slideseg.slide.zarr.keys import FolderKeys

PIXELS = np.random.default_rng(3).integers(1, 256, (3, 200, 300), dtype=np.uint8)


def stored(path, zarr_format=3, pixels=PIXELS, chunks=(1, 64, 64), **options):
    names = {} if zarr_format == 2 else {"dimension_names": ["c", "y", "x"]}
    array = zarr.create_array(
        str(path), shape=pixels.shape, dtype=pixels.dtype, chunks=chunks, zarr_format=zarr_format, **names | options
    )
    array[:] = pixels
    return path


def renamed(path, rename):
    """Put the chunks of an array under other names."""
    files = [file for file in path.rglob("*") if file.is_file() and "zarr" not in file.name and ".z" not in file.name]
    for file in files:
        target = path / rename(file.relative_to(path).as_posix())
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    return path


def encoding(name, separator):
    return {"chunk_key_encoding": {"name": name, "separator": separator}}


@pytest.mark.parametrize(
    ("zarr_format", "options", "rename", "found"),
    [
        (2, {}, lambda key: key.replace(".", "/"), "/"),
        (2, {}, lambda key: "c/" + key.replace(".", "/"), "c/"),
        (2, encoding("v2", "/"), lambda key: key.replace("/", "."), "."),
        (3, {}, lambda key: key.removeprefix("c/"), "/"),
        (3, {}, lambda key: key.replace("/", "."), "c."),
        (3, encoding("default", "."), lambda key: key.replace(".", "/"), "c/"),
        (3, encoding("v2", "."), lambda key: key.replace(".", "/"), "/"),
        (3, encoding("v2", "/"), lambda key: key.replace("/", "."), "."),
        (3, {"shards": (3, 128, 128)}, lambda key: key.removeprefix("c/").replace("/", "."), "."),
    ],
)
@pytest.mark.parametrize("few", [False, True])
def test_chunks_under_other_names_are_refused(tmp_path, monkeypatch, zarr_format, options, rename, found, few):
    if few:  # not listed: asked for one by one
        monkeypatch.setattr(FolderKeys, "listed", lambda *_: None)
    path = stored(tmp_path / "x.zarr", zarr_format, **options)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 200, 300)).transpose(2, 0, 1)[: len(PIXELS)], PIXELS)
    renamed(path, rename)
    where = "dimension_separator" if zarr_format == 2 else "chunk_key_encoding"
    with pytest.raises(SlideError, match=f"under other names.*none of .* is found.*{where}") as refused:
        open_slide(path)
    got = str(refused.value).partition("(got ")[2]
    assert got.lstrip("c0123456789").startswith(found.lstrip("c")), got
    assert got.startswith("c") == found.startswith("c")


def test_one_chunk_in_its_place_does_not_hide_the_others(tmp_path):
    path = stored(tmp_path / "x.zarr", 2, np.ones((1, 1100, 1100), "u1"), (1, 32, 32))
    kept = (path / "0.3.4").read_bytes()
    renamed(path, lambda key: key.replace(".", "/"))
    (path / "0.3.4").write_bytes(kept)
    with pytest.raises(SlideError, match="under other names than its metadata says, 1 of 1225 is found"):
        open_slide(path)


def test_the_handed_file_is_refused(data):
    with pytest.raises(SlideError, match=r"under other names.*none of 12 is found \(got 0/\d/\d, want 0.0.0;"):
        open_slide(data / "reported" / "c40_nested_unsaid.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_image_without_chunks_is_refused_and_labels_are_zeros(tmp_path, zarr_format):
    path = stored(tmp_path / "x.zarr", zarr_format, np.zeros_like(PIXELS))
    with pytest.raises(SlideError, match=r"absent is not empty, none of its chunks are stored, of 60 \(want files such"):
        open_slide(path)
    with open_labels(path) as labels:
        assert not labels.read((0, 0, 200, 300)).any()
        assert labels.notes == ("60 of 60 chunks are not stored: they hold the fill value 0",)


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("some", [False, True])
def test_labels_under_other_names_are_refused(tmp_path, monkeypatch, few, some):
    path = stored(tmp_path / "x.zarr", 2)
    kept = (path / "0.3.4").read_bytes()
    renamed(path, lambda key: key.replace(".", "/"))
    if some:
        (path / "0.3.4").write_bytes(kept)
    if few:
        monkeypatch.setattr(FolderKeys, "listed", lambda *_: None)
    with pytest.raises(SlideError, match=f"under other names than its metadata says, {int(some) or 'none'} of 60 is found"):
        open_labels(path)


@pytest.mark.parametrize("few", [False, True])
def test_one_channel_under_other_names_is_refused_and_what_was_left_over_is_not(tmp_path, monkeypatch, few):
    if few:
        monkeypatch.setattr(FolderKeys, "listed", lambda *_: None)
    path = stored(tmp_path / "x.zarr", 2)
    (path / "0").mkdir()
    (path / "0" / "0").write_bytes(b"of an array of two axes")
    shutil.copytree(path / "0", path / "0" / "0.d")
    with open_slide(path) as slide:
        assert slide.notes == ()
    for file in path.glob("1.*"):
        target = path / file.name.replace(".", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    with pytest.raises(SlideError, match=r"under other names .* 40 of 60 is found \(got 1/"):
        open_slide(path)


def test_numbers_with_zeros_in_front_name_no_chunk(tmp_path):
    path = stored(tmp_path / "x.zarr", 2)
    renamed(path, lambda key: ".".join(f"{int(part):02}" for part in key.split(".")))
    with pytest.raises(SlideError, match=r"under other names.*none of 60 is found .got 0"):
        open_slide(path)


def test_an_image_that_is_nearly_empty_is_refused_and_labels_are_not(tmp_path):
    pixels = np.zeros((1, 1100, 1100), np.uint8)
    pixels[0, 500, 500] = 1
    path = stored(tmp_path / "x.zarr", pixels=pixels, chunks=(1, 32, 32))
    with pytest.raises(SlideError, match="1 of its chunks are stored, of 1225"):
        open_slide(path)
    with open_labels(path) as labels:
        assert labels.read((0, 0, 1100, 1100)).sum() == 1


@pytest.mark.parametrize("fill", [0, 7])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_missing_chunks_hold_the_fill_value_and_count_as_not_scanned(tmp_path, fill, zarr_format):
    path = stored(tmp_path / "x.zarr", zarr_format, fill_value=fill)
    for key in {2: ["0.1.2", "1.1.2", "2.1.2", "0.0.0"], 3: ["c/0/1/2", "c/1/1/2", "c/2/1/2", "c/0/0/0"]}[zarr_format]:
        (path / key).unlink()
    expected = PIXELS.copy()
    expected[:, 64:128, 128:192] = fill
    expected[0, :64, :64] = fill
    with open_slide(path) as slide:
        assert slide.background == (fill,) * 3
        assert slide.notes == (f"4 of 60 chunks are not stored: they hold the fill value {fill}",)
        np.testing.assert_array_equal(slide.read((0, 0, 200, 300)).transpose(2, 0, 1), expected)
        there = slide.scanned((50, 100, 150, 250))
        assert there.shape == (100, 150)
        assert not there[14:78, 28:92].any()
        assert there.sum() == there.size - 64 * 64
        assert slide.scanned((0, 0, 60, 60)) is None, "of the other channels something is there"


def test_an_image_with_all_its_chunks_has_no_background(tmp_path):
    with open_slide(stored(tmp_path / "x.zarr")) as slide:
        assert (slide.background, slide.notes, slide.scanned((0, 0, 200, 300))) == (None, (), None)


def test_chunks_that_a_shard_lacks_are_not_scanned(tmp_path):
    pixels = PIXELS.copy()
    pixels[:, 32:64, 96:128] = 0
    pixels[:, 128:, :128] = 0
    path = stored(tmp_path / "x.zarr", pixels=pixels, chunks=(1, 32, 32), shards=(3, 128, 128))
    with open_slide(path) as slide:
        assert slide.notes == ("39 of 210 chunks are not stored: they hold the fill value 0",)
        expected = pixels.any(axis=0)
        np.testing.assert_array_equal(slide.scanned((0, 0, 200, 300)), expected)
        np.testing.assert_array_equal(slide.scanned((40, 90, 60, 140)), expected[40:60, 90:140])


INDEXES = {
    "end": {},
    "start": {"index_location": "start"},
    "big": {"index_codecs": [zarr.codecs.BytesCodec(endian="big")]},
}


def in_shards(path, pixels, index):
    """Write an array whose shards have their index as ``index`` says."""
    codec = zarr.codecs.ShardingCodec(chunk_shape=(1, 32, 32), codecs=[zarr.codecs.BytesCodec()], **INDEXES[index])
    names = ["c", "y", "x"]
    zarr.create(
        store=str(path),
        shape=pixels.shape,
        chunks=(3, 128, 128),
        dtype="u1",
        codecs=[codec],
        dimension_names=names,
        zarr_format=3,
    )[:] = pixels
    return path


def empty_shards(path):
    """Leave of each shard its index alone, in which there is no chunk."""
    for shard in [file for file in path.rglob("c/*/*/*") if file.is_file()]:
        nothing = b"\xff" * (16 * 3 * 4 * 4)
        shard.write_bytes(nothing + google_crc32c.value(nothing).to_bytes(4, "little"))


@pytest.mark.parametrize("packed", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("index", INDEXES)
def test_chunks_in_shards_are_counted_wherever_the_index_lies(tmp_path, index, packed):
    pixels = PIXELS.copy()
    pixels[:, 32:64, 96:128] = 0
    pixels[1, :, 288:] = 0
    path = in_shards(tmp_path / "x.zarr", pixels, index)
    if packed is not None:
        with zipfile.ZipFile(tmp_path / "x.zip", "w", packed) as file:
            for inner in path.rglob("*"):
                file.write(inner, f"x.zarr/{inner.relative_to(path)}")
        path = tmp_path / "x.zip"
    with open_slide(path) as slide:
        assert slide.notes == ("10 of 210 chunks are not stored: they hold the fill value 0",)
        np.testing.assert_array_equal(slide.scanned((0, 0, 200, 300)), pixels.any(axis=0))
        np.testing.assert_array_equal(slide.read((0, 0, 200, 300)), pixels.transpose(1, 2, 0))


def test_shards_without_chunks_are_refused_and_of_labels_zeros(tmp_path):
    path = in_shards(tmp_path / "x.zarr", PIXELS, "end")
    with open_slide(path) as slide:
        assert (slide.notes, slide.background, slide.scanned((0, 0, 200, 300))) == ((), None, None)
    empty_shards(path)
    with pytest.raises(SlideError, match=r"none of its chunks are stored, of 210 .want chunks in files such as c/0/0/0;"):
        open_slide(path)
    with open_labels(path) as labels:
        assert not labels.read((0, 0, 200, 300)).any()


def test_of_many_shards_some_are_looked_into(tmp_path, monkeypatch):
    pixels = PIXELS.copy()
    pixels[2] = 0
    path = in_shards(tmp_path / "x.zarr", pixels, "end")
    keys = FolderKeys.__init__
    monkeypatch.setattr(FolderKeys, "__init__", lambda self, store: keys(self, store, looks=2))
    with open_slide(path) as slide:
        assert "chunks that were looked for (of 210) are not stored" in slide.notes[0]
        lacking, _, looked = slide.notes[0].split()[:3]
        assert int(lacking) * 3 == int(looked) < 210


def test_planes_of_a_shard_have_their_own_chunks(tmp_path):
    pixels = np.ones((6, 64, 64), np.uint8)
    pixels[4, :32] = 0
    array = zarr.create_array(
        str(tmp_path / "x.zarr"),
        shape=(64, 6, 64),
        chunks=(32, 1, 32),
        shards=(64, 3, 64),
        dtype="u1",
        dimension_names=["x", "z", "y"],
    )
    array[:] = pixels.transpose(2, 0, 1)
    with open_slide(tmp_path / "x.zarr") as slide:
        assert [slide.scanned((0, 0, 64, 64), plane=plane) is None for plane in range(6)] == [True] * 4 + [False, True]
        np.testing.assert_array_equal(slide.scanned((0, 0, 64, 64), plane=4), pixels[4] > 0)


def test_a_large_array_is_sampled_and_not_listed(tmp_path, monkeypatch):
    path = stored(tmp_path / "x.zarr", chunks=(1, 8, 8))
    monkeypatch.setattr(FolderKeys, "listed", lambda *_: pytest.fail("listed"))
    array = zarr.open_array(str(path), mode="r")
    keys = FolderKeys.__init__
    monkeypatch.setattr(FolderKeys, "__init__", lambda self, store: keys(self, store, most=100, probes=200))
    with open_slide(path) as slide:
        assert slide.notes == ()
    shutil.rmtree(path / "c" / "1")
    with open_slide(path) as slide:
        assert "of 200 chunks that were looked for (of 2850) are not stored" in slide.notes[0]
        assert 40 < int(slide.notes[0].split()[0]) < 90, "a third"
    assert array.nchunks == 2850


def test_a_level_without_chunks_is_not_used(tmp_path):
    group = zarr.open_group(str(tmp_path / "x.zarr"), mode="w")
    for name, pixels in (("0", PIXELS), ("1", PIXELS[:, ::2, ::2])):
        group.create_array(name, shape=pixels.shape, chunks=(1, 64, 64), dtype="u1")[:] = pixels
    datasets = [
        {"path": name, "coordinateTransformations": [{"type": "scale", "scale": [1, k, k]}]} for k, name in ((1, "0"), (2, "1"))
    ]
    axes = [{"name": name} for name in "cyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    with open_slide(tmp_path / "x.zarr") as slide:
        assert len(slide.levels) == 2
    shutil.rmtree(tmp_path / "x.zarr" / "1" / "c")
    with open_slide(tmp_path / "x.zarr") as slide:
        assert len(slide.levels) == 1
        assert slide.notes == ("level 1: 0 of 18 chunks are stored, it is not used",)


@pytest.mark.parametrize("root", ["", "deep.zarr/"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_zip_is_read_and_its_chunks_are_counted(tmp_path, root, zarr_format):
    path = stored(tmp_path / "x.zarr", zarr_format)
    first = {2: "0.0.0", 3: "c/0/0/0"}[zarr_format]
    for name, left_out in (("whole.ozx", None), ("part.zarr.zip", first)):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            for inner in sorted(path.rglob("*")):
                key = inner.relative_to(path).as_posix()
                if inner.is_file() and key != left_out:
                    file.write(inner, root + key)
    with open_slide(tmp_path / "whole.ozx") as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 200, 300)).transpose(2, 0, 1), PIXELS)
        assert slide.notes == ()
    with open_slide(tmp_path / "part.zarr.zip") as slide:
        assert slide.notes == ("1 of 60 chunks are not stored: they hold the fill value 0",)
        assert slide.read((0, 0, 64, 64))[..., 0].max() == 0


def test_a_zip_without_a_zarr_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a.txt", "no zarr")
    with pytest.raises(SlideError, match="a zip without a zarr"):
        open_slide(tmp_path / "x.zip")
    (tmp_path / "y.zip").write_bytes((tmp_path / "x.zip").read_bytes()[:30])
    with pytest.raises(SlideError, match="damaged or unsupported zarr"):
        open_slide(tmp_path / "y.zip")


def test_a_chunk_that_is_too_large_to_decode_is_refused(tmp_path):
    zarr.create_array(str(tmp_path / "x.zarr"), shape=(1 << 20, 1 << 20), chunks=(1 << 17, 1 << 17), dtype="u1")
    with pytest.raises(SlideError, match="its chunks are too large"):
        open_slide(tmp_path / "x.zarr")
