"""The folder of a Ray of our own: private while it is there, and gone however its driver ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from slideseg.tasks import private_folder as module
from slideseg.tasks.private_folder import PREFIX, private_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIVER = """
import subprocess, sys, time
from slideseg.tasks.private_folder import private_folder
with private_folder() as folder:
    wait = "import signal, sys, time; STUBBORN; print(0, flush=True); time.sleep(600)"
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    started = [
        subprocess.Popen([sys.executable, "-c", wait.replace("STUBBORN", how), f"{folder}/session"], stdout=subprocess.PIPE)
        for how in ("pass", stubborn)
    ]
    for one in started:
        one.stdout.readline()
    print(folder, *(one.pid for one in started), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, with a short name as Ray needs it."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


def test_only_its_user_can_look_into_it(short: Path) -> None:
    before = dict(os.environ)
    with private_folder() as folder:
        (outer,) = short.iterdir()
        assert Path(folder).parent == outer
        assert stat.S_IMODE(outer.stat().st_mode) == 0o700
        assert stat.S_IMODE((outer / "token").stat().st_mode) == 0o600
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(outer / "token")
        assert os.environ["MALLOC_ARENA_MAX"] == "1", "workers inherit it: their threads are to share what is freed"
    assert list(short.iterdir()) == []
    assert dict(os.environ) == before


def test_what_the_user_says_to_ray_stays(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = short / "mine"
    mine.write_text("of a cluster")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(mine))
    with private_folder():
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(mine)
        assert not list(short.glob("*/token"))
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(mine)


def test_a_token_that_is_not_there_is_not_taken(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(short / "gone"))
    with private_folder() as folder:
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(Path(folder).parent / "token")
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(short / "gone")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are told of in /proc alone")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_driver_that_was_killed(short: Path, how: signal.Signals) -> None:
    """Not even processes that don't listen; the driver's own group is killed, as by a shell or a scheduler."""
    env = {**os.environ, "TMPDIR": str(short)}
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True, env=env, start_new_session=True
    )
    folder, *numbers = driver.stdout.readline().split()
    processes = [psutil.Process(int(number)) for number in numbers]
    assert Path(folder).parent.exists()
    driver.send_signal(how)
    driver.wait()
    assert psutil.wait_procs(processes, timeout=20)[1] == []
    until = time.monotonic() + 20
    while Path(folder).parent.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert list(short.iterdir()) == []


def test_what_a_dead_driver_left_is_removed_by_the_next_one(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left, new, other = (short / f"{PREFIX}{name}" for name in ("left", "new", "other"))
    for folder in (left, new, other):
        folder.mkdir()
    for folder in (left, new):
        (folder / "lock").touch()
    os.utime(left / "lock", (1, 1))
    again, young = (short / f"{PREFIX}{name}" for name in ("again", "young"))
    for folder in (again, young):  # made again by processes that were ending
        (folder / "r" / "session").mkdir(parents=True)
    os.utime(again, (1, 1))
    with private_folder() as folder:
        os.utime(Path(folder).parent / "lock", (1, 1))
        assert not left.exists()
        with private_folder():
            assert Path(folder).parent.exists(), "its driver lives"
    assert sorted(short.iterdir()) == [new, other, young]


def test_long_names_of_temporary_folders_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    assert module._short_parent() == "/tmp"


def test_the_folder_of_a_relative_tmpdir_has_a_whole_name(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(short)
    monkeypatch.setattr("tempfile.tempdir", ".")
    assert module._short_parent() == str(short)
