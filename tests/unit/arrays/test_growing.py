"""Pyramids that grow while their level 0 is written: in the end they are those that are made of all of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from slideseg.arrays import growing
from slideseg.arrays.growing import GrowingPyramids
from slideseg.arrays.plan import ArrayPlan, level_shapes
from slideseg.arrays.pyramid import write_pyramid
from slideseg.arrays.shards import create_array, write_shard
from slideseg.errors import ResultError
from slideseg.storage.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LABELS = ArrayPlan("l/0", "zyx", (2, 1300, 900), 256)
IMAGE = ArrayPlan("p/0", "zcyx", (2, 3, 1300, 900), 256)
LEVELS = len(level_shapes((1300, 900)))
SOURCES = [(LABELS, "mode"), (IMAGE, "mean")]
SHARDS = range(len(LABELS.grid))


def write(url: Path, index: int) -> None:
    """Write a shard of both arrays, as a worker does."""
    random = np.random.default_rng(index)
    for plan in (LABELS, IMAGE):
        write_shard(
            open_store(str(url)), plan, index, random.integers(0, 3, plan.values_shape(plan.grid[index])).astype(np.uint8)
        )


def begun(url: Path, there: Iterable[int] = ()) -> Path:
    """Return a store of both arrays, with some shards of an earlier run."""
    store = open_store(str(url))
    for plan in (LABELS, IMAGE):
        create_array(store, plan)
    for index in there:
        write(url, index)
    return url


def grow(url: Path, order: Iterable[int]) -> None:
    with GrowingPyramids(str(url), SOURCES, LEVELS) as pyramids:
        for index in order:
            write(url, int(index))
            pyramids.add(int(index))


def finish(url: Path) -> int:
    """Make what is missing; return how many shards that were."""
    return sum(write_pyramid(str(url), plan, reduction, LEVELS) for plan, reduction in SOURCES)


def files(url: Path) -> dict[str, bytes]:
    return {path.relative_to(url).as_posix(): path.read_bytes() for path in url.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of pyramids that were made in the end."""
    url = begun(tmp_path_factory.mktemp("whole") / "x.zarr", SHARDS)
    assert finish(url) > LEVELS
    return files(url)


@pytest.mark.parametrize("seed", range(3))
def test_all_levels_are_there_when_the_last_shard_is_in_whatever_order_they_come(
    tmp_path: Path, expected: dict[str, bytes], seed: int
) -> None:
    url = begun(tmp_path / "x.zarr")
    grow(url, np.random.default_rng(seed).permutation(len(SHARDS)))
    assert finish(url) == 0
    assert files(url) == expected


def test_what_lies_over_shards_of_an_earlier_run_is_left_to_the_end(tmp_path: Path, expected: dict[str, bytes]) -> None:
    url = begun(tmp_path / "x.zarr", SHARDS[:5])
    grow(url, SHARDS[5:])
    assert 0 < finish(url) < sum("/c/" in name for name in expected) - 2 * len(SHARDS)
    assert files(url) == expected


def test_a_shard_that_can_not_be_made_is_told_by_who_makes_it_in_the_end(tmp_path: Path) -> None:
    url = begun(tmp_path / "x.zarr")
    with GrowingPyramids(str(url), SOURCES, LEVELS) as pyramids:
        for index in SHARDS:
            write(url, index)
            if index == 0:
                (damaged,) = (url / "l/0/c/0/0").glob("0")
                damaged.write_bytes(damaged.read_bytes()[:-50])
            pyramids.add(index)
    with pytest.raises(ResultError, match="l/0/c/0/0/0"):
        finish(url)


def test_what_is_waiting_is_not_made_when_something_went_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, made = begun(tmp_path / "x.zarr", SHARDS), []

    class Slow(growing.LevelWorker):
        def __call__(self, index: int) -> None:
            made.append(index)
            time.sleep(0.3)

    monkeypatch.setattr(growing, "LevelWorker", Slow)

    def stopped() -> None:
        with GrowingPyramids(str(url), SOURCES, LEVELS) as pyramids:
            for index in SHARDS:
                pyramids.add(index)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert len(made) <= 8, "those that were begun"
