"""Ray on this machine, started before a command knows its work: Ray takes seconds, and so does loading PyTorch."""

from __future__ import annotations

import atexit
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slideseg.tasks.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

_begun: list[Session] = []
"""Those that nobody has taken over yet."""
_left: list[Session] = []
"""Those that nobody wants, and that may not have ended yet."""


@contextmanager
def head_start(workers: int, module: str) -> Iterator[None]:
    """Have Ray start for so many workers while the block begins, and a ``module`` be loaded by them as soon as they are there.

    The first executor of so many workers on this machine takes it over. What nobody took is left with the block, so that
    nobody has to wait to be told what went wrong, and ends before this process does.
    """
    _end_those_left()
    session = Session(workers, None, module)
    session.begin()
    _begun.append(session)
    try:
        yield
    finally:
        if session in _begun:
            _begun.remove(session)
            _leave(session)


def session_for(workers: int, address: str | None) -> Session:
    """Return a connection to Ray, not entered yet: the one that was begun, or a new one if that is for others.

    A process has one at a time.
    """
    while _begun:
        session = _begun.pop()
        if session.arguments == (workers, address):
            return session
        _leave(session)
    _end_those_left()
    return Session(workers, address)


def _leave(session: Session) -> None:
    session.leave()
    _left.append(session)


@atexit.register
def _end_those_left() -> None:
    while _left:
        _left.pop().end()
