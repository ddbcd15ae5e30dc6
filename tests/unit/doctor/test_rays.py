"""What is said of Ray and of clusters; with a real Ray in tests/integration/test_doctor.py."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from slideseg.doctor import rays
from slideseg.doctor.bounded import bounded
from slideseg.doctor.finding import bad
from slideseg.tasks import trial
from slideseg.tasks.trial import Trial
from slideseg.version import __version__

if TYPE_CHECKING:
    from slideseg.doctor.finding import Finding


def cluster(monkeypatch: pytest.MonkeyPatch, version: str, free: int) -> Finding:
    done = Trial(2.0, version, "node-7", 3, {"CPU": (48, free), "GPU": (4, 2)})
    monkeypatch.setattr(trial, "trial", lambda *_: done)
    (found,) = rays.cluster("head:6379")
    return found


def test_a_cluster_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "ok    cluster head:6379: 3 nodes, 40 of 48 cores free, 2 of 4 GPUs free; a worker on node-7 did a task in 2 s"
    assert str(cluster(monkeypatch, __version__, 40)) == said


def test_a_cluster_without_a_free_core(monkeypatch: pytest.MonkeyPatch) -> None:
    found = cluster(monkeypatch, "", 0)
    assert (found.state, "0 of 48 cores free" in found.found) == ("note", True)


def test_a_cluster_with_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    found = cluster(monkeypatch, "0.0.1", 40)
    assert (found.state, "0.0.1 on node-7" in found.found) == ("bad", True)


def test_a_cluster_that_listens_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert bounded("cluster", rays.cluster, address, seconds=6, todo="x") == [bad("cluster", "no answer in 6 s", "x")]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_a_cluster_that_is_not_there(address: str) -> None:
    (found,) = bounded("cluster", rays.cluster, address, seconds=60)
    assert (found.state, address in found.found) == ("bad", True)
