"""Share out small pieces of work, a tile or a strip each, among a few threads of this process.

The pieces' work leaves the interpreter's lock: decoding, copying, file access. All callers of a process use the same
helpers, so there are never more threads at it than the process may use, besides the callers themselves. Which thread does
a piece is of no matter to what comes out.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from slideseg.machine import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class Helpers:
    """The threads of a process that help whoever has pieces to share out; they are started when first needed."""

    def __init__(self, threads: int | None = None) -> None:
        """Take so many ``threads`` for one piece of work, the caller's own included; None for one a core."""
        self.threads = threads or usable_cores()
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None

    def share(self, work: Callable[[T], object], pieces: Iterable[T]) -> None:
        """Call ``work`` for each of ``pieces``, begun in their order; return when all are done.

        What ``work`` raises is raised; pieces that were not begun by then are left.
        """
        waiting = deque(pieces)
        others = min(self.threads, len(waiting)) - 1
        if others < 1:
            for piece in waiting:
                work(piece)
            return
        helping = [self._started().submit(_work_off, work, waiting) for _ in range(others)]
        try:
            _work_off(work, waiting)
        finally:
            waiting.clear()
            # those that are busy elsewhere are not waited for: nothing is left for them
            begun = [future for future in helping if not future.cancel()]
            failures = [error for future in begun if (error := future.exception()) is not None]
        if failures:
            raise failures[0]

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads - 1, "share")
            return self._pool


def _work_off(work: Callable[[T], object], waiting: deque[T]) -> None:
    while True:
        try:
            piece = waiting.popleft()
        except IndexError:
            return
        work(piece)


_helpers = Helpers()


def use_threads(threads: int | None) -> None:
    """Have this process use so many threads for one piece of work; None for one a core.

    To be called before anything is shared out, where several processes have a machine to themselves.
    """
    global _helpers
    _helpers = Helpers(threads)


def threads() -> int:
    """Return how many threads this process uses for one piece of work."""
    return _helpers.threads


def share(work: Callable[[T], object], pieces: Iterable[T]) -> None:
    """Call ``work`` for each of ``pieces`` with this process's `Helpers`; return when all are done."""
    _helpers.share(work, pieces)


# threads don't live on in a forked child: it starts its own
os.register_at_fork(after_in_child=lambda: use_threads(_helpers.threads))
