"""A piece of a result in memory."""

import numpy as np
import pyarrow.parquet as pq
import pytest

import slideseg
from slideseg.errors import ConfigError, ResultError
from slideseg.result.layout import TABLE
from tests.made_results import blobs, make_result

BOX = (200, 130, 420, 500)


@pytest.fixture
def made(tmp_path):
    """A result of a slide that is there, with objects; its shards are of 256 pixels."""
    image = np.random.default_rng(0).integers(0, 255, (600, 700, 3), np.uint8)
    np.save(tmp_path / "s.npy", image)
    slide = {"path": str(tmp_path / "s.npy"), "fingerprint": slideseg_fingerprint(tmp_path / "s.npy")}
    make_result(tmp_path / "x.zarr", blobs((600, 700)), slide=slide)
    slideseg.objects(tmp_path / "x.zarr")
    return slideseg.open_result(tmp_path / "x.zarr"), image


def slideseg_fingerprint(path):
    from slideseg.slide.fingerprint import fingerprint  # noqa: PLC0415

    return fingerprint(str(path))


def test_a_crop_is_what_the_arrays_hold(made):
    result, image = made
    crop, inside = result.crop(BOX), (slice(200, 420), slice(130, 500))
    np.testing.assert_array_equal(crop.segmentation, result.segmentation.compute()[inside])
    np.testing.assert_array_equal(crop.objects, result.objects.compute()[inside])
    np.testing.assert_array_equal(crop.image, image[inside])
    assert crop.notice is None
    assert crop.table.equals(result.objects_at(BOX))


def test_the_first_and_the_last_object_have_their_rows(made):
    result, _ = made
    assert result.objects_at((0, 0, 600, 700)).equals(result.table)


def test_the_rows_are_those_of_the_objects_in_the_box(made, monkeypatch):
    result, _ = made
    ids = np.unique(result.objects.compute()[200:420, 130:500])
    wanted = result.table.take(ids[ids > 0] - 1)
    assert 20 < len(wanted) < len(result.table)
    assert result.objects_at(BOX).equals(wanted)
    path = f"{result.url}/{TABLE}"
    pq.write_table(result.table, path, row_group_size=7)  # other bytes, so the hash must not be looked at
    monkeypatch.setattr("slideseg.result.table._compare_hash", lambda *_: None)
    assert result.objects_at(BOX).equals(wanted)


def test_a_box_without_objects_has_no_rows(made):
    result, _ = made
    background = np.argwhere(result.objects.compute() == 0)[0]
    box = (*background, *(background + 1))
    assert (len(result.objects_at(box)), result.objects_at(box).column_names[0]) == (0, "id")


def test_without_the_slide_the_crop_says_why_there_is_no_image(made, tmp_path):
    result, _ = made
    (tmp_path / "s.npy").unlink()
    crop = result.crop(BOX)
    assert (crop.image, crop.objects.shape) == (None, (220, 370))
    assert "s.npy" in crop.notice


def test_without_objects_there_are_no_rows(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)))
    result = slideseg.open_result(tmp_path / "x.zarr")
    assert (result.crop((0, 0, 9, 9)).objects, result.crop((0, 0, 9, 9)).table) == (None, None)
    with pytest.raises(ResultError, match=r"the result has no objects .try slideseg objects"):
        result.objects_at((0, 0, 9, 9))


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 601, 5), (0, 0, 5, 701), (5, 5, 5, 9), (600, 0, 610, 5)])
def test_a_box_that_is_not_there_is_refused(made, box):
    with pytest.raises(ConfigError, match=r"the box is not in the class map .*want rows 0 to 600, columns 0 to 700"):
        made[0].crop(box)
    with pytest.raises(ConfigError, match="not in the class map"):
        made[0].objects_at(box)


def test_a_plane_of_a_stack(tmp_path):
    stack = np.stack([blobs((300, 300), seed) for seed in range(3)])
    make_result(tmp_path / "x.zarr", stack, plane_axis="z")
    slideseg.objects(tmp_path / "x.zarr")
    result = slideseg.open_result(tmp_path / "x.zarr")
    crop = result.crop((10, 20, 200, 210), plane=2)
    np.testing.assert_array_equal(crop.objects, result.objects.compute()[2, 10:200, 20:210])
    assert set(crop.table["plane"].to_pylist()) == {2}
    with pytest.raises(ConfigError, match=r"no such plane .got 3, want 0 to 2"):
        result.crop((0, 0, 9, 9), plane=3)


@pytest.mark.parametrize("box", [(10, 10, 5, 5), (float("nan"), 0, 1, 1), (float("inf"), 0, 1, 1), (1, 2, 3), None, slice(3)])
def test_what_is_no_box_is_refused(made, box):
    with pytest.raises(ConfigError, match="this is no box"):
        made[0].crop(box)


@pytest.mark.parametrize("plane", [0.5, "a", None, -1])
def test_what_is_no_plane_is_refused(made, plane):
    with pytest.raises(ConfigError, match="no such plane"):
        made[0].objects_at(BOX, plane=plane)
