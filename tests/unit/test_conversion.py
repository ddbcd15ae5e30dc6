"""Slides to OME-Zarr: every pixel, resumable, never over something else."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import zarr
from PIL import Image

from slideseg import conversion
from slideseg.arrays import shards as arrays
from slideseg.arrays.pyramid import mean_2x2
from slideseg.conversion import convert
from slideseg.errors import ResultError, RunError, SlideError
from slideseg.exports.run import export
from slideseg.model.config import UNetConfig
from slideseg.prediction.run import predict
from slideseg.slide.open import open_slide
from slideseg.slide.tissue.detect import detect_tissue
from slideseg.space.box import Box
from slideseg.testing.models import random_model
from tests.made_mirax import write_mirax

IMAGE = np.random.default_rng(0).integers(0, 60_000, (1300, 1100, 2)).astype(np.uint16)


@pytest.fixture
def slide(tmp_path):
    np.save(tmp_path / "slide.npy", IMAGE)
    return tmp_path / "slide.npy"


def test_what_only_has_the_name_of_a_temporary_copy_stays(slide, tmp_path):
    mine = tmp_path / "x.zarr.source.zarr" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    convert(slide, tmp_path / "x.zarr")
    assert mine.read_text() == "mine"


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


def assert_alike(path, converted, specks=0.0):
    """Check that a slide and its conversion were scanned in the same places and hold the same tissue."""
    with open_slide(path) as before, open_slide(converted) as after:
        whole = Box.of_shape(before.levels[0].shape)
        assert (after.bounds, after.background) == (before.bounds, before.background)
        np.testing.assert_array_equal(after.scanned(whole), before.scanned(whole))
        np.testing.assert_array_equal(after.read(whole), before.read(whole))
        for level, known in enumerate(after.levels):
            there = after.scanned(Box.of_shape(known.shape), level)
            assert there.mean() == pytest.approx(before.scanned(whole).mean(), abs=0.01)
        found = [detect_tissue(slide, whole.shape) for slide in (before, after)]
        if specks:  # a slide's own coarser levels are not quite ours, so a speck may be tissue in one alone
            tissue, other = (one.mask for one in found)
            assert 0 < np.count_nonzero(tissue != other) <= specks * np.count_nonzero(tissue)
        else:
            assert [one is None or one.blocks.digest() for one in found] == [found[0] is None or found[0].blocks.digest()] * 2


@pytest.fixture(scope="module")
def mirax(tmp_path_factory):
    """A slide of 16 x 12 tiles of which 6 x 4 in the middle were scanned."""
    random = np.random.default_rng(4)
    tiles = {(row, column): random.integers(0, 200, (64, 64, 3), np.uint8) for row in range(4, 10) for column in range(4, 8)}
    return write_mirax(tmp_path_factory.mktemp("mirax") / "x.mrxs", tiles, (16, 12))


def test_what_was_not_scanned_and_the_bounds_go_along(mirax, tmp_path):
    convert(mirax, tmp_path / "x.zarr")
    assert_alike(mirax, tmp_path / "x.zarr")
    with open_slide(tmp_path / "x.zarr") as slide:
        assert slide.bounds == Box(256, 256, 640, 512)


def test_a_slide_that_was_reported_goes_along(data, tmp_path):
    convert(data / "reported" / "c30_bright.mrxs", tmp_path / "x.zarr")
    assert_alike(data / "reported" / "c30_bright.mrxs", tmp_path / "x.zarr", specks=0.02)


def test_transparent_pixels_of_a_picture_go_along_through_its_copy(tmp_path):
    pixels = np.full((1200, 900, 4), 255, np.uint8)
    pixels[200:500, 300:700] = 90
    pixels[800:, :450, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    convert(tmp_path / "a.png", tmp_path / "x.zarr", workers=2)
    assert_alike(tmp_path / "a.png", tmp_path / "x.zarr")


def test_a_slide_without_gaps_has_no_map(slide, tmp_path):
    convert(slide, tmp_path / "x.zarr")
    assert not (tmp_path / "x.zarr" / "scanned").exists()


def test_a_converted_slide_in_a_zip_says_the_same(mirax, tmp_path):
    convert(mirax, tmp_path / "x.zarr")
    with zipfile.ZipFile(tmp_path / "x.zarr.zip", "w") as packed:
        for file in sorted((tmp_path / "x.zarr").rglob("*")):
            packed.write(file, file.relative_to(tmp_path / "x.zarr"))
    assert_alike(mirax, tmp_path / "x.zarr.zip")


def test_the_result_of_a_converted_slide_lies_where_the_slide_s_does(mirax, tmp_path):
    random_model(tmp_path / "m.safetensors", UNetConfig(3, 3, 4, 1))
    convert(mirax, tmp_path / "x.zarr")
    features = []
    for name, path in (("before", mirax), ("after", tmp_path / "x.zarr")):
        predict(path, tmp_path / name, model=tmp_path / "m.safetensors", workers=1, level=0)
        export(tmp_path / name, "geojson", tmp_path / f"{name}.geojson")
        told = json.loads((tmp_path / f"{name}.geojson").read_text())
        features.append([feature["geometry"] for feature in told["features"]])
    assert features[0]
    assert features[0] == features[1]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"background": [1, 2]}, "background .got .1, 2., want 3 numbers"),
        ({"background": "white"}, "background"),
        ({"bounds": {"y0": 0, "x0": 0, "y1": 9999, "x1": 9}}, "want a box inside 1024 x 768"),
        ({"bounds": {"y0": 0}}, "lacks something"),
        ({"bounds": [0]}, "want an object"),
    ],
)
def test_damaged_words_of_the_source_are_refused(mirax, tmp_path, said, message):
    convert(mirax, tmp_path / "x.zarr")
    file = tmp_path / "x.zarr" / "0" / "zarr.json"
    array = json.loads(file.read_text())
    array["attributes"]["slideseg"]["source"] |= said
    file.write_text(json.dumps(array))
    with pytest.raises(SlideError, match=message):
        open_slide(tmp_path / "x.zarr")


def test_a_map_that_is_missing_is_damage(mirax, tmp_path):
    convert(mirax, tmp_path / "x.zarr")
    chunk = tmp_path / "x.zarr" / "scanned" / "0" / "c" / "0" / "0"
    kept = chunk.read_bytes()
    chunk.unlink()
    with open_slide(tmp_path / "x.zarr") as slide, pytest.raises(SlideError, match="damaged zarr"):
        slide.scanned((0, 0, 9, 9))
    chunk.write_bytes(kept)
    shutil.rmtree(tmp_path / "x.zarr" / "scanned" / "1")
    with pytest.raises(SlideError, match="got no scanned/1, want a map of"):
        open_slide(tmp_path / "x.zarr")


def test_a_slide_that_changes_meanwhile_is_no_image(slide, tmp_path, monkeypatch):
    copied = conversion.ShardCopier.__call__

    def copy_and_change(self, index):
        copied(self, index)
        np.save(slide, IMAGE[::-1])

    monkeypatch.setattr(conversion.ShardCopier, "__call__", copy_and_change)
    with pytest.raises(SlideError, match="has changed while it was read"):
        convert(slide, tmp_path / "x.zarr", workers=1)
    with pytest.raises(SlideError):
        open_slide(tmp_path / "x.zarr")
