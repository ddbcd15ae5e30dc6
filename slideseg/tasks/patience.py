"""How long a pool waits for processes that it has not got, or that do not answer, and what it says meanwhile."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from slideseg.errors import ClusterError, explain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slideseg.tasks.crew import Member
    from slideseg.tasks.process import Employer

log = logging.getLogger(__name__)

FIRST_WORD, NEXT_WORD = 10.0, 60.0
"""Seconds after which it is said that workers are waited for, and said again."""
PING_SECONDS = 30.0
"""How often processes are asked whether they are alive."""
PINGS = 10
"""So many times in these seconds it is looked who is to be asked."""
MISSED_SECONDS, SILENT_SECONDS = 60.0, 240.0
"""When it is said that one does not answer, and when it is ended."""


class Wait:
    """The wait for a first process, while there is work and nobody to do it."""

    def __init__(self, employer: Employer) -> None:
        self._employer = employer
        self._since: float | None = None
        self._next_word = 0.0

    def goes_on(self, is_so: bool) -> list[float]:
        """Begin to wait, or go on, or end it; return when `look` has something to do."""
        if not is_so:
            self._since = None
            return []
        if self._since is None:
            self._since = time.monotonic()
            self._next_word = self._since + FIRST_WORD
        return [self._next_word, self._since + self._employer.wait]

    def look(self) -> None:
        """Say what is waited for, if it is time.

        Raises:
            ClusterError: if no process could be had for too long.
        """
        if self._since is None:
            return
        employer, waited = self._employer, time.monotonic() - self._since
        if waited >= employer.wait:
            what = f"no worker could be had in {waited:.0f} s"
            try_ = "when the cluster is free, or a longer --wait-for-workers"
            raise ClusterError(explain(what, got=employer.room(), want=f"{employer.needs()} for each", try_=try_))
        if time.monotonic() >= self._next_word:
            log.warning("waiting for workers for %.0f s: each needs %s; %s", waited, employer.needs(), employer.room())
            self._next_word = time.monotonic() + NEXT_WORD


def silent(members: Iterable[Member]) -> list[Member]:
    """Return those at work that have not answered for too long; say once of each that it does not, and what will be done."""
    found = []
    for member in [member for member in members if member.work]:
        silence = time.monotonic() - member.heard
        if silence >= SILENT_SECONDS:
            log.warning("a worker on %s is silent and is ended; what it had in hand is done again", member.host)
            found.append(member)
        elif silence >= MISSED_SECONDS and not member.is_missed:
            member.is_missed = True
            log.warning("a worker on %s does not answer; after %.0f s it is ended", member.host, SILENT_SECONDS)
    return found
