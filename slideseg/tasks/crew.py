"""What the foreman of a pool keeps in mind: tasks that somebody waits for, and the processes that have some of them."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from slideseg.tasks.base import MOMENT, WorkerTime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.tasks.base import Done, Failed
    from slideseg.tasks.process import Process


MOST_AT_ONCE = 64
"""Tasks in a message at most."""
SHARES = 2
"""Of the tasks that wait a message has at most this part of what would be each place's: at the end all have some."""
AHEAD = 15.0
"""Seconds of work that there is to be: a large slide is planned for some seconds, and nobody is to wait for that."""


@dataclass(order=True)
class Batch:
    """Tasks of one kind, and who waits for them."""

    place: int
    number: int
    make_worker: Any = field(compare=False)
    waiting: deque[int] = field(compare=False)
    events: SimpleQueue[Done | Failed | BaseException] = field(compare=False, default_factory=SimpleQueue)
    deaths: defaultdict[int, list[str]] = field(compare=False, default_factory=lambda: defaultdict(list))
    """The machines on which a task's processes died, by task; there is nothing of the others."""
    seconds: float = field(compare=False, default=MOMENT)
    """How long a process takes for a task, as of late."""
    in_hand: int = field(compare=False, default=0)
    """Tasks that processes have."""
    is_over: bool = field(compare=False, default=False)
    has_left: threading.Event = field(compare=False, default_factory=threading.Event)
    """Set when it is over and no process has a task of it."""
    done: int = field(compare=False, default=0)
    convicted: int = field(compare=False, default=0)
    refused: dict[str, BaseException] = field(compare=False, default_factory=dict)
    """Machines on which no worker could be made, and why."""
    refused_at: float = field(compare=False, default=0.0)

    def take(self, share: int) -> Handful:
        """Return the next tasks: as many as are done in a moment, and not more than a ``share`` of them; a suspect is alone."""
        at_once = max(1, min(share, MOST_AT_ONCE, int(MOMENT / max(self.seconds, 1e-6))))
        tasks = [self.waiting.popleft()]
        while len(tasks) < at_once and self.waiting and not {tasks[0], self.waiting[0]} & self.deaths.keys():
            tasks.append(self.waiting.popleft())
        self.in_hand += len(tasks)
        return Handful(self, tuple(tasks), time.monotonic())

    def put_back(self, tasks: Sequence[int]) -> None:
        """Have tasks done next."""
        self.waiting.extendleft(reversed(tasks))


@dataclass(frozen=True, eq=False, slots=True)
class Handful:
    """Tasks that a process got in one message."""

    batch: Batch
    tasks: tuple[int, ...]
    since: float
    """When it got them."""

    @property
    def is_suspect(self) -> bool:
        """Whether a process has died with one of them before."""
        return any(task in self.batch.deaths for task in self.tasks)

    def note(self, now: float, done: int) -> None:
        """Note how long each of the first so many took: half of what is known is new."""
        self.batch.seconds = (self.batch.seconds + (now - self.since) / done) / 2


class Audience:
    """The batches that somebody waits for; any thread may tell them that there will be no more events."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self.failure: BaseException | None = None
        """Why there will be none any more; None while there can be some."""

    def add(self, batch: Batch) -> None:
        """Have a batch told."""
        self._batches.append(batch)
        if self.failure is not None:
            batch.events.put(self.failure)

    def remove(self, batch: Batch) -> None:
        """Nobody waits for a batch any more."""
        self._batches.remove(batch)

    def fail(self, error: BaseException) -> None:
        """Tell all that are there, and all that will come; the first error counts."""
        self.failure = self.failure or error
        for batch in list(self._batches):
            batch.events.put(error)


@dataclass(eq=False)
class Member:
    """One process as the foreman sees it."""

    process: Process
    machine: str | None = None
    """Where it runs; None until it is ready."""
    host: str = ""
    """What people call that."""
    work: list[Handful] = field(default_factory=list)
    """Tasks that it has."""
    knows: set[int] = field(default_factory=set)
    """Batches that it may have a worker of."""
    is_ended: bool = False
    """Whether it was ended on purpose, by which its other tasks are not to blame."""
    since: float = 0.0
    """When it was ready."""
    until: float | None = None
    """When it went; None while it is there."""
    busy: float = 0.0
    """Seconds in which it had a task."""
    busy_since: float = 0.0
    done: int = 0
    """Tasks that it did."""
    pinged: float = 0.0
    """When it was last asked whether it is alive."""
    heard: float = 0.0
    """When it last answered."""
    is_missed: bool = False
    """Whether it was said that it does not answer."""

    def takes(self, batch: Batch) -> bool:
        """Tell whether it could have tasks of a batch."""
        return self.machine is not None and self.machine not in batch.refused

    def spent(self, now: float) -> WorkerTime:
        """Return how it has spent its time until now."""
        busy = self.busy + (now - self.busy_since if self.work else 0.0)
        there = (self.until or now) - self.since
        return WorkerTime(self.host, self.done, there, min(busy, there))  # of a dead one the last answer comes late


@dataclass(frozen=True, slots=True)
class PoolState:
    """What a pool is at."""

    waiting: int
    """Tasks that no process has."""
    ready: Counter[str]
    """Processes that could have some, by what people call their machine."""
    at_work: Counter[str]
    """Those of them that do."""
    lost: int
    """Tasks so far whose process was gone before they were done."""
    failed: int
    """Tasks so far that could not be done."""
