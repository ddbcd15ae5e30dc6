"""How much room this machine leaves a run: memory, shared memory, temporary files, open files and processes."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from pathlib import Path

from slideseg.doctor.finding import GIB, MIB, Finding, bad, note, ok, size
from slideseg.machine import available_memory, cgroup_numbers, container_memory, usable_cores
from slideseg.tasks.private_folder import LONGEST_TEMP

LEAST_MEMORY = GIB
"""Of a worker with small tiles."""
SHARED = Path("/dev/shm")
LEAST_SHARED = 100 * MIB
"""What our Ray takes there, rounded up."""
LEAST_TEMP, GOOD_TEMP = 100 * MIB, 2 * GIB
LEAST_FILES, GOOD_FILES = 256, 1024
LEAST_PROCESSES, GOOD_PROCESSES = 256, 1024
"""Threads count: Ray has some 200 with one worker."""


def memory() -> list[Finding]:
    """Look how much can still be taken."""
    name, free, limit = "memory", available_memory(), container_memory()
    found = f"{size(free)} free" + (f", the container's limit is {size(limit)}" if limit is not None else "")
    if free < LEAST_MEMORY:
        return [bad(name, found, "another machine, or a higher limit: a worker takes 1 GiB and more")]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        found = f"{found}, but a process may have no more addresses than {size(soft)}, and with a GPU it takes far more"
        return [note(name, found, "ulimit -v unlimited")]
    if (workers := free // LEAST_MEMORY) < usable_cores():
        return [note(name, f"{found}, less than 1 GiB a core", f"--workers {workers}")]
    return [ok(name, found)]


def shared_memory() -> list[Finding]:
    """Look whether Ray has room for what its processes share."""
    name, todo = "shared memory", "docker run --shm-size=1g; on Kubernetes an emptyDir with medium: Memory"
    try:
        tempfile.TemporaryFile(dir=SHARED).close()
        space = shutil.disk_usage(SHARED)
    except OSError as error:
        return [bad(name, f"{SHARED} can't be used, which Ray needs: {error.strerror}", todo)]
    found = f"{size(space.free)} free of {size(space.total)} in {SHARED}"
    return [ok(name, found) if space.free >= LEAST_SHARED else note(name, f"{found}; Ray takes a slower folder", todo)]


def temporary() -> list[Finding]:
    """Look at the folder of temporary files."""
    name = "temporary files"
    try:
        folder = tempfile.gettempdir()
        space, mounted = shutil.disk_usage(folder), os.statvfs(folder)
    except OSError as error:
        return [bad(name, f"no folder can be written: {error.strerror}", "export TMPDIR=, a folder of yours")]
    wanted, found = os.environ.get("TMPDIR"), f"{size(space.free)} free in {folder}"
    if wanted and os.path.realpath(wanted) != os.path.realpath(folder):
        return [bad(name, f"TMPDIR={wanted} can't be written", f"mkdir -p {wanted}, or unset TMPDIR")]
    if space.free < LEAST_TEMP:
        return [bad(name, found, "export TMPDIR=, a folder with more room")]
    if len(os.fsencode(folder)) > LONGEST_TEMP:
        return [_too_long(name, folder)]
    if mounted.f_flag & os.ST_NOEXEC:
        return [note(name, f"{found}, mounted noexec: libraries that unpack code there fail", "export TMPDIR=, another folder")]
    return [ok(name, found) if space.free >= GOOD_TEMP else note(name, found, "export TMPDIR=, a folder with more room")]


def _too_long(name: str, folder: str) -> Finding:
    found = f"the name of {folder} is too long for Ray's sockets"
    todo = f"export TMPDIR=, a folder whose name has at most {LONGEST_TEMP} letters"
    if os.access("/tmp", os.W_OK | os.X_OK):
        return note(name, f"{found}, which go to /tmp", todo)
    return bad(name, f"{found}, and /tmp can't be written", todo)


def limits() -> list[Finding]:
    """Look how many files and processes there may be, and how long a file."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    length, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    found = [
        _enough("open files", files, LEAST_FILES, GOOD_FILES, "ulimit -n 65536"),
        _enough("processes", _processes(), LEAST_PROCESSES, GOOD_PROCESSES, "ulimit -u; in a container a higher pids limit"),
    ]
    if length != resource.RLIM_INFINITY:
        found.append(bad("length of files", f"at most {size(length)}", "ulimit -f unlimited"))
    return found


def _enough(name: str, there: int, least: int, good: int, todo: str) -> Finding:
    if there == resource.RLIM_INFINITY:
        return ok(name, "no limit")
    if there < least:
        return bad(name, f"at most {there:,}", todo)
    return ok(name, f"at most {there:,}") if there >= good else note(name, f"at most {there:,}", todo)


def _processes() -> int:
    """Return how many more there may be, threads included; -1 for no limit."""
    ours, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    limits = [most - now for most, now in cgroup_numbers("pids.max", "pids.current")]
    if ours != resource.RLIM_INFINITY and os.geteuid() != 0:  # which root need not heed
        limits.append(ours)
    return max(0, min(limits)) if limits else resource.RLIM_INFINITY
