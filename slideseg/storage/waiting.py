"""How long an object store is waited for, and what is said meanwhile.

obstore itself makes most requests again that failed. Added here: it gives up on some that may well be made again, it says
nothing, and it does not listen to Ctrl-C. Every request of `slideseg.storage.store` does the same when it is made twice.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

from slideseg.errors import SlidesegError
from slideseg.storage.bucket import open_bucket, open_web
from slideseg.storage.place import is_in_bucket, locate
from slideseg.storage.trouble import in_words, is_about_access, is_passing, says_no_bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import ObjectStore

T = TypeVar("T")

log = logging.getLogger(__name__)

FIRST_PATIENCE = 15.0
"""Seconds in which a store that this process has not heard of yet is asked again."""
FIRST_WORD, NEXT_WORD = 10.0, 60.0
"""Seconds after which it is said that a store is waited for, and said again."""
FIRST_PAUSE, MOST_PAUSE = 0.1, 5.0
"""Seconds between two tries: at first, and at most."""
PROBE = ".slideseg"
"""A key that is asked for to hear from a store; nobody has it."""

_heard_of: dict[str, tuple[float, str] | None] = {}
"""Stores that answer; of those that don't, when that was found, and what is wrong."""
_asking = threading.Lock()


def hear_from(root: ObjectStore, name: str) -> None:
    """See that a store answers, once in this process: who mistypes an address, or has no keys, need not wait for minutes.

    Raises:
        OSError: if it does not, if it doesn't know us, or if there is no such bucket; with what to set.
    """
    if not isinstance(root, S3Store | GCSStore | AzureStore | HTTPStore):
        return
    where = f"{name} {'' if isinstance(root, HTTPStore) else root.config.get('endpoint')}"
    with _asking:
        if where not in _heard_of or _is_over(_heard_of[where]):
            _heard_of[where] = _what_is_wrong(name)
        if (found := _heard_of[where]) is not None:
            raise OSError(found[1])


def _is_over(found: tuple[float, str] | None) -> bool:
    """Tell whether a failure is so old that a store is asked again: many threads don't wait one after the other."""
    return found is not None and time.monotonic() - found[0] > FIRST_PATIENCE


def _what_is_wrong(name: str) -> tuple[float, str] | None:
    asked = open_bucket(locate(name), FIRST_PATIENCE) if is_in_bucket(name) else open_web(name, FIRST_PATIENCE)
    try:
        asked.get(PROBE)
    except (BaseError, FileNotFoundError) as error:
        if says_no_bucket(error):
            return time.monotonic(), no_bucket(name)
        if is_about_access(error):
            return time.monotonic(), in_words(error)
    return None  # it answers, be it only that this key is not for us


def no_bucket(name: str) -> str:
    """Say that a bucket is missing."""
    return f"there is no such bucket: {name}"


def persistent(act: Callable[[], T], patience: float) -> T:
    """Do what a store is asked, again where it failed at what may do in a moment.

    Raises:
        BaseError: what it failed at last, or for good.
    """
    until, pause = time.monotonic() + patience, FIRST_PAUSE
    while True:
        try:
            return act()
        except BaseError as error:
            if not is_passing(error) or time.monotonic() + pause > until:
                raise
        time.sleep(pause * random.uniform(0.5, 1))
        pause = next_pause(pause)


def next_pause(pause: float) -> float:
    """Return for how long to wait after having waited so long in vain."""
    return min(2 * pause, MOST_PAUSE)


def interruptible(act: Callable[[], T], name: str) -> T:
    """Wait in the main thread, which gets Ctrl-C, for what another one does; say now and then what is waited for."""
    if threading.current_thread() is not threading.main_thread():
        return act()
    answer: Future[T] = Future()

    def wait() -> None:
        try:
            answer.set_result(act())
        except (OSError, BaseError, SlidesegError, ValueError) as error:
            answer.set_exception(error)
        finally:
            answer.cancel()  # if there is none; it does nothing otherwise

    threading.Thread(target=wait, name="storage", daemon=True).start()
    begun, word = time.monotonic(), FIRST_WORD
    while True:
        try:
            return answer.result(timeout=word)
        except TimeoutError:
            if answer.done():
                raise
            log.warning("waiting for %s for %.0f s", name, time.monotonic() - begun)
            word = NEXT_WORD
