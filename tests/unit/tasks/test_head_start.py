"""A Ray that a command starts before it knows its work: who takes it over, and what becomes of it if nobody does."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from slideseg.errors import RunError
from slideseg.tasks import session
from slideseg.tasks.head_start import head_start, session_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Return what is told of connections: what began for whom, and what ended."""
    told: list[tuple[object, ...]] = []

    @contextlib.contextmanager
    def connected(*arguments: object) -> Iterator[None]:
        told.append(("begun", *arguments))
        if arguments[0] == 13:
            msg = "Ray does not start"
            raise RunError(msg)
        yield
        told.append(("ended",))

    monkeypatch.setattr(session, "connected", connected)
    return told


def test_who_wants_so_many_workers_takes_it_over_and_ends_it(told: list[tuple[object, ...]]) -> None:
    with head_start(2, "some.module"):
        with session_for(2, None):
            assert told == [("begun", 2, None, "some.module")]
        assert told[1:] == [("ended",)]
    assert len(told) == 2


@pytest.mark.parametrize("wanted", [(3, None), (2, "here:1")])
def test_who_wants_another_gets_one_of_his_own_when_that_is_over(
    wanted: tuple[int, str | None], told: list[tuple[object, ...]]
) -> None:
    with head_start(2, "some.module"), session_for(*wanted):
        assert told == [("begun", 2, None, "some.module"), ("ended",), ("begun", *wanted, "")]
    assert told[3:] == [("ended",)]


def test_nobody_gets_one_that_is_over_or_that_somebody_has(told: list[tuple[object, ...]]) -> None:
    with head_start(2, "some.module"), session_for(2, None), session_for(2, None):
        pass
    with session_for(2, None):
        pass
    assert [what[3] for what in told if what[0] == "begun"] == ["some.module", "", ""]


def test_what_nobody_took_is_ended_whatever_ends_the_block_and_before_another_one_begins(
    told: list[tuple[object, ...]],
) -> None:
    with pytest.raises(ZeroDivisionError), head_start(2, "some.module"):
        raise ZeroDivisionError
    with head_start(2, "other.module"):
        assert told[:2] == [("begun", 2, None, "some.module"), ("ended",)]
    with session_for(2, None):
        assert told[3:] == [("ended",), ("begun", 2, None, "")]


def test_nobody_waits_for_what_nobody_took_until_the_process_ends() -> None:
    script = """
import contextlib, threading, time
from slideseg.tasks import session
from slideseg.tasks.head_start import head_start

@contextlib.contextmanager
def connected(*_):
    gate.wait(30)
    yield
    print("ended", flush=True)

gate, session.connected = threading.Event(), connected
with head_start(2, "some.module"):
    pass
print("told", flush=True)
gate.set()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["told", "ended"]


def test_the_block_is_begun_while_ray_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    is_asked = threading.Event()

    @contextlib.contextmanager
    def connected(*_: object) -> Iterator[None]:
        assert is_asked.wait(30)
        yield

    monkeypatch.setattr(session, "connected", connected)
    with head_start(2, "some.module"):
        is_asked.set()


def test_why_it_does_not_start_is_told_to_who_wants_it_and_to_nobody_else(told: list[tuple[object, ...]]) -> None:
    with head_start(13, "some.module"), pytest.raises(RunError, match="does not start"), session_for(13, None):
        pass
    with head_start(13, "some.module"):
        pass
    with session_for(2, None):
        assert ("ended",) not in told
