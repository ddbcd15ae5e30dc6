from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
import tifffile

from slideseg.errors import SlideError
from slideseg.slide.array import ArraySlide
from slideseg.slide.open import open_slide
from slideseg.slide.rows.copy import _make_folder, _place_of_copy, chunk_slide, discard_copy
from slideseg.space.box import Box
from slideseg.tasks.in_process import InProcessExecutor
from slideseg.testing.slides import FailingSlide, SlowSlide

GREY = np.random.default_rng(6).integers(0, 60000, (2500, 1300), dtype=np.uint16)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "x.tif"
    options = {"compression": "zlib", "rowsperstrip": 2500, "resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, GREY, metadata=None, **options)
    with open_slide(path) as slide:
        yield slide


@pytest.mark.parametrize("workers", [1, 3])
def test_the_copy_is_the_slide(source, tmp_path, workers):
    path = chunk_slide(source, str(tmp_path / "copy.zarr"), InProcessExecutor(workers))
    with open_slide(path) as copy:
        assert (copy.shape, copy.axes, copy.dtype, copy.mpp, copy.is_rgb) == (
            source.shape,
            source.axes,
            source.dtype,
            source.mpp,
            source.is_rgb,
        )
        assert copy.direct
        np.testing.assert_array_equal(copy.read((0, 0, *GREY.shape))[..., 0], GREY)


def test_time_and_channels_are_kept(tmp_path):
    path = tmp_path / "x.tif"
    stack = GREY[:40, :60].reshape(2, 2, 10, 60)
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TCYX"})
    with open_slide(chunk_slide(open_slide(path), str(tmp_path / "copy.zarr"))) as copy:
        assert (copy.axes, copy.shape) == ("tyxc", (2, 10, 60, 2))
        np.testing.assert_array_equal(copy.read((0, 0, 10, 60), plane=1), stack[1].transpose(1, 2, 0))


def test_an_interrupted_copy_is_refused_and_goes_on(source, tmp_path):
    store = str(tmp_path / "copy.zarr")
    with pytest.raises(SlideError, match="on purpose"):
        chunk_slide(FailingSlide(source, Box(2200, 0, 2201, 1)), store)
    with pytest.raises(SlideError, match="unfinished copy"):
        open_slide(store)
    written = {path: path.stat().st_mtime_ns for path in Path(store, "c").rglob("0")}
    assert written
    slow = SlowSlide(source, 0)
    chunk_slide(slow, store)
    assert slow.reads == 1  # only the band that failed
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
    np.testing.assert_array_equal(open_slide(store).read((0, 0, *GREY.shape))[..., 0], GREY)


def test_a_finished_copy_is_used_again(source, tmp_path):
    store = chunk_slide(source, str(tmp_path / "copy.zarr"))
    slow = SlowSlide(source, 0)
    assert chunk_slide(slow, store) == store
    assert slow.reads == 0


def test_a_copy_of_another_slide_is_replaced(source, tmp_path):
    store = str(tmp_path / "copy.zarr")
    chunk_slide(ArraySlide(np.zeros((5, 5, 3), np.uint8)), store)
    chunk_slide(source, store)
    assert open_slide(store).shape == source.shape


def test_nothing_but_a_copy_is_ever_removed(source, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("x")
    with pytest.raises(SlideError, match="in the way"):
        chunk_slide(source, str(tmp_path / "precious"))
    assert (tmp_path / "precious" / "thesis.txt").exists()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_copy_knows_where_nothing_was_scanned(tmp_path, dtype):
    top = np.iinfo(dtype).max
    four = np.random.default_rng(1).integers(0, top, (300, 400, 4)).astype(dtype)
    four[..., 3] = np.where(four[..., 3] > top // 2, top, 0)
    tifffile.imwrite(
        tmp_path / "x.tif", four, photometric="rgb", extrasamples=["unassalpha"], compression="zlib", rowsperstrip=300
    )
    whole = Box(0, 0, 300, 400)
    with open_slide(tmp_path / "x.tif") as slide, open_slide(chunk_slide(slide, str(tmp_path / "copy.zarr"))) as copy:
        assert (copy.shape, copy.background, copy.is_rgb) == (slide.shape, slide.background, True)
        np.testing.assert_array_equal(copy.read(whole), slide.read(whole))
        np.testing.assert_array_equal(copy.scanned(whole), four[..., 3] > 0)
        np.testing.assert_array_equal(copy.scanned((7, 9, 20, 30)), four[7:20, 9:30, 3] > 0)


def test_a_copy_for_a_bucket_is_where_nobody_else_can_put_one(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    beside = "s3://lab/x.zarr"
    _make_folder(beside)
    (folder,) = tmp_path.iterdir()
    assert Path(_place_of_copy(beside)).parent == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    _make_folder(beside)  # another try

    folder.chmod(0o755)
    with pytest.raises(SlideError, match="a copy can't be kept in"):
        _make_folder(beside)
    folder.rmdir()
    (tmp_path / "theirs").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "theirs")
    with pytest.raises(SlideError, match="a copy can't be kept in"):
        _make_folder(beside)
    discard_copy(beside)  # whoever has no copy there isn't concerned
    assert folder.is_symlink()
