"""The connection to Ray: to a cluster that is there, or to one of our own on this machine, which is gone when it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.exceptions import RayError

from slideseg.endpoints import travelling
from slideseg.errors import ClusterError, RunError, explain
from slideseg.tasks.base import Node
from slideseg.tasks.lifeline import LOOK_SECONDS, Head, OwnRay
from slideseg.tasks.private_folder import private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.errors import SlidesegError
    from slideseg.tasks.lifeline import Lifeline

CONNECT_SECONDS = 10
"""How long a cluster's address may take to answer."""
OBJECT_STORE_BYTES = 80 * 2**20
"""About the least Ray takes; nothing large is ever put there."""
KIND = "accelerator_type:"
"""In front of what Ray calls a GPU."""

QUIET: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
"""Settings that keep Ray's own messages off the terminal."""


class Session:
    """A connection that a thread of its own makes, keeps and ends.

    Linux ends Ray's processes with the thread that started them; that of a slide ends with the slide.
    """

    def __init__(self, workers: int, address: str | None) -> None:
        self._arguments = workers, address
        self._is_over = threading.Event()
        self._made: Future[None] = Future()
        self._lifeline: Lifeline | None = None
        self._tell: Callable[[SlidesegError], None] | None = None
        self._thread = threading.Thread(target=self._keep, name="ray", daemon=True)

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            ClusterError: if the cluster can't be reached.
        """
        self._thread.start()
        self._made.result()
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._is_over.set()
        self._thread.join()

    def tell_of_its_end(self, tell: Callable[[SlidesegError], None]) -> None:
        """Have ``tell`` called if Ray is gone, here or with its cluster's head; it would end this process some time later."""
        self._tell, self._lifeline = tell, lifeline(self._arguments[1])

    def _keep(self) -> None:
        try:
            with connected(*self._arguments):
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
def connected(workers: int, address: str | None) -> Iterator[None]:
    """Be connected to Ray: to a running cluster, or to one started on this machine for as long as the block lasts.

    Raises:
        ClusterError: if the cluster can't be reached.
        RunError: if Ray does not start on this machine.
    """
    if ray.is_initialized():  # the caller's own session: use it, leave it
        yield
        return
    with private_folder() if address is None else contextlib.nullcontext() as folder:
        on_terminate, on_breakpoint = signal.getsignal(signal.SIGTERM), os.environ.get("PYTHONBREAKPOINT")
        _connect(workers, address, folder)
        _set_environment("PYTHONBREAKPOINT", on_breakpoint)  # Ray's own would stay in a notebook
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_terminate)  # Ray puts its own in, which leaves with another status
        try:
            yield
        finally:
            ray.shutdown()


def _connect(workers: int, address: str | None, folder: str | None) -> None:
    try:
        if address is None:
            own: dict[str, Any] = {"address": "local", "_temp_dir": folder}  # whatever RAY_ADDRESS says
            ray.init(num_cpus=workers, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **own, **QUIET)
        else:
            check_address(address)
            ray.init(address=address, runtime_env={"env_vars": travelling()}, **QUIET)  # its nodes may know of no such server
    except (RayError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]  # Ray goes on with advice
        if address is None:
            raise RunError(explain("Ray does not start on this machine", got=reason, try_="slideseg doctor")) from error
        try_ = "ray status there, and its token in RAY_AUTH_TOKEN"
        raise ClusterError(explain(f"no Ray cluster answers at {address}", got=reason, try_=try_)) from error


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
    if address in ("auto", "local"):
        return
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        raise ClusterError(explain("the Ray address can't be read", got=address, want="auto, host:port or ray://host:port"))
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(explain(f"no Ray cluster answers at {address}", got=error, try_="ray status")) from error
