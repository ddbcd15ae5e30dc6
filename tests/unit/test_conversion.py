"""Slides to OME-Zarr: every pixel, resumable, never over something else."""

import numpy as np
import pytest
import zarr
from PIL import Image

from slideseg import conversion
from slideseg.arrays import shards as arrays
from slideseg.arrays.pyramid import mean_2x2
from slideseg.conversion import convert
from slideseg.errors import ResultError, RunError, SlideError
from slideseg.slide.open import open_slide
from slideseg.space.box import Box

IMAGE = np.random.default_rng(0).integers(0, 60_000, (1300, 1100, 2)).astype(np.uint16)


@pytest.fixture
def slide(tmp_path):
    np.save(tmp_path / "slide.npy", IMAGE)
    return tmp_path / "slide.npy"


def test_every_pixel_and_levels_by_mean(slide, tmp_path):
    convert(slide, tmp_path / "x.zarr", workers=2)
    group = zarr.open_group(str(tmp_path / "x.zarr"), mode="r")
    want = np.moveaxis(IMAGE, -1, 0)
    for level in ("0", "1", "2"):
        np.testing.assert_array_equal(group[level][:], want)
        want = mean_2x2(want)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["slide.npy", "x.zarr"]
    opened = open_slide(tmp_path / "x.zarr")
    assert (opened.shape, opened.dtype, len(opened.levels)) == (IMAGE.shape, IMAGE.dtype, 3)


def test_a_stack_keeps_its_planes(tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype(np.uint8)
    np.save(tmp_path / "stack.npy", stack)
    convert(tmp_path / "stack.npy", tmp_path / "x.zarr")
    np.testing.assert_array_equal(zarr.open_group(str(tmp_path / "x.zarr"), mode="r")["0"][:], stack[None])


def test_a_picture_goes_through_chunks(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (300, 200, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    convert(tmp_path / "a.png", tmp_path / "x.zarr")
    group = zarr.open_group(str(tmp_path / "x.zarr"), mode="r")
    np.testing.assert_array_equal(np.moveaxis(group["0"][:], 0, -1), picture)
    assert [c["color"] for c in group.attrs["ome"]["omero"]["channels"]] == ["FF0000", "00FF00", "0000FF"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "x.zarr"]


def test_an_existing_output_is_refused(slide, tmp_path, monkeypatch):
    convert(slide, tmp_path / "x.zarr")
    with pytest.raises(ResultError, match="the output exists"):
        convert(slide, tmp_path / "x.zarr")
    with pytest.raises(ResultError, match="the output exists"):
        convert(slide, slide)
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other.npy", IMAGE)
    monkeypatch.setattr(conversion, "_convert", lambda *_: None)
    convert(slide, tmp_path / "other")
    with pytest.raises(ResultError, match="the output exists"):
        convert(tmp_path / "other.npy", tmp_path / "other")


def test_an_interrupted_conversion_goes_on(slide, tmp_path, monkeypatch):
    written = []

    def full_after_one(store, key, data):
        if written:
            raise OSError(28, "No space left on device")
        written.append(key)
        arrays_write(store, key, data)

    arrays_write = arrays.write_key
    monkeypatch.setattr(arrays, "write_key", full_after_one)
    with pytest.raises(RunError, match="No space left"):
        convert(slide, tmp_path / "x.zarr", workers=1)
    assert "ome" not in zarr.open_group(str(tmp_path / "x.zarr"), mode="r").attrs
    monkeypatch.setattr(arrays, "write_key", arrays_write)
    copied = []
    original = conversion.ShardCopier.__call__
    monkeypatch.setattr(conversion.ShardCopier, "__call__", lambda *args: (copied.append(args[-1]), original(*args)))
    convert(slide, tmp_path / "x.zarr", workers=1)
    assert len(copied) == 3
    group = zarr.open_group(str(tmp_path / "x.zarr"), mode="r")
    np.testing.assert_array_equal(np.moveaxis(group["0"][:], 0, -1), IMAGE)


def test_no_slide_no_output(tmp_path):
    with pytest.raises(SlideError):
        convert(tmp_path / "none.tif", tmp_path / "x.zarr")
    with pytest.raises(ResultError, match="does not exist"):
        convert(tmp_path / "none.tif", tmp_path / "no" / "x.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_slide_is_converted(tmp_path):
    stack = np.random.default_rng(2).integers(0, 999, (4, 60, 70, 3), np.uint16)
    np.save(tmp_path / "stack.npy", stack)
    convert(tmp_path / "stack.npy", tmp_path / "x.zarr", z=2, channel="1", mpp=0.5)
    with open_slide(tmp_path / "x.zarr") as slide:
        assert slide.mpp == 0.5
        np.testing.assert_array_equal(slide.read(Box(0, 0, 60, 70))[..., 0], stack[2, :, :, 1])
    with pytest.raises(ResultError, match="the output exists"):
        convert(tmp_path / "stack.npy", tmp_path / "x.zarr", z=1)
