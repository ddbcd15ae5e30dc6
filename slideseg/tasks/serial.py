"""Run the tasks in this process: one worker, a few threads so that reading and writing overlap with computing."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING, Any

from slideseg.errors import SlideError
from slideseg.tasks.base import IN_FLIGHT, Done, Failed, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence


class SerialExecutor:
    """The reference executor."""

    def check(self) -> None:
        """Do nothing: this process is there."""

    def run(self, make_worker: Callable[[], Worker], tasks: Sequence[int]) -> Generator[Done | Failed]:
        """Yield one event a task, as they end."""
        worker, waiting = make_worker(), iter(tasks)
        pool = ThreadPoolExecutor(IN_FLIGHT, "shard")
        try:
            running = {pool.submit(worker, task): task for task in islice(waiting, IN_FLIGHT)}
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield _event(running.pop(future), future)
                    running |= {pool.submit(worker, task): task for task in islice(waiting, 1)}
        finally:
            worker.close()
            pool.shutdown(wait=False, cancel_futures=True)


def _event(task: int, future: Future[Any]) -> Done | Failed:
    try:
        return Done(task, future.result())
    except SlideError as error:
        return Failed(task, str(error))
