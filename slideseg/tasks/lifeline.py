"""The processes that a run hangs on: where its Ray is gone, Ray ends this process, late and without a word."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Protocol

from slideseg.errors import RunError, explain
from slideseg.tasks.janitor import PROCESSES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

PROBE_SECONDS = 2.0
"""How long a head may take to answer a look."""
LOOK_SECONDS = 1.0
"""Between two looks."""
FIRST_WORD = 10.0
"""Seconds after which it is said that a head does not answer."""
HEAD_SECONDS = 45.0
"""How long a head may be silent: after 60 Ray ends this process, and to leave it takes 5."""


HIRES = b"/ray/autoscaler/_private/monitor.py"
"""In the command line of what hires machines for a cluster."""


class Lifeline(Protocol):
    """What a run hangs on."""

    def check(self) -> None:
        """Look at it.

        Raises:
            RunError: if it is gone.
        """


class OwnRay:
    """The Ray on this machine that this process has started."""

    def __init__(self) -> None:
        self._raylet = _raylet_below()

    def check(self) -> None:
        """See whether the process that manages the workers is there.

        Raises:
            RunError: if it is not.
        """
        if self._raylet is not None and not _runs(self._raylet):
            what = "Ray was killed on this machine, and the workers with it"
            raise RunError(explain(what, try_="the same command again, it goes on from here"))


class Head:
    """The machine that manages a cluster, by the address that all its nodes are connected to."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._answered = time.monotonic()
        self._is_said = False

    def check(self) -> None:
        """See whether it answers, and say so where it does not.

        Raises:
            RunError: if it has not for too long.
        """
        if self._answers():
            self._answered, self._is_said = time.monotonic(), False
            return
        silent = time.monotonic() - self._answered
        what = f"the head of the cluster at {self._address} does not answer"
        if silent >= HEAD_SECONDS:
            try_ = "the same command when it is back, it goes on from here"
            raise RunError(explain(what, got=f"{silent:.0f} s of silence", try_=try_))
        if silent >= FIRST_WORD and not self._is_said:
            log.warning("%s; the run ends if it does not within %d s", what, HEAD_SECONDS)
            self._is_said = True

    def _answers(self) -> bool:
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()
        except OSError:
            return False
        return True


def _raylet_below() -> int | None:
    """Return the number of the process that manages the workers, if this process has started it."""
    return next((int(process.name) for name, process in _children() if name.startswith("raylet")), None)


def end_hiring() -> None:
    """End the part of a Ray of our own that would hire machines: there are none, and to be asked to end it takes 1 s."""
    for _, process in _children():
        with contextlib.suppress(OSError):  # it has ended
            if HIRES in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
                os.waitpid(int(process.name), 0)


def _children() -> Iterator[tuple[str, Path]]:
    """Yield the name of each process that this one has started, and where the system tells of it."""
    for process in PROCESSES.glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):  # it has ended
            name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                yield name, process


def _runs(process: int) -> bool:
    """Tell whether a process of ours is there, and not dead but for our taking note of it."""
    try:
        return (PROCESSES / str(process) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
