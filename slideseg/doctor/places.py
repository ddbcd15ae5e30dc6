"""Where results are to go: a small probe is written, read, listed and removed there, as a run does."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from typing import TYPE_CHECKING, TypeVar

from slideseg.doctor.finding import GIB, Finding, bad, note, ok, size
from slideseg.storage.store import (
    Store,
    delete_folder,
    delete_key,
    last_modified,
    list_keys,
    open_store,
    read_key,
    reason,
    storage_errors,
    write_key,
    write_new_key,
)
from slideseg.words import duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

PROBE = ".slideseg-doctor-"
PATIENCE = 15.0
"""Seconds in which a bucket is asked again."""
RIGHTS = "another place, or the right to read, write, list and delete there"
LEAST_SPACE, GOOD_SPACE = GIB, 10 * GIB
COARSE = 1.0
"""Seconds that a clock may be off by as far as can be seen: what tells the time tells whole seconds."""
GOOD_CLOCK, BAD_CLOCK = 5.0, 300.0
"""Seconds of difference; buckets refuse requests from 15 minutes on."""


class _RefusedError(Exception):
    """The store does not do something; the message says what, the argument after it what to do."""


def place(where: str) -> list[Finding]:
    """Use a folder or a place in a bucket as a run does, and compare its clock with this machine's; nothing stays there."""
    name, store = f"store {where}", open_store(where, patience=PATIENCE)
    if store.folder is not None and not store.folder.is_dir():
        return [bad(name, "there is no such folder", f"mkdir -p {where}")]
    folder = f"{PROBE}{uuid.uuid4().hex}"
    try:
        ahead = _probed(store, folder)
    except _RefusedError as error:
        with contextlib.suppress(*storage_errors()):
            delete_folder(store, folder)
        return [bad(name, *error.args)]
    except BaseException:
        with contextlib.suppress(*storage_errors()):
            delete_folder(store, folder)
        raise
    return [_space(name, store.folder), _clock(f"clock of {where}", ahead)]


def _probed(store: Store, folder: str) -> float:
    """Return by how many seconds the store's clock is ahead of ours.

    Raises:
        _RefusedError: if a step fails.
    """
    key = f"{folder}/probe"
    before = time.time()
    _do("nothing can be written", lambda: write_new_key(store, key, b"first"))
    after = time.time()
    _expect(store, key, b"first", "what was written is not there", "another place: runs would not see what is done")
    _do("nothing can be created on condition", lambda: write_new_key(store, key, b"second"))
    _expect(store, key, b"first", "who comes second replaces what the first created", "one run at a time, or another server")
    if key not in _do("nothing can be listed", lambda: list_keys(store, folder)):
        raise _RefusedError("what was written is not listed", "another server: results could not be resumed")
    there = _do("no time of writing can be had", lambda: last_modified(store, key))
    _do("nothing can be replaced", lambda: write_key(store, key, b"third"))
    _expect(store, key, b"third", "what was replaced is still read", "another place: caches in between must be off")
    _do(f"{key} can't be removed", lambda: delete_key(store, key))
    _do(f"{folder} can't be removed", lambda: delete_folder(store, folder))
    _expect(store, key, None, "what was removed is still there", f"remove {folder}")
    return 0.0 if there is None else _ahead(there, before, after)


def _do(what: str, act: Callable[[], T]) -> T:
    try:
        return act()
    except storage_errors() as error:
        why = getattr(error, "strerror", None) or reason(error)
        raise _RefusedError(f"{what}: {why}", RIGHTS) from error


def _expect(store: Store, key: str, data: bytes | None, complaint: str, todo: str) -> None:
    if _do("nothing can be read", lambda: read_key(store, key)) != data:
        raise _RefusedError(complaint, todo)


def _ahead(there: float, before: float, after: float) -> float:
    return min(0.0, there + COARSE - before) + max(0.0, there - COARSE - after)


def _space(name: str, folder: Path | None) -> Finding:
    found = "written, created once, read, listed and removed"
    if folder is None:
        return ok(name, found)
    space, files = shutil.disk_usage(folder).free, os.statvfs(folder)
    if files.f_files and not files.f_favail:
        return bad(name, "no more files can be made, whatever space is left", "removing files")
    found = f"{found}; {size(space)} free"
    if space < LEAST_SPACE:
        return bad(name, found, "another disk; predict --dry-run says what a slide takes")
    return ok(name, found) if space >= GOOD_SPACE else note(name, found, "predict --dry-run, which says what a slide takes")


def _clock(name: str, ahead: float) -> Finding:
    found = f"{duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's"
    todo = "NTP on this machine or there: chronyc tracking"
    if abs(ahead) > BAD_CLOCK:
        return bad(name, found, todo)
    return note(name, found, todo) if abs(ahead) > GOOD_CLOCK else ok(name, "as this machine's")
