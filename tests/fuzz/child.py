"""Run what may hang, crash or eat all memory in a forked child, under limits, and say how it ended."""

from __future__ import annotations

import faulthandler
import os
import re
import resource
import signal
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slideseg.errors import SlidesegError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

SECONDS, MEMORY = 5.0, 1 << 30
"""What one file may take."""
End = Literal["done", "refused", "memory", "exception", "hang", "crash"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child's work ended."""

    end: End
    """``done``; ``refused``, in one line, by an error of our own tree; out of ``memory``; another ``exception``; ``hang``;
    ``crash``."""
    value: Any = None
    """What the work returned."""
    detail: str = ""
    """Type and message of an error, or the signal."""
    seconds: float = 0.0
    """Wall time."""
    memory: int = 0
    """Bytes that its peak lay above what it began with."""


def in_child(work: Callable[[], Any], *, seconds: float = SECONDS, memory: int = MEMORY) -> Outcome:
    """Do ``work`` in a fork of this process, which may take so long and so many bytes more than this process has now.

    What it returns has to pickle. Nothing that it does to memory, threads or limits is left behind here.
    """
    reading, writing = Pipe(duplex=False)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on, of forks beside threads
        child = os.fork()
    if not child:
        reading.close()
        _be_child(work, writing, memory)
    writing.close()
    end, value, detail, peak = "hang", None, f"no answer in {seconds:g} s", 0
    with reading, suppress(EOFError):
        end, value, detail, peak = reading.recv() if reading.poll(seconds) else (end, value, detail, peak)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return Outcome(end, value, detail, time.perf_counter() - started, peak)
    _, status = os.waitpid(child, 0)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    how = signal.Signals(number).name if number else f"exit {status >> 8}"
    return Outcome("crash", detail=how, seconds=time.perf_counter() - started)


def _be_child(work: Callable[[], Any], writing: Connection, memory: int) -> None:
    """Do the work, tell how it ended, and leave without cleaning up what the parent has to clean up."""
    code = 1
    try:
        faulthandler.disable()
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)  # codecs print what they make of damage
        begun = _status("VmData"), _status("VmRSS")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (begun[0] + memory, begun[0] + memory))
        end, value, detail = _ended(work)
        writing.send((end, value, detail, max(0, _status("VmHWM") - begun[1])))
        code = 0
    finally:
        os._exit(code)


def _ended(work: Callable[[], Any]) -> tuple[End, Any, str]:
    try:
        return "done", work(), ""
    except SlidesegError as error:
        line = f"{type(error).__name__}: {error}"
        return "exception" if "\n" in line else "refused", None, line
    except MemoryError as error:
        return "memory", None, f"MemoryError: {error}"
    except BaseException as error:  # noqa: BLE001 - any other is a find, whatever it is
        return "exception", None, f"{type(error).__name__}: {error}{_where(sys.exc_info()[2])}"


def _where(trace: Any) -> str:
    """Return file and line of the last two frames."""
    frames = []
    while trace is not None:
        frames.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f" at {' > '.join(frames[-3:])}"


def _status(name: str) -> int:
    """Return a size in bytes that the kernel tells of this process."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
