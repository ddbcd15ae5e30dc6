"""How tasks are run, whatever they are: a worker is made once, called many times, and may die.

An executor knows nothing of slides. It is given how to make a worker and the numbers of the tasks, and yields what became
of each, in whatever order they end. Contract (``tests/contracts/test_executors.py``):

* every task yields exactly one `Done` or `Failed`, whatever dies on the way;
* a task that its worker refuses with a `SlideError` fails alone, the rest goes on;
* any other error ends the run and is raised as it was;
* a task whose worker died three times is given up (`Failed`), so one bad task can't take the run with it;
* leaving the loop early (an exception, Ctrl-C, ``close()``) stops the work on these tasks, and on no others;
* what it starts lives until its own ``with`` block ends: the same workers for all passes over all slides.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

IN_FLIGHT = 2
"""Tasks under way in one worker: while one is computed the other is read or written."""
IN_FLIGHT_ON_GPU = 4
"""The same where a GPU computes: one is read, one waits there, one is computed and one is written."""


def in_flight(gpus: int) -> int:
    """Return how many tasks are under way in a worker that has so many GPUs for itself."""
    return IN_FLIGHT_ON_GPU if gpus else IN_FLIGHT


MOMENT = 1.0
"""Seconds that tasks of one message to a worker may take together: then the message costs nothing, and nobody has to wait for
what is done."""
STRIKES = 3
"""A task is given up after its worker died so often."""
WAIT_FOR_WORKERS = 600.0
"""Seconds that a cluster without room is waited for, unless the user says otherwise."""
Counted = Literal["pixels", "shards", "slides", "slides_failed"]
"""What a run counts for whoever follows it: pixels and shards that were segmented, slides that are done, that failed."""
_EXPENDABLE = threading.Event()


def be_expendable() -> None:
    """Say that this process is one that is replaced when it dies."""
    _EXPENDABLE.set()


def is_expendable() -> bool:
    """Tell whether this process is one that is replaced when it dies; the command itself is not."""
    return _EXPENDABLE.is_set()


class Worker(Protocol):
    """One process's tool: made once, called with a task's number from several threads at once."""

    def __call__(self, task: int, /) -> Any:
        """Do a task and return what is to be said of it; must not matter if done twice."""
        ...

    def close(self) -> None:
        """Stop what is under way as soon as possible."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """A task that was done."""

    task: int
    """Its number."""
    result: Any
    """What the worker returned."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that could not be done."""

    task: int
    """Its number."""
    error: str
    """Why, in one line."""


@dataclass(frozen=True, slots=True)
class Node:
    """What a machine of a cluster has for workers."""

    cores: float
    gpus: float
    memory: int
    """Bytes of RAM."""
    gpu_kinds: tuple[str, ...] = ()
    """What its GPUs are called, where that is known."""


@dataclass(frozen=True, slots=True)
class WorkerTime:
    """How a worker process spent its time, from its being ready to its end."""

    node: str
    """What people call its machine."""
    tasks: int
    """Tasks that it did: a task is a shard in one pass over a slide."""
    seconds: float
    """How long it was there."""
    busy: float
    """Seconds in which it had a task."""

    @property
    def idle(self) -> float:
        """Which share of its time it had none."""
        return idle_share([self])


def idle_share(workers: Sequence[WorkerTime]) -> float:
    """Return which share of their time workers had no task; 0 where there are none."""
    there = sum(worker.seconds for worker in workers)
    return max(0.0, 1.0 - sum(worker.busy for worker in workers) / there) if there else 0.0


class Executor(Protocol):
    """Runs tasks on workers, for as long as its ``with`` block lasts."""

    def __enter__(self) -> Self:
        """See whether workers can be had at all, before anything is written.

        Raises:
            ClusterError: if they can't.
        """
        ...

    def __exit__(self, *_: object) -> None:
        """End what was started."""
        ...

    def run(self, make_worker: Callable[[], Worker], tasks: Sequence[int], *, light: bool = False) -> Generator[Done | Failed]:
        """Yield one event a task, as they end.

        ``light`` work is reading and writing: it needs no GPU, and more of it goes on at a time in one process.
        """
        ...

    def count(self, what: Counted, number: int = 1) -> None:
        """Count something for whoever follows the run, if anybody can."""
        ...

    @property
    def is_here(self) -> bool:
        """Whether light work is done by this process."""
        ...

    @property
    def spent(self) -> tuple[WorkerTime, ...]:
        """How the workers of other processes spent their time until now, those that are gone too."""
        ...


class SharedExecutor(Executor, Protocol):
    """An executor whose workers several have tasks for at the same time."""

    def at(self, place: int) -> Executor:
        """Return this executor as one of several sees it who share it: tasks of a lower place come first."""
        ...

    @property
    def is_hungry(self) -> bool:
        """Whether more tasks could be begun than there are, now or within the time that it takes to come by more."""
        ...

    @property
    def failure(self) -> BaseException | None:
        """Why there will be no workers any more; None while there can be some."""
        ...
