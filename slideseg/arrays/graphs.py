"""Whole shards as tasks of Dask's graphs on this machine's threads; on a cluster as tasks of its workers."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from slideseg.tasks.base import Done
from slideseg.tasks.in_process import light_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from slideseg.tasks.base import Counted, Executor, Failed, Worker, WorkerTime

BATCH = 512
"""Tasks in a graph: enough to hide Dask's start, few enough that a slide of any size needs little memory."""


class GraphExecutor:
    """Runs light tasks in Dask's graphs, or as another executor runs its own; a task makes its worker, which must be cheap."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __enter__(self) -> Self:
        """Do nothing: the other executor is entered."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the other executor ends what it started."""

    @property
    def is_here(self) -> bool:
        """Whether it is this process that works."""
        return self._executor.is_here

    def count(self, what: Counted, number: int = 1) -> None:
        """Have the other executor count something."""
        self._executor.count(what, number)

    @property
    def spent(self) -> tuple[WorkerTime, ...]:
        """How the other executor's workers spent their time."""
        return self._executor.spent

    def run(self, make_worker: Callable[[], Worker], tasks: Sequence[int], *, light: bool = True) -> Generator[Done | Failed]:
        """Yield one event a task, graph by graph; in this process any error ends the run and is raised as it was."""
        if not light:
            msg = "Dask's tasks know nothing of GPUs"
            raise ValueError(msg)
        return self._graphs(make_worker, tasks) if self.is_here else self._executor.run(make_worker, tasks, light=True)

    def _graphs(self, make_worker: Callable[[], Worker], tasks: Sequence[int]) -> Generator[Done | Failed]:
        from dask.base import compute  # noqa: PLC0415 - a second to import
        from dask.delayed import delayed  # noqa: PLC0415

        waiting = iter(tasks)
        while batch := list(islice(waiting, BATCH)):
            graph = [delayed(_do, pure=False)(make_worker, task) for task in batch]
            results = compute(*graph, scheduler="threads", pool=light_threads())  # type: ignore[no-untyped-call]
            yield from (Done(task, result) for task, result in zip(batch, results, strict=True))


def _do(make_worker: Callable[[], Worker], task: int) -> Any:
    return make_worker()(task)
