"""Workers for testing executors: what happens at which task is a table."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from slideseg.errors import RunError, SlideError


@dataclass
class ScriptedWorker:
    """Returns ten times the task's number, unless its table says otherwise; counts attempts in files, across processes."""

    folder: str
    """Where attempts are counted."""
    bad: tuple[int, ...] = ()
    """Tasks refused with a `SlideError`."""
    broken: tuple[int, ...] = ()
    """Tasks that end the run with a `RunError`."""
    deaths: dict[int, int] = field(default_factory=dict)
    """How often a task kills its process before it succeeds."""
    seconds: float = 0.0
    """How long a task takes."""
    refuses: str = ""
    """Why the worker can't even be made."""

    def __post_init__(self) -> None:
        if self.refuses:
            raise RunError(self.refuses)
        self._stopped = threading.Event()

    def __call__(self, task: int) -> int:
        """Do a task."""
        attempts = Path(self.folder, str(task))
        with attempts.open("a") as file:
            file.write("x")
        if attempts.stat().st_size <= self.deaths.get(task, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if task in self.bad:
            msg = f"tile {task} is damaged"
            raise SlideError(msg)
        if task in self.broken:
            msg = f"the disk is full at {task}"
            raise RunError(msg)
        self._stopped.wait(self.seconds) if self.seconds else time.sleep(0)
        return 10 * task

    def close(self) -> None:
        """Stop waiting tasks."""
        self._stopped.set()
        Path(self.folder, "closed").touch()
