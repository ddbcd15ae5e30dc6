"""A check in a process of its own: it may hang, crash or print what it likes, and the report goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from slideseg.doctor.finding import Finding, bad

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_TO_END = 10.0
"""What a check may take to remove its traces once it is told to end, and then to be gone."""


def bounded(name: str, check: Callable[..., list[Finding]], *arguments: str, seconds: float, todo: str = "") -> list[Finding]:
    """Return what a check finds; that there is no answer in so many ``seconds``, or none at all, is bad.

    Args:
        name: what is looked at.
        check: what looks; a function of a module, as its process imports it.
        arguments: its arguments.
        seconds: how long it may take.
        todo: what to do about it if it does not answer.
    """
    words = [sys.executable, "-P", "-m", "slideseg.doctor.answer", name, todo, check.__module__, check.__name__, *arguments]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=env, text=True)
    except OSError as error:
        return [bad(name, f"no process can be started: {error}", "ulimit -u, and less memory in use")]
    try:
        told, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return [bad(name, f"no answer in {seconds:g} s", todo)]
    finally:
        _end(process)
    if not told:
        return [bad(name, f"the check itself {_how_it_ended(process.returncode)}", todo)]
    return [Finding(**finding) for finding in json.loads(told)]


def _end(process: subprocess.Popen[str]) -> None:
    """End a process if it is there; one that waits for a disk that is gone can't be ended, and is left."""
    for end in (process.terminate, process.kill):
        with contextlib.suppress(subprocess.TimeoutExpired):
            end()
            process.wait(SECONDS_TO_END)
    if process.stdout is not None:
        process.stdout.close()


def _how_it_ended(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
