"""Levels that lack chunks of what the level above them shows."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr

from slideseg.slide.open import open_slide
from tests.unit.slide.zarr.made import multiscale

PIXELS = np.random.default_rng(5).integers(1, 256, (3, 512, 640), dtype=np.uint8)
SCALES = [(1, 0.25, 0.25), (1, 0.5, 0.5), (1, 1, 1)]


def pyramid(path, pixels=PIXELS, chunks=(64, 64, 64), **options):
    """Write ``pixels`` in three levels, in chunks of so many pixels."""
    ome = {"version": "0.5", "multiscales": [multiscale("cyx", SCALES)]}
    group = zarr.open_group(str(path), mode="w", attributes={"ome": ome})
    for number, side in enumerate(chunks):
        level = pixels[:, :: 2**number, :: 2**number]
        group.create_array(str(number), shape=level.shape, dtype="u1", chunks=(1, side, side), **options)[:] = level
    return path


def scales(path):
    with open_slide(path) as slide:
        return [level.downsample for level in slide.levels], [note for note in slide.notes if "not used" in note]


@pytest.mark.parametrize("shards", [{}, {"shards": (3, 128, 128)}])
@pytest.mark.parametrize("lost", ["1/c/0/1", "1/c/0/0/1", "1/c/2"])
def test_a_level_that_lacks_chunks_is_not_used(tmp_path, lost, shards):
    path = pyramid(tmp_path / "x.zarr", **shards)
    assert scales(path) == ([1, 2, 4], [])
    victim = path / (lost if not shards else "1/c/0/0/1")
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    assert scales(path) == ([1, 4], ["level 1 lacks chunks of what level 0 shows, and is not used"])


def test_a_level_that_lacks_chunks_in_a_shard_is_not_used(tmp_path):
    path = pyramid(tmp_path / "x.zarr", shards=(3, 128, 128))
    level = zarr.open_array(str(path / "2"), mode="r+")
    level[:, 64:128, 64:128] = 0
    assert scales(path) == ([1, 2], ["level 2 lacks chunks of what level 1 shows, and is not used"])


@pytest.mark.parametrize("chunks", [(64, 64, 64), (128, 64, 32), (32, 64, 128), (96, 50, 70)])
@pytest.mark.parametrize("everything", [False, True])
def test_chunks_that_all_levels_leave_out_are_none_that_are_lost(tmp_path, chunks, everything):
    pixels = PIXELS.copy()
    pixels[:, :200] = 0
    pixels[1] = 0
    pixels[:, :, 400:] = 0
    path = pyramid(tmp_path / "x.zarr", pixels, chunks)
    if everything:  # the finest level holds its zeros
        level = zarr.open_array(str(path / "0"), mode="r+", config={"write_empty_chunks": True})
        level[:] = pixels
    assert scales(path) == ([1, 2, 4], [])
    shutil.rmtree(path / "2" / "c" / "2")
    assert scales(path)[0] == [1, 2]


def test_a_finer_level_that_is_damaged_there_counts_as_something(tmp_path):
    path = pyramid(tmp_path / "x.zarr")
    (path / "1/c/0/0/0").unlink()
    for inner in (path / "0/c/0").glob("[01]/[01]"):
        inner.write_bytes(b"damaged")
    assert scales(path)[0] == [1, 4]


def test_a_level_whose_chunks_lie_under_other_names_is_not_used(tmp_path):
    path = pyramid(tmp_path / "x.zarr")
    (path / "1/c/0/0/0").rename(path / "1/c.0.0.0")
    assert scales(path) == ([1, 4], ["level 1: its chunks lie under other names (c.0.0.0), it is not used"])
