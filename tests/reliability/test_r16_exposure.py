"""R16: what a run shows to others. Every socket of the command and of Ray is asked without the token."""

from __future__ import annotations

import http.server
import ipaddress
import os
import secrets
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import tifffile

from slideseg.model.config import UNetConfig
from slideseg.testing.models import random_model
from tests.integration.conftest import command
from tests.reliability import report

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.ray

REQUESTS = (
    ("GET", "/"), ("GET", "/api/version"), ("GET", "/metrics"), ("GET", "/nodes"), ("GET", "/logs/"), ("GET", "/api/jobs/"),
    ("POST", "/api/jobs/"), ("POST", "/api/job_agent/jobs/"), ("PUT", "/api/serve/applications/"), ("POST", "/"),
)  # fmt: skip
"""What is behind Ray's HTTP ports where they are open: its dashboard, its agents, jobs, logs, metrics."""
MOST_OFF_LOOPBACK = 10
"""Sockets that Ray 2.60 listens with on all interfaces, whatever address it is given."""
WAIT_S = 2.0


@dataclass(frozen=True)
class Run:
    process: subprocess.Popen[str]
    folder: Path
    """Where temporary files go."""

    def family(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Run]:
    """A command that segments with two workers, for longer than anybody looks."""
    place = tmp_path_factory.mktemp("exposure")
    random_model(place / "m.safetensors", UNetConfig(base_channels=16, depth=3))
    pixels = np.random.default_rng(16).integers(0, 255, (8000, 6000, 3), np.uint8)
    tifffile.imwrite(place / "x.tif", pixels, tile=(512, 512), photometric="rgb")
    words = ["predict", place / "x.tif", "-m", place / "m.safetensors", "-o", place / "x.zarr", "-w", 2, "--tissue", "none"]
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="e") as short:
        process = subprocess.Popen(command(*words), stderr=subprocess.DEVNULL, text=True, env={**os.environ, "TMPDIR": short})
        while not any(path.is_file() for path in (place / "x.zarr" / "labels" / "segmentation" / "0" / "c").rglob("*")):
            assert process.poll() is None
            time.sleep(0.05)
        yield Run(process, Path(short))
        process.terminate()
        process.wait()


def listening(family: list[psutil.Process]) -> list[tuple[str, int]]:
    """Return addresses and ports that any of the processes listens at, for TCP."""
    found = set()
    for one in family:
        try:
            found |= {tuple(at.laddr) for at in one.net_connections("tcp") if at.status == psutil.CONN_LISTEN}
        except psutil.NoSuchProcess:
            continue
    return sorted(found)


def ask(port: int, method: str, path: str) -> str:
    """Return the first line of the answer to a request without a token; nothing where there is none."""
    body = '{"entrypoint": "true"}'
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as asked:
            asked.sendall(f"{head}{body}".encode())
            return asked.recv(200).split(b"\r\n")[0].decode("latin-1")
    except OSError:
        return ""


def test_nobody_is_answered_without_the_token(run) -> None:
    at = listening(run.family())
    off_loopback = [one for one in at if not ipaddress.ip_address(one[0]).is_loopback]
    asked_for = [(port, *request) for _, port in at for request in REQUESTS]
    with ThreadPoolExecutor(8) as at_once:
        answers = dict(zip(asked_for, at_once.map(lambda request: ask(*request), asked_for), strict=True))
    allowed = {what: said for what, said in answers.items() if said.startswith("HTTP/") and said.split()[1].startswith("2")}
    assert run.process.poll() is None
    assert len(at) >= 2  # Ray does listen, so something was asked
    assert allowed == {}
    assert len(off_loopback) <= MOST_OFF_LOOPBACK
    asked, spoke = len(answers), sum(said.startswith("HTTP/") for said in answers.values())
    report("R16", sockets=len(at), off_loopback=len(off_loopback), requests=asked, answers=spoke, unauthenticated_2xx=0)


def test_ray_refuses_whoever_has_another_token(run) -> None:
    """Its own protocol too: a driver with another secret does not get in."""
    server = next(one for one in run.family() if one.name().startswith("gcs_server"))
    port = next(word.partition("=")[2] for word in server.cmdline() if word.startswith("--gcs_server_port="))
    ports = [int(port)] if int(port) else [at[1] for at in listening([server])]
    code = (
        "import sys\nfrom ray._raylet import GcsClient\n"
        "try:\n    print(GcsClient(address=sys.argv[1]).get_all_node_info(timeout=5))\n"
        "except Exception as error:\n    print('refused', type(error).__name__, error)\n"
    )
    for mode in ("token", "disabled"):
        env = {**os.environ, "RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        for one in ports:
            words = [sys.executable, "-c", code, f"127.0.0.1:{one}"]
            seen = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)
            assert "NodeID" not in seen.stdout
            assert seen.returncode != 0 or "refused" in seen.stdout, seen.stdout


def test_secrets_and_sockets_are_their_users_alone(run) -> None:
    (folder,) = run.folder.glob("slideseg-*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    token = (folder / "token").read_text()
    for one in run.family():
        assert token not in " ".join(one.cmdline())
    sockets = [path for path in folder.rglob("*") if path.is_socket()]
    assert sockets
    assert not [path for path in run.folder.rglob("*") if path.is_socket() and folder not in path.parents]
    mode = oct(stat.S_IMODE((folder / "token").stat().st_mode))
    report("R16", token_mode=mode, folder_mode=oct(stat.S_IMODE(folder.stat().st_mode)), unix_sockets_inside=len(sockets))


def test_no_dashboard_is_there(run) -> None:
    """Ray starts its process all the same, for itself, without a page and without a port."""
    found = [one for one in run.family() if any("dashboard/dashboard.py" in word for word in one.cmdline())]
    assert [listening([one]) for one in found] == [[] for _ in found]
    assert all("--disable-frontend" in one.cmdline() for one in found)


class Open(http.server.BaseHTTPRequestHandler):
    """Answers whoever asks."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    do_POST = do_PUT = do_GET  # noqa: N815 - the server finds them by these names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_open_port_is_seen() -> None:
    """What `test_nobody_is_answered_without_the_token` finds nothing of, it would find."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Open) as server:
        threading.Thread(target=server.serve_forever).start()
        port = server.server_address[1]
        assert ("127.0.0.1", port) in listening([psutil.Process()])
        assert {ask(port, *request).split()[1] for request in REQUESTS} == {"200"}
        server.shutdown()
