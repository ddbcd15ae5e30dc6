"""A check that hangs, crashes or fails is a line, and nothing of it lives on."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slideseg.doctor.bounded import bounded
from slideseg.doctor.finding import Finding, bad, note, ok
from slideseg.errors import ConfigError


def fine(said: str) -> list[Finding]:
    print("from a library")
    return [ok("x", said), note("y", said, "z")]


def hang(folder: str) -> list[Finding]:
    Path(folder, "process").write_text(str(os.getpid()))
    try:
        time.sleep(600)
    finally:
        Path(folder, "tidied").touch()
    return []


def die() -> list[Finding]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def leave() -> list[Finding]:
    sys.exit(7)


def refuse() -> list[Finding]:
    raise ConfigError("no such place\n(try another)")


def test_what_a_check_finds_is_returned_and_what_it_prints_is_no_part_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert bounded("x", fine, "a", seconds=60) == [ok("x", "a"), note("y", "a", "z")]
    assert capfd.readouterr().out == ""


def test_a_check_that_hangs_is_ended_and_tidies_up(tmp_path: Path) -> None:
    assert bounded("x", hang, str(tmp_path), seconds=4, todo="this") == [bad("x", "no answer in 4 s", "this")]
    assert (tmp_path / "tidied").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "process").read_text()), 0)


def test_how_a_check_ended_is_told() -> None:
    assert bounded("x", die, seconds=60, todo="this") == [bad("x", "the check itself was killed by SIGKILL", "this")]
    assert bounded("x", leave, seconds=60) == [bad("x", "the check itself ended with status 7")]


def fail() -> list[Finding]:
    raise RuntimeError


def hang_at_the_end() -> list[Finding]:
    atexit.register(time.sleep, 600)
    return [ok("x", "a")]


def test_what_a_library_raises_is_bad_with_what_to_do() -> None:
    assert bounded("x", fail, seconds=60, todo="this") == [bad("x", "RuntimeError", "this")]


def test_a_library_that_hangs_when_it_is_left_does_no_harm() -> None:
    assert bounded("x", hang_at_the_end, seconds=20) == [ok("x", "a")]


def test_what_a_check_raises_is_what_is_bad() -> None:
    assert bounded("x", refuse, seconds=60) == [bad("x", "no such place (try another)")]


def test_that_no_process_can_be_started_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_fork(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse_fork)
    (found,) = bounded("x", fine, "a", seconds=60)
    assert (found.state, "temporarily" in found.found) == ("bad", True)


def test_a_line_says_what_to_do() -> None:
    assert str(bad("x", "y", "z")) == "bad   x: y (try z)"
    assert str(ok("x", "y")) == "ok    x: y"


def test_ctrl_c_ends_the_check_too(tmp_path: Path) -> None:
    script = "from slideseg.doctor.bounded import bounded\nfrom tests.unit.doctor.test_bounded import hang\n"
    command = subprocess.Popen(
        [sys.executable, "-c", f"{script}bounded('x', hang, {str(tmp_path)!r}, seconds=600)"],
        stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    while not (tmp_path / "process").exists() or not (tmp_path / "process").read_text():
        assert command.poll() is None
        time.sleep(0.05)
    os.killpg(command.pid, signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert command.returncode != 0
    assert "time.sleep" not in said, "the check's own traceback"
    assert (tmp_path / "tidied").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "process").read_text()), 0)
