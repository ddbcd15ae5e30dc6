"""How far does one driver go? Its time and memory for a million shards, and how many workers it keeps busy.

- Bookkeeping: what a run's own process does for each of a million shards, with workers that are done at once.
- Tasks: shards that are no work, on Ray with 1, 2, 4 and 8 workers: how many a second there can be.
- Prediction: shards that only wait, as for a GPU, one at a time in a worker. A model of time with the constants above says how
  long they take, and the clock what they took. docs/scaling.md goes on from there to machines that are not here.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest import mock

from common import hardware, write_result

from slideseg.prediction.gaps import Gaps
from slideseg.prediction.slide import Tally, _compute_shards
from slideseg.prediction.worker import ShardDone
from slideseg.space.grid import SHARD_SIDES, ShardGrid
from slideseg.tasks.base import Done, idle_share
from slideseg.tasks.run_shards import run_shards, shared_executor

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

WORKERS = (1, 2, 4, 8)
SIDE = SHARD_SIDES[0]
SECONDS = 8
"""How long a run takes whose time is predicted, if the prediction is that of its workers."""


@dataclass(frozen=True)
class AtOnce:
    """An executor whose workers are done at once."""

    grid: ShardGrid
    is_here: bool = False

    def run(self, _: object, tasks: Sequence[int], **__: object) -> Generator[Done]:
        """Yield a report of each shard."""
        for task in tasks:
            yield Done(task, done(task, self.grid[task].write_box.area))

    def count(self, *_: object) -> None:
        """Do nothing."""


def done(task: int, pixels: int = SIDE**2) -> ShardDone:
    """Return what a worker says of a shard."""
    return ShardDone(task, pixels, 0, Gaps(0, ()), 0, 0.01, 0.02, 0.003, 10**9)


class Waiting:
    """A worker whose shards take a while, one after the other, and nothing else."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._one = seconds, threading.Lock()

    def __call__(self, index: int) -> ShardDone:
        """Wait."""
        if self._seconds:
            with self._one:
                time.sleep(self._seconds)
        return done(index)

    def close(self) -> None:
        """Do nothing."""


def bookkeeping(shards: int) -> dict[str, float]:
    """Return microseconds a shard and MiB in all that the run's own process takes."""
    rows = round(shards**0.5)
    grid = ShardGrid((rows * SIDE, rows * SIDE), 1, SIDE)
    before, started = _peak(), time.process_time()
    tally = Tally(missing=list(range(len(grid))), kept=[], kept_pixels=0, pixels=0)
    plan = mock.Mock(pixels=grid.planes * rows**2 * SIDE**2)
    with tempfile.TemporaryDirectory() as folder:
        _compute_shards(mock.Mock(grid=grid, output=folder), plan, tally, AtOnce(grid), lambda *_: None)
    seconds = time.process_time() - started
    assert tally.pixels == plan.pixels
    each = round(1e6 * seconds / len(grid), 2)
    return {"shards": len(grid), "microseconds_a_shard": each, "mebibytes": round(_peak() - before)}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass
class Run:
    """What a run of shards on Ray took."""

    start: float
    """Seconds until the first shard was done."""
    rest: float
    """Seconds from then on."""
    driver: float
    """Processor seconds of the driver in the latter."""
    idle: float
    """Share of the workers' time with nothing to do."""


def on_ray(workers: int, shards: int, seconds: float) -> Run:
    """Have shards done on Ray."""
    first: list[tuple[float, float]] = []

    def watch(_: Any) -> None:
        if not first:
            first.append((time.perf_counter(), time.process_time()))

    started = time.perf_counter()
    with shared_executor(workers, None, run="benchmark") as executor:
        run_shards(partial(Waiting, seconds), range(shards), executor, watch=watch)
        ended = time.perf_counter(), time.process_time()
        idle = idle_share(executor.spent)
    return Run(first[0][0] - started, ended[0] - first[0][0], ended[1] - first[0][1], round(idle or 0.0, 3))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--shards", type=int, default=1_000_000, help="of the bookkeeping")
    parser.add_argument("--tasks", type=int, default=5_000, help="of each number of workers")
    parser.add_argument("--waits", type=float, nargs="+", default=[0.02, 0.2], help="seconds that a shard takes")
    given = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    busy = hardware()
    result: dict[str, Any] = {"bookkeeping": bookkeeping(given.shards)}
    runs = {workers: on_ray(workers, given.tasks, 0) for workers in WORKERS}
    result["tasks"] = {
        str(workers): {
            "start_seconds": round(run.start, 2),
            "shards_a_second": round(given.tasks / run.rest),
            "driver_ms_a_shard": round(1000 * run.driver / given.tasks, 3),
        }
        for workers, run in runs.items()
    }
    result["predictions"] = [
        _predicted(workers, wait, runs[workers].rest / given.tasks) for wait in given.waits for workers in WORKERS
    ]
    off = [abs(found["ratio"] - 1) for found in result["predictions"]]
    errors = {"median_error": round(statistics.median(off), 3), "largest_error": round(max(off), 3)}
    result |= {"tasks_of_each": given.tasks, **errors}
    write_result("scale", result, busy)


def _predicted(workers: int, wait: float, driver: float) -> dict[str, float]:
    """Return how long shards take that wait, by the model and by the clock; ``driver`` is what each costs it."""
    shards = int(workers * SECONDS / wait)
    model = max(shards * driver, shards * wait / workers)
    run = on_ray(workers, shards, wait)
    return {
        "workers": workers,
        "shard_seconds": wait,
        "shards": shards,
        "predicted": round(model, 2),
        "measured": round(run.rest, 2),
        "ratio": round(run.rest / model, 3),
        "idle": run.idle,
    }


if __name__ == "__main__":
    main()
