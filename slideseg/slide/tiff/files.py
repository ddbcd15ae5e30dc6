"""The files of one slide, opened when they are read; a stack may lie in thousands."""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_OPEN = 64


class Files:
    """Opens files by number and closes those that were used longest ago. Serves several threads at once."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.paths = paths
        """By number."""
        self._open: OrderedDict[int, int] = OrderedDict()
        self._users: dict[int, int] = {}
        self._lock = Lock()
        self._closed = False

    @contextmanager
    def use(self, number: int) -> Iterator[int]:
        """Give the descriptor of one, open as long as the block runs.

        Raises:
            OSError: if it can't be opened.
            ValueError: if the slide was closed.
        """
        descriptor = self._take(number)
        try:
            yield descriptor
        finally:
            with self._lock:
                self._users[number] -= 1
                self._close_some(_MOST_OPEN if not self._closed else 0)

    def size(self, number: int) -> int:
        """Return the bytes of one."""
        with self.use(number) as descriptor:
            return os.fstat(descriptor).st_size

    def close(self) -> None:
        """Close all; one that is being read is closed afterwards."""
        with self._lock:
            self._closed = True
            self._close_some(0)

    def _take(self, number: int) -> int:
        with self._lock:
            if self._closed:
                msg = "the slide was closed"
                raise ValueError(msg)
            if number not in self._open:
                self._open[number] = os.open(self.paths[number], os.O_RDONLY | os.O_CLOEXEC)
            self._open.move_to_end(number)
            self._users[number] = self._users.get(number, 0) + 1
            return self._open[number]

    def _close_some(self, most: int) -> None:
        for number in [number for number in self._open if not self._users[number]]:
            if len(self._open) <= most:
                return
            os.close(self._open.pop(number))
