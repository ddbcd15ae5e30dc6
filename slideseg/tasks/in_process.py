"""Run the tasks in this process: one worker, a few threads so that reading and writing overlap with computing."""

from __future__ import annotations

import os
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from slideseg.errors import SlideError
from slideseg.machine import usable_cores
from slideseg.tasks.base import IN_FLIGHT, Done, Failed, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from slideseg.tasks.base import Counted, WorkerTime

MOST_THREADS = 8
"""Light tasks that run at once at most: reading and writing gain nothing from more, and each holds its shards in memory."""


_here = threading.local()
"""Knows of the threads of `light_threads` that they are of them."""


@dataclass(frozen=True, slots=True)
class InProcessExecutor:
    """The reference executor."""

    threads: int | None = None
    """Light tasks that run at once; None for one a core, up to `MOST_THREADS`."""
    in_flight: int = IN_FLIGHT
    """Other tasks under way at once."""

    def __enter__(self) -> Self:
        """Do nothing: this process is there."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: no thread outlives `run`."""

    def run(self, make_worker: Callable[[], Worker], tasks: Sequence[int], *, light: bool = False) -> Generator[Done | Failed]:
        """Yield one event a task, as they end."""
        worker, waiting = make_worker(), iter(tasks)
        at_once = self.light_threads if light else self.in_flight
        shares = light and self.threads is None and not hasattr(_here, "is_light")  # who waits in there must not wait for it
        own = None if shares else ThreadPoolExecutor(at_once, "shard")
        pool = own or light_threads()
        running: dict[Future[Any], int] = {}
        try:
            running |= {pool.submit(worker, task): task for task in islice(waiting, at_once)}
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield _event(running.pop(future), future)
                    running |= {pool.submit(worker, task): task for task in islice(waiting, 1)}
        finally:
            worker.close()
            begun = [future for future in running if not future.cancel()]
            if light:
                wait(begun)
            if own is not None:
                own.shutdown(wait=False)  # a forward pass that nobody needs is not waited for

    @property
    def light_threads(self) -> int:
        """How many light tasks run at once."""
        return self.threads or min(MOST_THREADS, usable_cores())

    def count(self, what: Counted, number: int = 1) -> None:
        """Do nothing: who started this process sees its progress."""

    @property
    def is_here(self) -> bool:
        """Return that it is this process that works."""
        return True

    @property
    def spent(self) -> tuple[WorkerTime, ...]:
        """Return nothing: there are no others."""
        return ()


@cache
def light_threads() -> ThreadPoolExecutor:
    """Return the threads that do all light work of this process: the memory it takes does not grow with who has some."""
    return ThreadPoolExecutor(min(MOST_THREADS, usable_cores()), "light", lambda: setattr(_here, "is_light", True))


os.register_at_fork(after_in_child=light_threads.cache_clear)  # threads don't live on in a forked child
IN_PROCESS = InProcessExecutor()
"""It has no state, so one will do."""


def _event(task: int, future: Future[Any]) -> Done | Failed:
    try:
        return Done(task, future.result())
    except SlideError as error:
        return Failed(task, str(error))
