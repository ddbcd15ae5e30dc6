"""What this machine offers: cores and memory that a run may really use, also inside a container."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
import resource
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where Linux says what containers and jobs may have, and which of them this process is in."""
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def usable_cores() -> int:
    """Return the number of CPU cores this process may run on."""
    return len(os.sched_getaffinity(0))


def available_memory() -> int:
    """Return the bytes of RAM that can still be taken: the machine's, or what the limits of containers and jobs leave."""
    meminfo = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(meminfo["MemAvailable"].split()[0]) * 1024
    return max(0, min([free, *(limit - used for limit, used in cgroup_numbers("memory.max", "memory.current"))]))


def container_memory() -> int | None:
    """Return the bytes of RAM that a container or a job may have; None for all."""
    return min((limit for limit, _ in cgroup_numbers("memory.max", "memory.current")), default=None)


def container_cores() -> float | None:
    """Return how many cores a container or a job may keep busy at a time; None for all that it sees."""
    return min((quota / period for quota, period in cgroup_numbers("cpu.max")), default=None)


def cgroup_numbers(*files: str) -> list[tuple[int, int]]:
    """Return the two numbers in one or two files of this process's control group, and of those around it, that limit it."""
    found = []
    for folder in _cgroups():
        try:
            first, second = " ".join((folder / file).read_text() for file in files).split()
        except (OSError, ValueError):  # it knows no such limit
            continue
        if first != "max":
            found.append((int(first), int(second)))
    return found


def _cgroups() -> Iterator[Path]:
    """Yield the folder of this process's control group, and those around it; in most containers its own is the only one."""
    try:
        lines = OWN_CGROUP.read_text().splitlines()
    except OSError:
        lines = []
    inner = next((line[len("0::/") :] for line in lines if line.startswith("0::/")), "")
    folder = CGROUPS / inner
    while folder != CGROUPS and CGROUPS in folder.parents:
        yield folder
        folder = folder.parent
    yield CGROUPS


@contextlib.contextmanager
def little_memory(more: int) -> Iterator[None]:
    """Let this process have at most ``more`` bytes beyond what it has now, until the block ends: a `MemoryError` else.

    For reading what somebody made up. All threads are held to it, so the block is to be short.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    limit = int(status["VmData"].split()[0]) * 1024 + more
    with _LIMITING:
        before, most = resource.getrlimit(resource.RLIMIT_DATA)
        usual = [known for known in (before, most) if known != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min([limit, *usual]), most))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (before, most))


_LIMITING = threading.Lock()
"""One at a time, so that what is restored is what was there."""


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``2GiB``, ``800MB`` or ``1000000``.

    >>> parse_size("1.5 GiB"), parse_size("800M")
    (1610612736, 800000000)

    Raises:
        ConfigError: if it is no size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", text.lower())
    if match is None or match[2] not in UNITS or float(match[1]) == 0:
        raise ConfigError(explain("a size can't be read", got=text, want="a number and a unit", try_="2GiB"))
    return int(float(match[1]) * UNITS[match[2]])


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while the block loads modules: they leave none, and a seventh of the time would go into it."""
    was_looking = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_looking:
            gc.enable()


def return_freed_memory() -> None:
    """Have large freed blocks go back to the system at once, so that a process of our own holds what it uses and no more.

    To be called first thing in such a process: in the command and in a Ray worker, never in a caller's.

    The GNU C library otherwise keeps freed blocks of up to 32 MB for later, and tensors of ever other sizes leave gaps there:
    150 to 350 MB of a worker. Getting blocks anew costs time, page by page; PyTorch asks for pages of 2 MB instead of 4 kB
    where ``THP_MEM_ALLOC_ENABLE`` is set before its first tensor, which more than makes up for it (a network of 32 channels:
    11.3 s without either, 12.5 s with the first alone, 10.2 s with both). With another C library this does nothing.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    _set_allocator({M_ARENA_MAX: 1, M_MMAP_MAX: MANY, M_MMAP_THRESHOLD: LARGE_BLOCK, M_TRIM_THRESHOLD: LARGE_BLOCK})
    _OWN.set()


def keep_freed_memory() -> None:
    """Have freed blocks stay with this process for its next tensors, whatever their size; undoes `return_freed_memory`.

    For training, and for a network that segments tile after tile: both free and take the same blocks again and again, and
    getting them anew, page by page, costs a fourth of the time or more (docs/benchmarks.md).
    To be called in a process of our own only. A thread that has taken blocks before goes on having some of its own, unless
    the process was started with `KEEPING`.
    """
    _set_allocator({M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER})


def settle_freed_memory(*, kept: bool) -> None:
    """Keep or return what is freed, as a plan has reckoned, if this process is our own; what is free now is returned."""
    if _OWN.is_set():
        (keep_freed_memory if kept else return_freed_memory)()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _set_allocator(settings: dict[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    for name, value in settings.items() if mallopt is not None else ():
        mallopt(name, value)  # type: ignore[misc]  # there is one


_OWN = threading.Event()
"""Whether this process is our own."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX, NEVER = -1, -3, -4, -8, -1
"""The C library's numbers for these settings (malloc.h)."""
LARGE_BLOCK, MANY = 2**20, 65536
"""Blocks from so many bytes on are the system's own pages, up to so many."""
KEEPING = {"MALLOC_ARENA_MAX": "1"}
"""Environment in which all threads of a process share one heap. Other heaps can't hold blocks of 64 MB and more."""
