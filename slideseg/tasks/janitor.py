"""Clean up behind a driver that was killed: end the Ray that it had started, and remove its folder.

A program of its own, which imports nothing of slideseg: ``python -I -S janitor.py FOLDER``. It waits until its standard input
ends. The other end of that is the driver's alone, so it ends with the driver, however that ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

PROCESSES = Path("/proc")
"""Where Linux tells of processes; elsewhere only the folder is removed, and Ray's processes end by themselves in a minute."""
PATIENCE = 3.0
"""Seconds that processes have to end when they are asked to."""


def main() -> None:
    """Wait for the driver's end, then clean up."""
    folder = sys.argv[1]
    os.read(sys.stdin.fileno(), 1)
    if os.path.exists(folder):
        end_processes(folder)
        shutil.rmtree(folder, ignore_errors=True)


def end_processes(folder: str) -> None:
    """End the processes that were started with a path in ``folder``: Ray's servers, with which its workers go."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        waiting = time.monotonic() + PATIENCE
        found = processes_of(folder)
        for process in found:
            _send(process, how)
        while found and time.monotonic() < waiting:
            time.sleep(0.1)
            found = processes_of(folder)
        if not found:
            return


def processes_of(folder: str) -> list[int]:
    """Return the numbers of this user's other processes that name a path in ``folder`` or have a file open there.

    Some of Ray's give themselves another command line, but all write logs.
    """
    inside = os.path.join(folder, "")
    numbers = [int(entry.name) for entry in PROCESSES.glob("[0-9]*")]
    return [number for number in numbers if number != os.getpid() and _uses(PROCESSES / str(number), inside)]


def _uses(process: Path, inside: str) -> bool:
    try:
        if process.stat().st_uid != os.geteuid():
            return False
        if os.fsencode(inside) in (process / "cmdline").read_bytes():
            return True
        return any(_target_of(file).startswith(inside) for file in (process / "fd").iterdir())
    except OSError:  # it has ended
        return False


def _target_of(file: Path) -> str:
    try:
        return os.readlink(file)
    except OSError:  # it was closed
        return ""


def _send(number: int, how: signal.Signals) -> None:
    try:
        os.kill(number, how)
    except OSError:  # it has ended
        return


if __name__ == "__main__":
    main()
