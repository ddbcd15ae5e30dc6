"""The folder of a Ray of our own: open to this user alone, and gone soon after its driver, however that ends.

slideseg-x1y2z3/     0700
token            0600, what Ray's processes know each other by
lock             held by the driver as long as it lives
r/               Ray's own, which it makes writable for everybody
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.machine import KEEPING

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX, RAYS = "slideseg-", "r"
"""Short: the names of the sockets in it may have so many bytes."""
LONGEST_TEMP = 103 - len(f"/{PREFIX}12345678/{RAYS}") - len("/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store")
"""Bytes of the name of a folder in which Ray's sockets have names that any system takes."""

NEW = 60.0
"""Seconds in which a folder that nobody holds may still be one that is being made."""


@contextlib.contextmanager
def private_folder() -> Iterator[str]:
    """Make a folder for Ray, and tell Ray by the environment of its token; both are gone when the block ends.

    A janitor beside this process removes the folder, and ends Ray's processes, should this process be killed. What is left
    where the janitor was killed too is removed by whoever comes next.
    """
    parent = _short_parent()
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    settings = {
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        **KEEPING,  # for the workers, which inherit it
        "RAY_worker_niceness": "0",  # Ray's own 15 starves the workers beside any busy process
    }
    before = {name: os.environ[name] for name in settings if name in os.environ}
    fresh = {name: value for name, value in settings.items() if name not in before or not _is_usable(name, before[name])}
    if "RAY_AUTH_TOKEN_PATH" in fresh:
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(_token())
    os.environ.update(fresh)
    gone = [*fresh, *({"RAY_AUTH_MODE"} - set(os.environ))]  # Ray sets that itself, and would leave it to the next connection
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        janitor = _start_janitor(folder)
        try:
            yield str(folder / RAYS)
        finally:
            for name in gone:
                os.environ.pop(name, None)
            os.environ.update(before)
            shutil.rmtree(folder, ignore_errors=True)
            janitor.communicate()


def _is_usable(name: str, value: str) -> bool:
    """Tell whether what the user has said to Ray can stay; a token of a cluster that is not there any more can't."""
    return name != "RAY_AUTH_TOKEN_PATH" or Path(value).is_file()


@functools.cache
def _token() -> str:
    """Return this process's secret; one for all its runs, because Ray reads it once a process."""
    return secrets.token_hex(32)


def _start_janitor(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("janitor.py")), str(folder)]
    nowhere = subprocess.DEVNULL
    # in a session of its own: Ctrl-C is for the driver, which then cleans up itself
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True)


def _sweep(parent: str) -> None:
    """Remove folders of this user whose driver lives no more."""
    for rays in Path(parent).glob(f"{PREFIX}*/{RAYS}"):  # processes that were ending have made it again
        with contextlib.suppress(OSError):
            found = rays.parent.stat()
            is_old = found.st_uid == os.geteuid() and time.time() - found.st_mtime > NEW
            if is_old and [entry.name for entry in rays.parent.iterdir()] == [RAYS]:
                shutil.rmtree(rays.parent, ignore_errors=True)
    for lock in Path(parent).glob(f"{PREFIX}*/lock"):
        with contextlib.suppress(OSError), lock.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > NEW:  # a new one is about to be locked
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)


def _short_parent() -> str:
    """Return where temporary files go; ``/tmp`` where names of Ray's sockets would be too long for the system."""
    usual = os.path.abspath(tempfile.gettempdir())  # which is "." where TMPDIR is
    if len(os.fsencode(usual)) <= LONGEST_TEMP or not os.access("/tmp", os.W_OK | os.X_OK):
        return usual
    return "/tmp"
