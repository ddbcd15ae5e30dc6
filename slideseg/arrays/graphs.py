"""Whole shards as tasks of Dask's graphs: on this machine's threads, or on the Ray that a run has."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from slideseg.machine import usable_cores
from slideseg.tasks.base import Done

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from slideseg.tasks.base import Executor, Worker

BATCH = 512
"""Tasks in a graph: enough to hide Dask's start, few enough that a slide of any size needs little memory."""
MOST_THREADS = 8
"""Tasks that run at once in this process at most: each holds its shards in memory."""


class GraphExecutor:
    """Runs tasks in Dask's graphs where another executor runs its own; a task makes its worker, which must be cheap."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __enter__(self) -> Self:
        """Do nothing: the other executor is entered."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the other executor ends what it started."""

    def run(self, make_worker: Callable[[], Worker], tasks: Sequence[int], *, light: bool = True) -> Generator[Done]:
        """Yield one event a task, graph by graph; any error ends the run and is raised as it was."""
        from dask.base import compute  # noqa: PLC0415 - a second to import
        from dask.delayed import delayed  # noqa: PLC0415

        if not light:
            msg = "Dask's tasks know nothing of GPUs"
            raise ValueError(msg)
        settings = {"scheduler": self.dask_scheduler(), "num_workers": min(MOST_THREADS, usable_cores())}
        waiting = iter(tasks)
        while batch := list(islice(waiting, BATCH)):
            graph = [delayed(_do, pure=False)(make_worker, task) for task in batch]
            results = compute(*graph, **settings)  # type: ignore[no-untyped-call]
            yield from (Done(task, result) for task, result in zip(batch, results, strict=True))

    def dask_scheduler(self) -> Any:
        """Return the other executor's."""
        return self._executor.dask_scheduler()


def _do(make_worker: Callable[[], Worker], task: int) -> Any:
    return make_worker()(task)
