"""The connection to Ray: what its failures say, and that nothing of it stays in the process's environment."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest
import ray
from ray.exceptions import AuthenticationError

from slideseg.errors import ClusterError, RunError
from slideseg.tasks import session
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
    monkeypatch.setattr(session, "check_address", lambda address: None)
    wanted = r"no Ray cluster answers at here:1 \(got .*no token.*; try .*RAY_AUTH_TOKEN"
    with pytest.raises(ClusterError, match=wanted), Session(1, "here:1"):
        pass


@pytest.mark.parametrize(
    ("says", "complaint"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "got something else, want the port of its head"), (b"", "timed out")],
)
def test_a_port_where_something_else_answers_or_nobody_says_anything_is_told(
    says: bytes, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        other = Future[socket.socket]()
        threading.Thread(target=lambda: other.set_result(server.accept()[0]) or other.result().sendall(says)).start()
        with pytest.raises(ClusterError, match=f"^no Ray cluster answers at {address} \\(.*{complaint}"):
            session.check_address(address)
        other.result().close()


def test_a_request_to_stop_does_what_it_did_whatever_ray_puts_in_its_place() -> None:
    heard, libc = [], ctypes.CDLL(None)
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(True))
    try:
        with session._handlers_kept():
            for _ in range(2):  # when it starts, and when it ends
                libc.signal(signal.SIGTERM, 0)
                until = time.monotonic() + 30
                while handler(libc) == 0 and time.monotonic() < until:
                    time.sleep(0.01)
                assert handler(libc) != 0
                signal.raise_signal(signal.SIGTERM)
            libc.signal(signal.SIGTERM, 0)
        signal.raise_signal(signal.SIGTERM)
        assert len(heard) == 3
    finally:
        signal.signal(signal.SIGTERM, before)


def handler(libc: ctypes.CDLL) -> int:
    """Return the address of what is called on SIGTERM; 0 is the end of the process."""
    found = (ctypes.c_size_t * 64)()
    libc.sigaction(signal.SIGTERM, None, found)
    return found[0]


@pytest.mark.ray
def test_a_ray_of_our_own_leaves_no_settings_to_the_next_connection() -> None:
    before = dict(os.environ)
    with Session(1, None):
        assert os.environ["RAY_AUTH_MODE"] == "token"
    assert dict(os.environ) == before
