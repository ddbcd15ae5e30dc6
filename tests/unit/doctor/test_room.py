"""Each check of this machine's room, where there is too little of it."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from slideseg import machine
from slideseg.doctor import room
from slideseg.doctor.devices import processor
from slideseg.doctor.finding import GIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

UNLIMITED = resource.RLIM_INFINITY


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a control group two folders below the topmost."""
    inner = tmp_path / "cgroup" / "job" / "step"
    inner.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("1:name=systemd:/\n0::/job/step\n")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "OWN_CGROUP", own)
    return inner


def limit(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    numbers = {getattr(resource, f"RLIMIT_{name}"): value for name, value in limits.items()}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (numbers.get(which, UNLIMITED), UNLIMITED))


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free, total=100 * GIB))


def test_the_limits_of_a_job_and_of_those_around_it_count(cgroups: Path) -> None:
    assert (machine.container_memory(), machine.container_cores()) == (None, None)
    (cgroups / "memory.max").write_text("max\n")
    (cgroups / "memory.current").write_text("5\n")
    (cgroups.parent / "memory.max").write_text(f"{3 * MIB}\n")
    (cgroups.parent / "memory.current").write_text(f"{MIB}\n")
    (cgroups / "cpu.max").write_text("150000 100000\n")
    (cgroups.parent / "cpu.max").write_text("max 100000\n")
    assert (machine.container_memory(), machine.available_memory(), machine.container_cores()) == (3 * MIB, 2 * MIB, 1.5)


def test_a_group_that_is_not_shown_here_is_passed_over(cgroups: Path) -> None:
    shutil.rmtree(cgroups.parent)
    top = cgroups.parent.parent
    (top / "memory.max").write_text("7\n")
    (top / "memory.current").write_text("9\n")
    assert (machine.container_memory(), machine.available_memory()) == (7, 0)


@pytest.mark.parametrize(
    ("free", "address_space", "state", "said"),
    [(8 * GIB, UNLIMITED, "ok", "8 GiB free"), (3 * GIB, UNLIMITED, "note", "--workers 3"),
     (GIB // 2, UNLIMITED, "bad", "512 MiB"), (8 * GIB, 4 * GIB, "note", "ulimit -v")],
)  # fmt: skip
def test_memory(free: int, address_space: int, state: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "available_memory", lambda: free)
    monkeypatch.setattr(room, "usable_cores", lambda: 4)
    limit(monkeypatch, AS=address_space)
    (found,) = room.memory()
    assert (found.state, said in str(found)) == (state, True)


def test_the_containers_limit_is_told(cgroups: Path) -> None:
    (cgroups / "memory.max").write_text(str(64 * MIB))
    (cgroups / "memory.current").write_text("0")
    (found,) = room.memory()
    assert (found.state, "the container's limit is 64 MiB" in found.found) == ("bad", True)


def test_cores_that_are_held_back(cgroups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slideseg.doctor.devices.usable_cores", lambda: 4)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert processor()[0].state == "ok"
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert processor()[0].state == "ok"
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    assert (processor()[0].state, processor()[0].todo) == ("note", "unset MKL_NUM_THREADS")
    (cgroups / "cpu.max").write_text("250000 100000\n")
    assert (processor()[0].state, processor()[0].todo) == ("note", "--workers 2")


def test_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SHARED", tmp_path)
    disk(monkeypatch, GIB)
    assert room.shared_memory()[0].state == "ok"
    disk(monkeypatch, 64 * MIB)  # Docker's, unless it is told otherwise
    assert (room.shared_memory()[0].state, "--shm-size" in room.shared_memory()[0].todo) == ("note", True)
    monkeypatch.setattr(room, "SHARED", tmp_path / "none")
    assert room.shared_memory()[0].state == "bad"


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be on a machine whose folder for temporary files is this one, with a short name as far as can be told."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(room, "LONGEST_TEMP", 1000)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=0))
    disk(monkeypatch, 50 * GIB)
    return tmp_path


def test_a_good_temporary_folder(temp: Path) -> None:
    (found,) = room.temporary()
    assert (found.state, str(temp) in found.found) == ("ok", True)


@pytest.mark.parametrize(("free", "state"), [(GIB, "note"), (50 * MIB, "bad")])
def test_a_full_temporary_folder(free: int, state: str, temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, free)
    assert room.temporary()[0].state == state


def test_a_temporary_folder_that_is_not_there(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(temp / "none"))
    (found,) = room.temporary()
    assert (found.state, found.todo) == ("bad", f"mkdir -p {temp / 'none'}, or unset TMPDIR")


def test_no_temporary_folder_at_all(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert (room.temporary()[0].state, "TMPDIR" in room.temporary()[0].todo) == ("bad", True)


def test_a_temporary_folder_without_programs(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
    assert (room.temporary()[0].state, "noexec" in room.temporary()[0].found) == ("note", True)


def test_a_temporary_folder_with_a_long_name(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LONGEST_TEMP", len(str(temp)) - 1)
    assert room.temporary()[0].state == "note"
    assert room.temporary()[0].todo == f"export TMPDIR=, a folder whose name has at most {room.LONGEST_TEMP} letters"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert room.temporary()[0].state == "bad"


def test_limits(cgroups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    limit(monkeypatch, NOFILE=65536, NPROC=4096)
    assert [found.state for found in room.limits()] == ["ok", "ok"]
    limit(monkeypatch, NOFILE=512, NPROC=1000)
    assert [found.state for found in room.limits()] == ["note", "note"]
    limit(monkeypatch, NOFILE=100, NPROC=100, FSIZE=GIB)
    assert [found.state for found in room.limits()] == ["bad", "bad", "bad"]
    limit(monkeypatch, NOFILE=65536)
    assert room.limits()[1].found == "no limit"
    (cgroups / "pids.max").write_text("1000\n")
    (cgroups / "pids.current").write_text("900\n")
    assert (room.limits()[1].state, room.limits()[1].found) == ("bad", "at most 100")
