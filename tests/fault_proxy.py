"""A proxy in front of a server on this machine that does what networks and overloaded servers do, by a seed."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.s3_server import S3Server

SLOW_DOWN = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}
WRITES = ("PUT", "POST", "DELETE")


@dataclass(frozen=True)
class Faults:
    """What goes wrong: shares of requests, and seconds."""

    slow_down: float = 0
    """Answered 503, and not handed on."""
    reset: float = 0
    """Cut off with a reset, and not handed on."""
    truncate: float = 0
    """Of what is read: half of the body, then the connection is closed."""
    stall: float = 0
    """Of what is read: half of the body, then silence."""
    lose_reply: float = 0
    """Of what is written: done, and the connection is closed without an answer."""
    jitter: float = 0
    """Seconds that an answer is late, at most."""


class FaultProxy(ThreadingHTTPServer):
    """Hands requests on to a port of this machine; `faults` may be changed at any time."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, faults: Faults, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.faults = port, faults
        self.happened: Counter[str] = Counter()
        """How often each fault was met; ``requests`` counts all."""
        self.chosen: Callable[[str, str], str | None] = lambda method, path: None
        """A fault by name for a request that a test wants to meet it."""
        self.stopped = threading.Event()
        self._random, self._lock = random.Random(seed), threading.Lock()

    def fate(self, method: str, path: str) -> tuple[str | None, float]:
        """Return which fault a request meets, if any, and for how many seconds its answer waits."""
        with self._lock:
            kinds = ("slow_down", "reset", *(("lose_reply",) if method in WRITES else ("truncate", "stall")))
            drawn, fate = self._random.random(), self.chosen(method, path)
            for kind in kinds:
                drawn -= getattr(self.faults, kind)
                fate = fate or (kind if drawn < 0 else None)
            self.happened.update(["requests", *([fate] if fate else [])])
            return fate, self._random.random() * self.faults.jitter


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: FaultProxy

    def log_message(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fate, late = self.server.fate(self.command, self.path)
        time.sleep(late)
        if fate == "slow_down":
            self._send(503, SLOW_DOWN, [], len(SLOW_DOWN))
            return
        if fate == "reset":
            self._cut(reset=True)
            return
        status, headers, answer = self._handed_on(body)
        if fate == "lose_reply":
            self._cut()
            return
        is_cut = fate in ("truncate", "stall") and len(answer) > 1
        length = int(headers["Content-Length"]) if self.command == "HEAD" else len(answer)
        self._send(status, answer[: len(answer) // 2] if is_cut else answer, headers.items(), length)
        if is_cut:
            self.wfile.flush()
            if fate == "stall":
                self.server.stopped.wait()
            self._cut()

    def _handed_on(self, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind)
        try:
            behind.request(self.command, self.path, body, dict(self.headers.items()))
            answer = behind.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            behind.close()

    def _send(self, status: int, body: bytes, headers: object, length: int) -> None:
        self.send_response(status)
        for name, value in headers:  # type: ignore[attr-defined]
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def _cut(self, *, reset: bool = False) -> None:
        """Close the connection, politely or not."""
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()


@contextmanager
def proxy_to(port: int, faults: Faults, seed: int = 0) -> Iterator[FaultProxy]:
    """Run a proxy to a port of this machine."""
    with FaultProxy(port, faults, seed) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.stopped.set()
            proxy.shutdown()
            thread.join()


@contextmanager
def failing(server: S3Server, faults: Faults, seed: int = 0) -> Iterator[FaultProxy]:
    """Have the environment, of commands too, say that the bucket is behind a proxy."""
    with proxy_to(server.server_port, faults, seed) as proxy, at(server, proxy.server_port):
        yield proxy


@contextmanager
def at(server: S3Server, port: int) -> Iterator[None]:
    """Have the environment say that a server's buckets are at a port."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**server.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
            patch.setenv(name, value)
        yield
