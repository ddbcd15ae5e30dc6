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
from slideseg.tasks.janitor import PROCESSES
from slideseg.tasks.private_folder import private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.errors import SlidesegError

CONNECT_SECONDS = 10
"""How long a cluster's address may take to answer."""
OBJECT_STORE_BYTES = 80 * 2**20
"""About the least Ray takes; nothing large is ever put there."""
KIND = "accelerator_type:"
"""In front of what Ray calls a GPU."""
LOOK_SECONDS = 1.0
"""How often it is looked whether the Ray that was started is still there."""

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
        """Have ``tell`` called if the Ray on this machine is killed; Ray itself would end this process some seconds later."""
        self._tell = tell

    def _keep(self) -> None:
        try:
            with connected(*self._arguments):
                self._made.set_result(None)
                raylet = _raylet_below()
                while not self._is_over.wait(LOOK_SECONDS):
                    if raylet is not None and not _runs(raylet) and self._tell is not None:
                        what = "Ray was killed on this machine, and the workers with it"
                        self._tell(RunError(explain(what, try_="the same command again, it goes on from here")))
                        raylet = None
        except Exception as error:
            if self._made.done():
                raise
            self._made.set_exception(error)


def _raylet_below() -> int | None:
    """Return the number of the process that manages the workers, if this process has started it."""
    for process in PROCESSES.glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):  # it has ended
            name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
            if name.startswith("raylet") and int(rest.split()[1]) == os.getpid():
                return int(process.name)
    return None


def _runs(process: int) -> bool:
    """Tell whether a process of ours is there, and not dead but for our taking note of it."""
    try:
        return (PROCESSES / str(process) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


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
        reason = str(error).strip().partition("\n")[0]
        if address is None:
            raise RunError(explain("Ray does not start on this machine", got=reason, try_="slideseg doctor")) from error
        try_ = "ray status there, and its token in RAY_AUTH_TOKEN"
        raise ClusterError(explain(f"no Ray cluster answers at {address}", got=reason, try_=try_)) from error


def _set_environment(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


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
