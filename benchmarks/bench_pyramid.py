"""Who should build a pyramid: Dask's graphs or the executor's own workers, in this process and on Ray?

The same shards, the same code a shard, alternating; see ``docs/decisions/0013-dask-and-ray.md``.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import hardware, write_result

from slideseg.arrays.graphs import GraphExecutor
from slideseg.arrays.plan import ArrayPlan, level_shapes
from slideseg.arrays.pyramid import LevelWorker, halved
from slideseg.arrays.shards import create_array, missing_shards, write_shard
from slideseg.storage.store import open_store
from slideseg.tasks.in_process import InProcessExecutor
from slideseg.tasks.ray import RayExecutor
from slideseg.tasks.run_shards import run_shards
from slideseg.tasks.session import connected

if TYPE_CHECKING:
    from slideseg.tasks.base import Executor

SIDE = 16_384
WORKERS = 2
ROUNDS = 3


def make_labels(url: str) -> ArrayPlan:
    """Write a label image of discs, as a class map is."""
    plan = ArrayPlan("labels/0", "yx", (SIDE, SIDE), 2048)
    store = open_store(url)
    create_array(store, plan)
    y, x = np.mgrid[:2048, :2048]
    discs = (np.hypot(y % 40 - 20, x % 40 - 20) < 9).astype(np.uint8)
    for index in range(len(plan.grid)):
        write_shard(store, plan, index, discs * np.uint8(1 + index % 3))
    return plan


def build(url: str, plan: ArrayPlan, executor: Executor) -> int:
    """Build all levels; return the number of shards."""
    store, done = open_store(url), 0
    for _ in level_shapes(plan.grid.shape_yx)[1:]:
        target = halved(plan)
        create_array(store, target)
        missing = missing_shards(store, target)
        run_shards(partial(LevelWorker, url, plan, target, "mode"), missing, executor, light=True)
        plan, done = target, done + len(missing)
    return done


def seconds_of(folder: str, plan: ArrayPlan, executor: Executor) -> float:
    """Return how long all levels take, which are removed again."""
    url = f"{folder}/x.zarr"
    started = time.perf_counter()
    build(url, plan, executor)
    seconds = time.perf_counter() - started
    for level in Path(url, "labels").iterdir():
        if level.is_dir() and level.name != "0":
            shutil.rmtree(level)
    return seconds


def main() -> None:
    busy = hardware()
    with tempfile.TemporaryDirectory() as folder, connected(WORKERS, None), RayExecutor(WORKERS, "auto") as on_ray:
        plan, here = make_labels(f"{folder}/x.zarr"), InProcessExecutor(WORKERS)
        ways = {
            "threads, plain": here,
            "threads, Dask": GraphExecutor(here),
            "Ray, plain": on_ray,
            "Ray, Dask": GraphExecutor(on_ray),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, executor in ways.items():
                seconds[name].append(round(seconds_of(folder, plan, executor), 3))
    best = {name: min(values) for name, values in seconds.items()}
    ratio = {name: round(value / best["threads, plain"], 2) for name, value in best.items()}
    about = {"side": SIDE, "shards": 64, "workers": WORKERS, "rounds": ROUNDS}
    write_result("pyramid", {**about, "seconds": seconds, "best": best, "ratio": ratio}, busy)


if __name__ == "__main__":
    main()
