"""Stores that don't do what a run needs; nothing of the probe stays in any."""

from __future__ import annotations

import os
import shutil
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from slideseg.doctor import places
from slideseg.doctor.finding import GIB, MIB
from slideseg.doctor.places import place
from slideseg.errors import ConfigError
from slideseg.storage.store import delete_folder as really_delete_folder
from slideseg.storage.store import write_key as really_write
from tests.s3_server import S3Server, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.buckets["bucket"] = {"other": b"x"}
        yield server


def states(where: object) -> list[str]:
    return [finding.state for finding in place(str(where))]


def test_a_folder_and_a_bucket_that_do_all(tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50 * GIB))
    (tmp_path / "other").touch()
    assert states(tmp_path) == ["ok", "ok"]
    assert states("s3://bucket/some/where") == ["ok", "ok"]
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert server.buckets["bucket"] == {"other": b"x"}


def test_a_place_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert states(tmp_path / "none") == states(tmp_path / "file") == ["bad"]
    assert not (tmp_path / "none").exists()
    with pytest.raises(ConfigError, match="not supported"):
        place("ftp://host/x")


def test_a_bucket_that_is_not_there(server: S3Server) -> None:
    (found,) = place("s3://none/x")
    assert (found.state, "no such bucket" in found.found) == ("bad", True)


@pytest.mark.parametrize(
    ("name", "what"),
    [("write_new_key", "nothing can be written"), ("read_key", "nothing can be read"), ("list_keys", "nothing can be listed"),
     ("write_key", "nothing can be replaced"), ("delete_key", "can't be removed"), ("last_modified", "no time of writing")],
)  # fmt: skip
def test_a_step_that_is_refused(name: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(places, name, refuse)
    (found,) = place(str(tmp_path))
    assert (found.state, what in found.found, "Permission denied" in found.found) == ("bad", True, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(places, "delete_folder", refuse)
    (found,) = place(str(tmp_path))
    (left,) = tmp_path.iterdir()
    assert (found.state, f"{left.name} can't be removed" in found.found) == ("bad", True)


@pytest.mark.parametrize(
    ("name", "instead", "complaint"),
    [
        ("write_new_key", lambda *_: None, "what was written is not there"),
        ("write_new_key", really_write, "who comes second replaces"),
        ("list_keys", lambda *_: [], "not listed"),
        ("write_key", lambda *_: None, "still read"),
        ("delete_folder", lambda *_: None, ""),
    ],
)
def test_a_store_that_says_yes_and_does_otherwise(
    name: str, instead: Callable[..., Any], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, name, instead)
    found = place(str(tmp_path))
    assert complaint in found[0].found
    if complaint:
        assert [one.state for one in found] == ["bad"]
        assert list(tmp_path.iterdir()) == []


def test_what_is_read_after_it_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "delete_key", lambda *_: None)
    calls: list[int] = []

    def only_the_second(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            really_delete_folder(*arguments)

    monkeypatch.setattr(places, "delete_folder", only_the_second)
    (found,) = place(str(tmp_path))
    assert (found.state, "still there" in found.found) == ("bad", True)
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_of_a_check_that_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: object) -> None:
        raise SystemExit(1)

    monkeypatch.setattr(places, "write_key", ended)
    with pytest.raises(SystemExit):
        place(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free", "state"), [(20 * GIB, "ok"), (5 * GIB, "note"), (100 * MIB, "bad")])
def test_a_full_disk(free: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert states(tmp_path) == [state, "ok"]


def test_a_disk_without_room_for_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50 * GIB))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=10, f_favail=0))
    assert states(tmp_path) == ["bad", "ok"]


def test_a_bucket_whose_clock_goes_wrong(server: S3Server) -> None:
    server.ahead = -400
    clock = place("s3://bucket")[1]
    assert (clock.state, clock.name, "6:" in clock.found) == ("bad", "clock of s3://bucket", True)


def test_a_bucket_that_refuses_all(server: S3Server) -> None:
    server.refusal = 403, "AccessDenied"
    (found,) = place("s3://bucket/refused")
    assert (found.state, "nothing can be written" in found.found) == ("bad", True)
    assert found.todo


@pytest.mark.parametrize(
    ("seconds", "state", "said"),
    [(0, "ok", "as this"), (60, "note", "ahead"), (-60, "note", "behind"), (-1000, "bad", "behind"), (1000, "bad", "ahead")],
)
def test_a_clock_that_goes_wrong(
    seconds: float, state: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "last_modified", lambda *_: time.time() + seconds)
    clock = place(str(tmp_path))[1]
    assert (clock.state, said in clock.found) == (state, True)
