"""The results that are shown: each is opened when somebody asks for it, and those used last are kept open."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from slideseg.result.result import open_result
from slideseg.viewer.shard_cache import Caches
from slideseg.viewer.shown import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST_OPEN = 8
"""Slides whose files are kept open though nobody asks for them just now."""


@dataclass(slots=True)
class _Opened:
    shown: Shown
    users: int = 0


class Slides:
    """Results by number. Serves several threads at once."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        failed: Mapping[str, Mapping[str, Any]] | None = None,
        has_sheet: bool = False,
        editable: bool = False,
        most_open: int = MOST_OPEN,
    ) -> None:
        self.urls = tuple(urls)
        """Where they lie."""
        self.failed = failed or {}
        """Why some of them are not there: rows of `slideseg.cohort.failed.failed_rows`."""
        self.has_sheet = has_sheet
        """Whether they are shown together, on a sheet; else there is only one."""
        self.editable = editable
        """Whether the page may change the lists of edits beside them."""
        self._most_open, self._caches = most_open, Caches()
        self._opened: OrderedDict[int, _Opened] = OrderedDict()
        self._lock = Lock()
        self._opening = [Lock() for _ in range(most_open)]

    def __len__(self) -> int:
        return len(self.urls)

    @property
    def open_ones(self) -> tuple[int, ...]:
        """Numbers of those that are open, the one used last at the end."""
        return tuple(self._opened)

    @contextmanager
    def open(self, number: int) -> Iterator[Shown]:
        """Give a result to look at, open as long as the block lasts.

        Raises:
            ResultError: if it is unfinished or damaged.
        """
        opened = self._taken(number)
        try:
            yield opened.shown
        finally:
            with self._lock:
                opened.users -= 1
            self._close_others()

    def close(self) -> None:
        """Release all slides' files."""
        with self._lock:
            opened = [one.shown for one in self._opened.values()]
            self._opened.clear()
        for shown in opened:
            shown.close()

    def _taken(self, number: int) -> _Opened:
        """Return a result that has one user more, so that nobody closes it."""
        opened = self._taken_again(number)
        if opened is not None:
            return opened  # whatever else is being opened just now
        with self._opening[number % len(self._opening)]:
            opened = self._taken_again(number)
            if opened is not None:
                return opened
            opened = _Opened(Shown(open_result(self.urls[number]), self._caches, editable=self.editable), users=1)
            with self._lock:
                self._opened[number] = opened
            return opened

    def _taken_again(self, number: int) -> _Opened | None:
        with self._lock:
            opened = self._opened.get(number)
            if opened is not None:
                opened.users += 1
                self._opened.move_to_end(number)
            return opened

    def _close_others(self) -> None:
        """Close those that nobody looks at, the one used longest ago first, until few enough are open."""
        with self._lock:
            too_many = len(self._opened) - self._most_open
            idle = [number for number, one in self._opened.items() if one.users == 0]
            closed = [self._opened.pop(number).shown for number in idle[: max(0, too_many)]]
        for shown in closed:
            shown.close()
