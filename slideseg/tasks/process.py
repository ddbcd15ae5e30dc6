"""What a pool needs to know of the processes that it hires, and what these tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from slideseg.tasks.base import Worker


class NotMadeError(Exception):
    """A worker could not be made, for the error that it is given: a cause would not travel."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True)
class Ready:
    """What a process says of itself once it is there."""

    machine: str
    """Which machine it is on; no two have one name."""
    complaint: str | None = None
    """Why it is not fit for work, such as another version; None if it is."""
    host: str = ""
    """What people call the machine."""


@dataclass(frozen=True, slots=True)
class Returned:
    """A call that ended well."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """A call that raised an error."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Died:
    """A call whose process is gone."""

    reason: str


Outcome = Returned | Raised | Died


class Process(Protocol):
    """A process that makes workers and does their tasks; what came of a call is told from any thread, exactly once."""

    def ready(self, then: Callable[[Outcome], None]) -> None:
        """Tell when it can take tasks, with a `Ready`."""
        ...

    def ping(self, then: Callable[[Outcome], None]) -> None:
        """Tell that it is alive, whatever it is at."""
        ...

    def run(self, batch: int, make_worker: Any, tasks: Sequence[int], then: Callable[[Outcome], None]) -> None:
        """Do tasks, one after the other, with the batch's worker, which is made first; raises `NotMadeError` if it can't be.

        Returns what came of those that it came to in a `MOMENT`, at least the first: `Returned`, or a `SlideError` as `Raised`.
        Any other error is that of all.
        """
        ...

    def forget(self, batch: int) -> None:
        """Close the worker of a batch that has ended."""
        ...

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        ...


class Employer(Protocol):
    """Where processes come from."""

    @property
    def most(self) -> int:
        """Processes at most."""
        ...

    @property
    def in_flight(self) -> int:
        """Tasks under way in one at most."""
        ...

    @property
    def wait(self) -> float:
        """Seconds that the first one is waited for."""
        ...

    @property
    def grace(self) -> float:
        """Seconds until it is known whether a process died alone or with its machine."""
        ...

    def hire(self, avoid: Collection[str]) -> Process:
        """Start a process, on any machine but some."""
        ...

    def name_of(self, machine: str) -> str:
        """Return what people call a machine."""
        ...

    def pack(self, make_worker: Callable[[], Worker]) -> Any:
        """Return what travels to the processes in its place."""
        ...

    def is_gone(self, machine: str) -> bool:
        """Tell whether a machine has left."""
        ...

    def has_others(self, machines: Collection[str]) -> bool:
        """Tell whether a process could be on another machine than these."""
        ...

    def needs(self) -> str:
        """Say what a process needs."""
        ...

    def room(self) -> str:
        """Say what there is, and what of it is free."""
        ...
