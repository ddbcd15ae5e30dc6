"""Run the tasks on Ray actors: one process a worker, on this machine or a cluster.

Pixels never travel through Ray: a task is a number, an answer a few numbers. One loop owns everything: it keeps at most
`IN_FLIGHT` tasks in every live actor, replaces an actor that died, and counts a strike against the tasks it died with.
Tasks with a strike are run alone, so that the third death convicts the right one. Ray's own restarts and retries are off:
they would hide which task killed the worker (``docs/decisions/0003-own-actor-replacement.md``).
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.exceptions import RayError, RayTaskError

from slideseg.endpoints import travelling
from slideseg.errors import ClusterError, SlideError, explain
from slideseg.machine import return_freed_memory, usable_cores
from slideseg.tasks.base import IN_FLIGHT, STRIKES, WAIT_FOR_WORKERS, Done, Failed, Worker, be_expendable
from slideseg.tasks.in_process import IN_PROCESS
from slideseg.tasks.private_folder import private_folder
from slideseg.tasks.share import use_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

log = logging.getLogger(__name__)

FIRST_WORD, NEXT_WORD = 10.0, 60.0
"""Seconds after which it is said that workers are waited for, and said again."""
KINDS = {"CPU": "cores", "GPU": "GPUs"}
"""What Ray calls what a worker needs, and what people do."""
FAILED_STARTS = 3
"""The run is given up when so many actors in a row died before they were ready."""
CONNECT_SECONDS = 10
"""How long a cluster's address may take to answer."""
OBJECT_STORE_BYTES = 80 * 2**20
"""About the least Ray takes; nothing large is ever put there."""

QUIET: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
"""Settings that keep Ray's own messages off the terminal."""


class RayExecutor:
    """Runs tasks on Ray actors."""

    def __init__(
        self, workers: int, address: str | None = None, gpus_per_worker: int = 0, wait: float = WAIT_FOR_WORKERS
    ) -> None:
        """Take so many actors.

        Args:
            workers: number of actors.
            address: a running cluster (``auto``, ``host:port``, ``ray://...``); None starts Ray on this machine when the
                first task is there to be run.
            gpus_per_worker: GPUs that Ray reserves for an actor whose work is not light.
            wait: seconds that the first actor is waited for.
        """
        self._workers, self._address, self._gpus, self._wait = workers, address, gpus_per_worker, wait
        self._started = contextlib.ExitStack()
        self._is_connected = False

    def __enter__(self) -> Self:
        """See whether a cluster that was named answers and has the cores or GPUs for at least one worker.

        Raises:
            ClusterError: if not.
        """
        if self._address is not None:
            with contextlib.ExitStack() as unless_there_is_room:
                self._connect()
                unless_there_is_room.callback(self.__exit__)
                self._check_room()
                unless_there_is_room.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cluster, or end the Ray that was started."""
        self._is_connected = False
        self._started.close()

    def run(self, make_worker: Callable[[], Worker], tasks: Sequence[int], *, light: bool = False) -> Generator[Done | Failed]:
        """Yield one event a task, as they end; on one machine light ones in this process, whose threads are there at once.

        Raises:
            ClusterError: if the workers don't start.
        """
        if light and self._address is None:
            yield from IN_PROCESS.run(make_worker, tasks, light=True)
            return
        self._connect()
        needs = _Needs(0 if light else self._gpus, self._threads(), self._wait)
        crew = _Crew(ray.put(make_worker), deque(tasks), self._workers, needs)
        try:
            yield from crew.work()
        finally:
            crew.dismiss()

    def dask_scheduler(self) -> Any:
        """Return the function that computes Dask's graphs as tasks of the cluster; on one machine its own threads."""
        if self._address is None:
            return IN_PROCESS.dask_scheduler()
        self._connect()
        return _compute_graph

    def _threads(self) -> int:
        """Return the threads that a worker may use for small work: its share of this machine, on a cluster one."""
        return max(1, usable_cores() // self._workers) if self._address is None else 1

    def _connect(self) -> None:
        if not self._is_connected:
            self._started.enter_context(connected(self._workers, self._address))
            self._is_connected = True

    def _check_room(self) -> None:
        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        if there.get("CPU", 0) < 1 or there.get("GPU", 0) < self._gpus:
            want = f"1 core and {self._gpus:g} GPUs a worker"
            raise ClusterError(explain(f"the cluster at {self._address} has no room for a worker", got=there, want=want))


class _Actor:
    """The process that holds one worker."""

    def __init__(self, make_worker: Callable[[], Worker], threads: int) -> None:
        self._make_worker, self._threads = make_worker, threads
        self._worker: Worker | None = None

    def ready(self) -> None:
        """Make the worker; not in ``__init__``, whose errors Ray hands on only as text."""
        return_freed_memory()
        be_expendable()
        use_threads(self._threads)
        self._worker = self._make_worker()

    def run(self, task: int) -> Any:
        """Do a task."""
        if self._worker is None:
            msg = "a task came before the worker was ready"
            raise RuntimeError(msg)
        return self._worker(task)


@dataclass
class _Member:
    """One actor as the driver sees it."""

    actor: Any
    ready: Any
    """Reference of its `ready` call; None once it has answered."""
    tasks: dict[Any, int] = field(default_factory=dict)
    """Tasks in flight by the reference of their answer."""


@dataclass(frozen=True, slots=True)
class _Needs:
    """What an actor is to have."""

    gpus: float
    threads: int
    """For small work."""
    wait: float
    """Seconds that the first one is waited for."""

    def __str__(self) -> str:
        """Return what Ray reserves for each."""
        return "1 core" + (f" and {self.gpus:g} GPU" if self.gpus else "")


class _Crew:
    """The actors of one run, and what each has in hand."""

    def __init__(self, make_worker: Any, waiting: deque[int], most: int, needs: _Needs) -> None:
        """Hire as many actors as there is work for, ``most`` at most."""
        self._make_worker = make_worker
        self._waiting = waiting
        self._needs = needs
        self._strikes: Counter[int] = Counter()
        self._failed_starts = 0
        self._members = [self._hire() for _ in range(min(most, len(waiting)))]

    def work(self) -> Iterator[Done | Failed]:
        """Yield what became of the tasks until none is left."""
        while self._waiting or any(member.tasks for member in self._members):
            for member in self._members:
                self._hand_out(member)
            pending = [ref for member in self._members for ref in (*member.tasks, *_some(member.ready))]
            yield from self._ended(self._first_of(pending))

    def _first_of(self, pending: list[Any]) -> Any:
        """Return the first answer; while no actor is there yet, say now and then what is waited for.

        Raises:
            ClusterError: if none could be had for too long.
        """
        begun, word = time.monotonic(), FIRST_WORD
        while True:
            nobody = all(member.ready is not None for member in self._members)
            left = begun + self._needs.wait - time.monotonic()
            ended = ray.wait(pending, num_returns=1, timeout=max(0.0, min(word, left)) if nobody else None)[0]
            if ended:
                return ended[0]
            waited = time.monotonic() - begun
            if waited >= self._needs.wait:
                what = f"no worker could be had in {waited:.0f} s"
                try_ = "when the cluster is free, or a longer --wait-for-workers"
                raise ClusterError(explain(what, got=_room(), want=f"{self._needs} for each", try_=try_))
            log.warning("waiting for workers for %.0f s: each needs %s; %s", waited, self._needs, _room())
            word = NEXT_WORD

    def dismiss(self) -> None:
        """End all actors."""
        for member in self._members:
            ray.kill(member.actor)

    def _hire(self) -> _Member:
        actor_class = ray.remote(_Actor).options(
            num_cpus=1,
            num_gpus=self._needs.gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=IN_FLIGHT + 1,
        )
        actor: Any = actor_class.remote(self._make_worker, self._needs.threads)
        return _Member(actor, actor.ready.remote())

    def _hand_out(self, member: _Member) -> None:
        """Give a live member work up to `IN_FLIGHT` tasks; a suspect task only alone."""
        while self._waiting and member.ready is None and len(member.tasks) < IN_FLIGHT:
            suspect_in_hand = any(self._strikes[task] for task in member.tasks.values())
            if suspect_in_hand or (self._strikes[self._waiting[0]] and member.tasks):
                return
            task = self._waiting.popleft()
            member.tasks[member.actor.run.remote(task)] = task

    def _ended(self, ref: Any) -> Iterator[Done | Failed]:
        """Take one answer: of a task, or of a member that is ready."""
        member = next(m for m in self._members if ref in m.tasks or ref is m.ready)
        try:
            result = ray.get(ref)
        except RayTaskError as error:
            cause = _cause(error)
            if ref is member.ready or not isinstance(cause, SlideError):
                raise cause from None
            yield Failed(member.tasks.pop(ref), str(cause))
        except RayError as error:
            yield from self._replace(member, error)
        else:
            self._failed_starts = 0
            if ref is member.ready:
                member.ready = None
            else:
                yield Done(member.tasks.pop(ref), result)

    def _replace(self, member: _Member, error: RayError) -> Iterator[Done | Failed]:
        """Put a new actor in a dead one's place; its tasks wait again with a strike, or are given up."""
        if member.ready is not None:
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS:
                reason = str(error).strip().splitlines()[0]
                raise ClusterError(explain("the workers do not start", got=reason, try_="fewer --workers, or --debug"))
        for ref, task in member.tasks.items():
            if _is_done(ref):
                yield Done(task, ray.get(ref))
                continue
            self._strikes[task] += 1
            if self._strikes[task] >= STRIKES:
                yield Failed(task, explain("it killed its worker", got=f"{STRIKES} deaths", try_="ray logs, or more --memory"))
            else:
                self._waiting.append(task)
        with contextlib.suppress(RayError):
            ray.kill(member.actor)
        self._members[self._members.index(member)] = self._hire()


def _room() -> str:
    """Say what the cluster has, and what of it is free."""
    there, free = ray.cluster_resources(), ray.available_resources()  # type: ignore[no-untyped-call]
    parts = [f"{there.get(name, 0):g} {what}, {free.get(name, 0):g} free" for name, what in KINDS.items() if name in there]
    return f"the cluster has {' and '.join(parts) or 'no cores'}"


def _compute_graph(*arguments: Any, **settings: Any) -> Any:
    """Compute a graph of Dask's as tasks of Ray; what a task raised is raised as it was."""
    from ray.util.dask import ray_dask_get  # noqa: PLC0415 - it imports Dask

    try:
        return ray_dask_get(*arguments, **settings)
    except RayTaskError as error:
        raise _cause(error) from None


def _some(ref: Any) -> list[Any]:
    return [] if ref is None else [ref]


def _is_done(ref: Any) -> bool:
    """Tell whether a dead actor's answer had arrived all the same."""
    if not ray.wait([ref], timeout=0)[0]:
        return False
    try:
        ray.get(ref)
    except RayError:
        return False
    return True


def _cause(error: RayTaskError) -> BaseException:
    """Return what the worker raised."""
    return error.cause if isinstance(error.cause, BaseException) else error


@contextlib.contextmanager
def connected(workers: int, address: str | None) -> Iterator[None]:
    """Be connected to Ray: to a running cluster, or to one started on this machine for as long as the block lasts.

    Raises:
        ClusterError: if the cluster can't be reached.
    """
    if ray.is_initialized():  # the caller's own session: use it, leave it
        yield
        return
    with private_folder() if address is None else contextlib.nullcontext() as folder:
        on_terminate = signal.getsignal(signal.SIGTERM)
        _connect(workers, address, folder)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_terminate)  # Ray puts its own in, which leaves with another status
        try:
            yield
        finally:
            ray.shutdown()


def _connect(workers: int, address: str | None, folder: str | None) -> None:
    if address is None:
        own: dict[str, Any] = {"address": "local", "_temp_dir": folder}  # whatever RAY_ADDRESS says
        ray.init(num_cpus=workers, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **own, **QUIET)
        return
    check_address(address)
    try:
        ray.init(address=address, runtime_env={"env_vars": travelling()}, **QUIET)  # its nodes may know of no such server
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ClusterError(explain(f"no Ray cluster answers at {address}", got=reason, try_="ray status")) from error


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
