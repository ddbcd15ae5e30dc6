"""A slide that changes while it is segmented: nothing of two slides is ever called a result."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr

import slideseg
from slideseg.model.config import UNetConfig
from slideseg.testing.models import random_model
from tests.integration.conftest import class_map, pixels_of, whole_class_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHAPE = (1100, 1300, 3)


def write(path: Path, seed: int, tile: int = 256) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, SHAPE, np.uint8)
    tifffile.imwrite(path, pixels, tile=(tile, tile), photometric="rgb")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    random_model(path, UNetConfig(3, 2, 4, 2))
    return path


def once_begun(change: Callable[[], object]) -> Callable[[object], None]:
    """Return a watcher that changes something when the first shard is done."""
    waiting = [change]

    def watch(progress: object) -> None:
        if progress.phase == "segmenting" and progress.done > 0 and waiting:
            waiting.pop()()

    return watch


def test_a_slide_overwritten_in_place_is_an_error_and_begins_anew(tmp_path: Path, model: Path) -> None:
    slide, other, out = write(tmp_path / "s.tif", 1), write(tmp_path / "other.tif", 2), tmp_path / "r.zarr"
    options = {"model": str(model), "workers": 1, "image": "none"}

    def overwrite() -> None:
        with slide.open("r+b") as file:
            file.write(other.read_bytes())

    with pytest.raises(slideseg.SlidesegError, match=r"s.tif has changed while it was segmented.*it begins anew"):
        slideseg.predict(slide, out, on_progress=once_begun(overwrite), **options)
    with pytest.raises(slideseg.SlidesegError):
        slideseg.open_result(out)
    report = slideseg.predict(slide, out, **options)
    assert (report.slides[0].shards.kept, report.status) == (0, "ok")
    assert (class_map(out) == whole_class_map(slideseg.load_model(model), pixels_of(slide))).all()


@pytest.mark.parametrize("image", ["none", "overview"])
def test_a_slide_replaced_by_another_is_an_error(tmp_path: Path, model: Path, image: str) -> None:
    """Workers that have it open go on with the old one; whoever opens it later would see the new one."""
    slide, other, out = write(tmp_path / "s.tif", 1), write(tmp_path / "other.tif", 2), tmp_path / "r.zarr"
    options = {"model": str(model), "workers": 1, "image": image}
    with pytest.raises(slideseg.SlidesegError, match=r"s.tif has changed while it was"):
        slideseg.predict(slide, out, on_progress=once_begun(lambda: other.replace(slide)), **options)
    with pytest.raises(slideseg.SlidesegError):
        slideseg.open_result(out)
    report = slideseg.predict(slide, out, overwrite=True, **options)
    assert report.status == "ok"
    assert (class_map(out) == whole_class_map(slideseg.load_model(model), pixels_of(slide))).all()


def test_a_slide_that_is_gone_keeps_what_was_computed(tmp_path: Path, model: Path) -> None:
    slide, out = write(tmp_path / "s.tif", 1), tmp_path / "r.zarr"
    options = {"model": str(model), "workers": 1, "image": "none"}
    with pytest.raises(slideseg.SlidesegError, match="can't be read"):
        slideseg.predict(slide, out, on_progress=once_begun(lambda: slide.rename(tmp_path / "away")), **options)
    (tmp_path / "away").rename(slide)
    report = slideseg.predict(slide, out, **options)
    assert report.slides[0].shards.kept == report.slides[0].shards.total


def test_a_slide_that_was_only_touched_is_a_note(tmp_path: Path, model: Path) -> None:
    slide, out = write(tmp_path / "s.tif", 1), tmp_path / "r.zarr"
    report = slideseg.predict(slide, out, model=str(model), workers=1, on_progress=once_begun(lambda: os.utime(slide, (1, 1))))
    assert report.status == "ok"
    assert any("touched it" in note for note in report.slides[0].notes)
    again = slideseg.predict(slide, out, model=str(model), workers=1)
    assert not any("touched it" in note for note in again.slides[0].notes)


def test_a_zarr_that_changes_is_an_error_too(tmp_path: Path, model: Path) -> None:
    """Its files may be thousands, so the run looks once at its end."""
    slide, out = tmp_path / "s.zarr", tmp_path / "r.zarr"
    pixels = np.random.default_rng(1).integers(0, 255, SHAPE, np.uint8)
    array = zarr.create_array(str(slide), shape=SHAPE, chunks=(256, 256, 3), dtype="uint8")
    array[:] = pixels
    options = {"model": str(model), "workers": 1, "image": "none"}

    def change() -> None:
        array[:256, :256] = 255 - pixels[:256, :256]

    with pytest.raises(slideseg.SlidesegError, match=r"s.zarr has changed while it was segmented.*it begins anew"):
        slideseg.predict(slide, out, on_progress=once_begun(change), **options)
    report = slideseg.predict(slide, out, **options)
    assert (report.slides[0].shards.kept, report.slides[0].notes) == (0, ())
