"""When a cluster's head counts as gone, and what is said before."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from slideseg.errors import RunError
from slideseg.tasks import lifeline
from slideseg.tasks.lifeline import Head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass."""
    now = [100.0]
    monkeypatch.setattr(lifeline.time, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def head_at(server: socket.socket) -> Head:
    return Head(f"127.0.0.1:{server.getsockname()[1]}")


def test_a_head_that_answers_is_there(
    listening: socket.socket, wait: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    head = head_at(listening)
    for _ in range(3):
        wait(lifeline.HEAD_SECONDS)
        head.check()
    assert caplog.records == []


def test_a_silent_head_is_waited_for_aloud_and_then_gone(
    listening: socket.socket, wait: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    head = head_at(listening)
    listening.close()
    head.check()
    assert caplog.records == []
    for _ in range(3):
        wait(lifeline.HEAD_SECONDS / 4)
        head.check()
    (said,) = caplog.records
    assert "does not answer; the run ends if it does not within 45 s" in said.getMessage()
    wait(lifeline.HEAD_SECONDS / 4)
    with pytest.raises(RunError, match=r"does not answer \(got 45 s of silence; try the same command when it is back"):
        head.check()


def test_a_head_that_is_back_in_time_has_all_its_time_again(
    listening: socket.socket, wait: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    head, address = head_at(listening), listening.getsockname()
    listening.close()
    wait(lifeline.HEAD_SECONDS - 1)
    head.check()
    with socket.create_server(address):
        head.check()
    wait(lifeline.HEAD_SECONDS - 1)
    head.check()
    assert len(caplog.records) == 2


def test_what_would_hire_machines_is_ended_and_no_other_process(tmp_path: Path) -> None:
    script = tmp_path / "ray" / "autoscaler" / "_private" / "monitor.py"
    script.parent.mkdir(parents=True)
    script.write_text("import time; time.sleep(60)")
    hiring, other = (subprocess.Popen([sys.executable, *words]) for words in ([str(script)], ["-c", script.read_text()]))
    try:
        lifeline.end_hiring()
        assert not (lifeline.PROCESSES / str(hiring.pid)).exists()
        assert other.poll() is None
    finally:
        for process in (hiring, other):
            process.kill()
            process.wait()
