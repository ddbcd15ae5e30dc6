"""The connection to Ray: to a cluster that is there, or to one of our own on this machine, which is gone when it ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.exceptions import RayError
from ray.job_config import JobConfig

from slideseg.endpoints import travelling
from slideseg.errors import ClusterError, RunError, explain
from slideseg.machine import KEEPING
from slideseg.tasks.base import Node
from slideseg.tasks.lifeline import LOOK_SECONDS, Head, OwnRay, end_hiring
from slideseg.tasks.private_folder import private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.errors import SlidesegError
    from slideseg.tasks.lifeline import Lifeline

CONNECT_SECONDS = 10
"""How long a cluster's address may take to answer."""
OBJECT_STORE_BYTES = 80 * 2**20
"""About the least Ray takes; nothing large is ever put there."""
KEEP_SECONDS = 0.02
"""Between two times that handlers are put back, while Ray starts and ends."""
LARGEST_ACTION = 512
"""More bytes than any system's ``struct sigaction`` has."""
EMPTY_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""An HTTP/2 frame (RFC 9113, 4.1): 3 bytes of length, the type, flags, the stream."""
KIND = "accelerator_type:"
"""In front of what Ray calls a GPU."""

QUIET: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
"""Settings that keep Ray's own messages off the terminal."""


class Session:
    """A connection that a thread of its own makes, keeps and ends.

    Linux ends Ray's processes with the thread that started them; that of a slide ends with the slide.
    """

    def __init__(self, workers: int, address: str | None, module: str = "") -> None:
        """Take what there is to connect to.

        Args:
            workers: cores of a Ray of our own.
            address: a running cluster; None for a Ray of our own.
            module: what the workers of a Ray of our own load as soon as they are there.
        """
        self.arguments = workers, address
        """For how many workers, and where."""
        self._module = module
        self._is_over = threading.Event()
        self._made: Future[None] = Future()
        self._lifeline: Lifeline | None = None
        self._tell: Callable[[SlidesegError], None] | None = None
        self._thread = threading.Thread(target=self._keep, name="ray", daemon=True)

    def begin(self) -> None:
        """Begin to connect; what goes wrong is raised by who enters."""
        self._thread.start()

    def __enter__(self) -> Self:
        """Connect, or wait until what was begun is done.

        Raises:
            ClusterError: if the cluster can't be reached.
        """
        if self._thread.ident is None:
            self.begin()
        self._made.result()
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self.end()

    def leave(self) -> None:
        """Have it disconnect as soon as what was begun is done; that is not waited for."""
        self._is_over.set()

    def end(self) -> None:
        """Disconnect, as soon as what was begun is done."""
        self.leave()
        self._thread.join()

    def tell_of_its_end(self, tell: Callable[[SlidesegError], None]) -> None:
        """Have ``tell`` called if Ray is gone, here or with its cluster's head; it would end this process some time later."""
        self._tell, self._lifeline = tell, lifeline(self.arguments[1])

    def _keep(self) -> None:
        try:
            with connected(*self.arguments, self._module):
                self._made.set_result(None)
                self._watch()
        except Exception as error:
            if self._made.done():
                raise
            self._made.set_exception(error)

    def _watch(self) -> None:
        """Look after what the run hangs on until it is over, and tell if it is gone."""
        while not self._is_over.wait(LOOK_SECONDS):
            try:
                if self._lifeline is not None:
                    self._lifeline.check()
            except RunError as error:
                self._lifeline = None
                if self._tell is not None:
                    self._tell(error)


@contextlib.contextmanager
def connected(workers: int, address: str | None, module: str = "") -> Iterator[str | None]:
    """Be connected to Ray: to a running cluster, or to one started on this machine for as long as the block lasts.

    Args:
        workers: cores of a Ray of our own.
        address: a running cluster; None for a Ray of our own.
        module: what the workers of a Ray of our own load as soon as they are there; empty for nothing.

    Yields:
        The folder of the one that was started, which is gone after it, however it ends; None where none was.

    Raises:
        ClusterError: if the cluster can't be reached.
        RunError: if Ray does not start on this machine.
    """
    if ray.is_initialized():  # the caller's own session: use it, leave it
        yield None
        return
    with private_folder() if address is None else contextlib.nullcontext() as folder:
        on_breakpoint = os.environ.get("PYTHONBREAKPOINT")
        with _handlers_kept():
            _connect(workers, address, folder, module)
        if folder is not None:
            end_hiring()
        _set_environment("PYTHONBREAKPOINT", on_breakpoint)  # Ray's own would stay in a notebook
        try:
            yield folder
        finally:
            with _handlers_kept():
                ray.shutdown()


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Have a request to stop do what it did: Ray puts handlers of its own in, in Python and below, and takes ours out.

    Theirs write the stack to stderr, leave with another status, and now and then abort. Those below can be put back from any
    thread, and are all the time, since Ray takes seconds; Python's by the main thread alone, where Ray only changes them.
    """
    in_python, below = signal.getsignal(signal.SIGTERM), ctypes.create_string_buffer(LARGEST_ACTION)
    libc, is_over = ctypes.CDLL(None), threading.Event()
    libc.sigaction(signal.SIGTERM, None, below)

    def keep() -> None:
        while not is_over.wait(KEEP_SECONDS):
            libc.sigaction(signal.SIGTERM, below, None)

    keeper = threading.Thread(target=keep, name="handlers", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        is_over.set()
        keeper.join()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, in_python)
        libc.sigaction(signal.SIGTERM, below, None)


def _connect(workers: int, address: str | None, folder: str | None, module: str) -> None:
    if address is not None:
        check_address(address)
    try:
        if address is None:
            own: dict[str, Any] = {"address": "local", "_temp_dir": folder}  # whatever RAY_ADDRESS says
            if module:
                own["_system_config"] = {"preload_python_modules": [module]}
            size: dict[str, Any] = {"num_cpus": workers, "object_store_memory": OBJECT_STORE_BYTES}
            ray.init(include_dashboard=False, job_config=_job(), **size, **own, **QUIET)
        else:
            ray.init(address=address, runtime_env={"env_vars": {**KEEPING, **travelling()}}, job_config=_job(), **QUIET)
    except (RayError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]  # Ray goes on with advice
        if address is None:
            raise RunError(explain("Ray does not start on this machine", got=reason, try_="slideseg doctor")) from error
        try_ = "ray status there, and its token in RAY_AUTH_TOKEN"
        raise ClusterError(explain(f"no Ray cluster answers at {address}", got=reason, try_=try_)) from error


def _job() -> JobConfig:
    """Return how workers find modules: where this process does.

    Ray has them look in the folder that the command was typed in, too, and first: a ``numpy.py`` beside somebody's slides would
    run. It does not for a job of its client.
    """
    is_looked_in = not {"", str(Path.cwd())}.isdisjoint(sys.path)
    return JobConfig(_client_job=not is_looked_in)


def _set_environment(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def lifeline(address: str | None) -> Lifeline:
    """Return what a run hangs on that is connected to a cluster, or to a Ray of its own where there is no ``address``."""
    if address is None:
        return OwnRay()
    return Head(address.removeprefix("ray://") if address.startswith("ray://") else ray.get_runtime_context().gcs_address)


def nodes_there() -> tuple[Node, ...]:
    """Return the nodes of the cluster that this process is connected to."""
    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return tuple(
        Node(
            cores=there.get("CPU", 0),
            gpus=there.get("GPU", 0),
            memory=int(there.get("memory", 0)),
            gpu_kinds=tuple(name.removeprefix(KIND) for name in there if name.startswith(KIND)),
        )
        for there in found
    )


def check_address(address: str) -> None:
    """See whether anything listens at a cluster's address, so that a wrong one is told in seconds.

    Raises:
        ClusterError: if nothing does, or the address can't be read.
    """
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        got, want = address or "nothing", "auto, host:port or ray://host:port"
        raise ClusterError(explain("the Ray address can't be read", got=got, want=want, try_="none, for this machine alone"))
    what = f"no Ray cluster answers at {address}"
    try:
        is_one = _speaks_grpc(host.strip("[]"), int(port))
    except (OSError, OverflowError) as error:
        raise ClusterError(explain(what, got=error, try_="ray status")) from error
    if not is_one:
        raise ClusterError(explain(what, got="something else", want="the port of its head", try_="ray status there"))


def _speaks_grpc(host: str, port: int) -> bool:
    """Tell whether whoever listens begins with settings, as an HTTP/2 server does (RFC 9113, 3.4); behind TLS it may."""
    with socket.create_connection((host, port), CONNECT_SECONDS) as there:
        if os.environ.get("RAY_USE_TLS") == "1":
            return True
        there.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EMPTY_SETTINGS)
        return there.recv(len(EMPTY_SETTINGS))[3:4] == EMPTY_SETTINGS[3:4]
