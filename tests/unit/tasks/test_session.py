"""The connection to Ray: what its failures say, and that nothing of it stays in the process's environment."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
import ray
from ray.exceptions import AuthenticationError

from slideseg.errors import ClusterError, RunError
from slideseg.tasks.session import Session, connected

if TYPE_CHECKING:
    from collections.abc import Callable


def fails_with(error: Exception) -> Callable[..., None]:
    def init(*_: object, **__: object) -> None:
        raise error

    return init


def test_a_ray_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", fails_with(RuntimeError("no more processes\nand much more")))
    with (
        pytest.raises(RunError, match=r"^Ray does not start on this machine \(got no more processes; try slideseg doctor\)$"),
        connected(1, None),
    ):
        pass


@pytest.mark.parametrize("error", [AuthenticationError("no token"), ConnectionError("no token"), OSError("no token")])
def test_a_cluster_that_refuses_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", fails_with(error))
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        wanted = f"no Ray cluster answers at {address} \\(got .*no token.*; try .*RAY_AUTH_TOKEN"
        with pytest.raises(ClusterError, match=wanted), Session(1, address):
            pass


@pytest.mark.ray
def test_a_ray_of_our_own_leaves_no_settings_to_the_next_connection() -> None:
    before = dict(os.environ)
    with Session(1, None):
        assert os.environ["RAY_AUTH_MODE"] == "token"
    assert dict(os.environ) == before
