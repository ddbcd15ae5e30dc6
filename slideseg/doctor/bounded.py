"""A check in a process of its own: it may hang, crash or print what it likes, and the report goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from typing import TYPE_CHECKING

from slideseg.doctor.finding import Finding, bad
from slideseg.errors import SlidesegError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

SECONDS_TO_END = 10.0
"""What a check may take to remove its traces once it is told to end."""


def bounded(
    name: str, check: Callable[..., list[Finding]], *arguments: object, seconds: float, todo: str = ""
) -> list[Finding]:
    """Return what a check finds; that there is no answer in so many ``seconds``, or none at all, is bad.

    Args:
        name: what is looked at.
        check: what looks; a function of a module, as its process imports it.
        arguments: its arguments.
        seconds: how long it may take.
        todo: what to do about it if it does not answer.
    """
    context = multiprocessing.get_context("spawn")
    answer, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, name, check, arguments))
    try:
        process.start()
    except OSError as error:
        return [bad(name, f"no process can be started: {error}", "ulimit -u, and less memory in use")]
    theirs.close()
    try:
        if not answer.poll(seconds):
            return [bad(name, f"no answer in {seconds:g} s", todo)]
        found: list[Finding] = answer.recv()
        process.join(SECONDS_TO_END)
    except EOFError:
        process.join(SECONDS_TO_END)
        return [bad(name, f"the check itself {_end(process.exitcode)}", todo)]
    finally:
        process.terminate()
        process.join(SECONDS_TO_END)
        process.kill()
        process.join()
    return found


def _answer(answer: Connection, name: str, check: Callable[..., list[Finding]], arguments: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which then ends this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the check removes its traces
    os.dup2(2, 1)  # what libraries print is no part of the report
    try:
        found = check(*arguments)
    except (SlidesegError, ImportError, OSError, RuntimeError, ValueError) as error:
        found = [bad(name, str(error) or type(error).__name__)]
    answer.send(found)


def _end(status: int | None) -> str:
    if status is not None and status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
