"""Run the tasks on Ray actors: one process a worker, on this machine or a cluster.

Pixels never travel through Ray: a task is a number, an answer a few numbers. Who does which task is the pool's business
(`tasks/pool.py`); here is what its processes are. Ray's own restarts and retries are off: they would hide which task killed
the worker.
"""

from __future__ import annotations

import contextlib
import platform
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.exceptions import GetTimeoutError, RayError, RaySystemError, RayTaskError
from ray.util.scheduling_strategies import NodeLabelSchedulingStrategy, NotIn

from slideseg.errors import ClusterError, RunError, SlideError, explain
from slideseg.machine import return_freed_memory, usable_cores
from slideseg.tasks.base import MOMENT, WAIT_FOR_WORKERS, Done, Executor, Failed, Worker, be_expendable, in_flight
from slideseg.tasks.head_start import session_for
from slideseg.tasks.in_process import IN_PROCESS
from slideseg.tasks.metrics import Metrics
from slideseg.tasks.pool import Pool
from slideseg.tasks.process import Died, NotMadeError, Outcome, Process, Raised, Ready, Returned
from slideseg.tasks.share import use_threads
from slideseg.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Sequence
    from concurrent.futures import Future

    from slideseg.tasks.base import Counted, WorkerTime

KINDS = {"CPU": "cores", "GPU": "GPUs"}
"""What Ray calls what a worker needs, and what people do."""
NODE_ID = "ray.io/node-id"
"""Ray's name of the label that tells nodes apart."""
SMALL_BYTES = 64 * 1024
"""What a worker is made of travels with each task up to here: some hundred bytes as a rule, some megabytes at most."""
FETCH_SECONDS = 120.0
"""How long it may take to a node where it is larger."""
GRACE = 30.0
"""Seconds after which a cluster knows that a node is gone whose network was cut."""


class RayExecutor:
    """Runs tasks on Ray actors: one pool of them for all who have tasks, from the first to the end of the ``with`` block."""

    def __init__(
        self,
        workers: int,
        address: str | None = None,
        gpus_per_worker: int = 0,
        wait: float = WAIT_FOR_WORKERS,
        run: str = "",
    ) -> None:
        """Take so many actors.

        Args:
            workers: number of actors.
            address: a running cluster (``auto``, ``host:port``, ``ray://...``); None starts Ray on this machine when the
                first task is there to be run.
            gpus_per_worker: GPUs that Ray reserves for an actor.
            wait: seconds that the first actor is waited for.
            run: what the run is called in a cluster's metrics; empty for none.
        """
        self._address, self._workers, self._run = address, workers, run
        threads = 1 if address is not None else max(1, usable_cores() // workers)
        self._actors = _Actors(workers, wait, gpus_per_worker, threads, GRACE if address is not None else 0.0)
        self._started = contextlib.ExitStack()
        self._starting = threading.Lock()
        self._pool: Pool | None = None
        self._metrics: Metrics | None = None

    def __enter__(self) -> Self:
        """See whether a cluster that was named answers and has the cores or GPUs for at least one worker.

        Raises:
            ClusterError: if not.
        """
        if self._address is not None:
            with contextlib.ExitStack() as unless_there_is_room:
                unless_there_is_room.callback(self.__exit__)
                self._started_pool()
                self._check_room()
                unless_there_is_room.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the actors; leave the cluster, or end the Ray that was started."""
        self._pool = self._metrics = None
        self._started.close()

    def at(self, place: int) -> Executor:
        """Return the same actors as somebody sees them whose tasks come after those of lower places."""
        return _At(self, place)

    def count(self, what: Counted, number: int = 1) -> None:
        """Count something for the cluster's metrics."""
        metrics = self._metrics
        if metrics is not None:
            metrics.count(what, number)

    @property
    def is_here(self) -> bool:
        """Whether light tasks are done by this process."""
        return self._address is None

    def run(
        self, make_worker: Callable[[], Worker], tasks: Sequence[int], *, light: bool = False, place: int = 0
    ) -> Generator[Done | Failed]:
        """Yield one event a task, as they end; on one machine light ones in this process, whose threads are there at once.

        Raises:
            ClusterError: if no worker can be had.
            RunError: if the workers don't start.
        """
        if light and self._address is None:
            return IN_PROCESS.run(make_worker, tasks, light=True)
        return self._started_pool().run(make_worker, tasks, place) if tasks else IN_PROCESS.run(make_worker, [])

    @property
    def is_hungry(self) -> bool:
        """Whether more tasks could be begun than there are, now or within the time that it takes to come by more."""
        return self._pool is None or self._pool.is_hungry

    @property
    def spent(self) -> tuple[WorkerTime, ...]:
        """How the actors spent their time."""
        return () if self._pool is None else self._pool.spent

    @property
    def failure(self) -> BaseException | None:
        """Why no actors can be had any more; None while they can."""
        return None if self._pool is None else self._pool.failure

    def _started_pool(self) -> Pool:
        with self._starting:
            if self._pool is None:
                session = self._started.enter_context(session_for(self._workers, self._address))
                self._pool = Pool(self._actors)
                self._started.callback(self._pool.close)
                session.tell_of_its_end(self._pool.give_up)
                if self._address is not None and self._run:
                    self._metrics = Metrics(self._run, self._pool)
                    self._started.callback(self._metrics.close)
            return self._pool

    def _check_room(self) -> None:
        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        if there.get("CPU", 0) < 1 or there.get("GPU", 0) < self._actors.gpus:
            want = f"1 core and {self._actors.gpus:g} GPUs a worker"
            raise ClusterError(explain(f"the cluster at {self._address} has no room for a worker", got=there, want=want))


@dataclass(frozen=True, slots=True)
class _At:
    """The actors as one of several sees them who share them."""

    executor: RayExecutor
    place: int

    def __enter__(self) -> Self:
        """Do nothing: the executor is entered by whoever owns it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: its owner ends it."""

    @property
    def is_here(self) -> bool:
        """Whether light tasks are done by this process."""
        return self.executor.is_here

    @property
    def spent(self) -> tuple[WorkerTime, ...]:
        """How the actors spent their time, whoever had tasks for them."""
        return self.executor.spent

    def count(self, what: Counted, number: int = 1) -> None:
        """Count something for the cluster's metrics."""
        self.executor.count(what, number)

    def run(self, make_worker: Callable[[], Worker], tasks: Sequence[int], *, light: bool = False) -> Generator[Done | Failed]:
        """Yield one event a task, as they end."""
        return self.executor.run(make_worker, tasks, light=light, place=self.place)


@dataclass(frozen=True, slots=True)
class _Actors:
    """Hires actors."""

    most: int
    wait: float
    gpus: int
    threads: int
    """That an actor may use for small work."""
    grace: float

    @property
    def in_flight(self) -> int:
        """Tasks under way in an actor at most."""
        return in_flight(self.gpus)

    def hire(self, avoid: Collection[str]) -> Process:
        """Ask for an actor; Ray's own restarts and retries are off."""
        settings: dict[str, Any] = {"num_cpus": 1, "num_gpus": self.gpus, "max_restarts": 0, "max_task_retries": 0}
        if avoid:
            settings["scheduling_strategy"] = NodeLabelSchedulingStrategy(hard={NODE_ID: NotIn(*avoid)})  # type: ignore[no-untyped-call]
        actor_class = ray.remote(_Actor).options(**settings, max_concurrency=self.in_flight + 1)
        return _ActorProcess(actor_class.remote(self.threads, __version__))

    def name_of(self, machine: str) -> str:
        """Return a node's host, or its number where it is not known any more."""
        nodes = ray.nodes()  # type: ignore[no-untyped-call]
        return next(
            (f"node {node['NodeManagerHostname']}" for node in nodes if node["NodeID"] == machine), f"node {machine[:8]}"
        )

    def pack(self, make_worker: Callable[[], Worker]) -> Any:
        """Return it as it is, to travel with each task; if it is large a reference, which actors follow once a batch.

        What has a reference lies in Ray's store on this node: who puts it there once that is gone is ended without a word.
        """
        is_small = len(ray.cloudpickle.dumps(make_worker)) <= SMALL_BYTES  # type: ignore[no-untyped-call]
        return make_worker if is_small else [ray.put(make_worker)]

    def is_gone(self, machine: str) -> bool:
        """Tell whether Ray counts a node for dead."""
        nodes = ray.nodes()  # type: ignore[no-untyped-call]
        return not any(node["Alive"] for node in nodes if node["NodeID"] == machine)

    def has_others(self, machines: Collection[str]) -> bool:
        """Tell whether an actor could be on another node than these."""
        nodes = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in machines]  # type: ignore[no-untyped-call]
        return any(node["Resources"].get("CPU", 0) >= 1 and node["Resources"].get("GPU", 0) >= self.gpus for node in nodes)

    def needs(self) -> str:
        """Return what Ray reserves for an actor."""
        return "1 core" + (f" and {self.gpus:g} GPU" if self.gpus else "")

    def room(self) -> str:
        """Say what the cluster has, and what of it is free."""
        there, free = ray.cluster_resources(), ray.available_resources()  # type: ignore[no-untyped-call]
        parts = [f"{there.get(name, 0):g} {what}, {free.get(name, 0):g} free" for name, what in KINDS.items() if name in there]
        return f"the cluster has {' and '.join(parts) or 'no cores'}"


class _Actor:
    """The process that makes workers and has them do tasks, several at a time."""

    def __init__(self, threads: int, version: str) -> None:
        self._threads, self._version = threads, version
        self._workers: dict[int, Worker] = {}
        self._making = threading.Lock()

    def ready(self) -> Ready:
        """Make this process fit for work; return the node it is on, and what it lacks."""
        return_freed_memory()
        be_expendable()
        use_threads(self._threads)
        complaint = None
        if __version__ != self._version:
            complaint = explain("it has another slideseg", got=__version__, want=self._version, try_="the same everywhere")
        return Ready(ray.get_runtime_context().get_node_id(), complaint, platform.node())

    def ping(self) -> None:
        """Answer."""

    def run(self, batch: int, make_worker: Any, tasks: Sequence[int]) -> list[Outcome]:
        """Do tasks with the batch's worker until a moment is over."""
        with self._making:
            if batch not in self._workers:
                try:
                    make = make_worker if callable(make_worker) else _fetched(make_worker[0])
                    self._workers[batch] = make()
                except Exception as error:
                    raise NotMadeError(error) from error
            worker = self._workers[batch]
        until, outcomes = time.monotonic() + MOMENT, [_tried(worker, tasks[0])]
        for task in tasks[1:]:
            if time.monotonic() >= until:
                break
            outcomes.append(_tried(worker, task))
        return outcomes

    def forget(self, batch: int) -> None:
        """Close a batch's worker."""
        worker = self._workers.pop(batch, None)
        if worker is not None:
            worker.close()


def _tried(worker: Worker, task: int) -> Outcome:
    """Return what a task gave, or that its slide can't be read there."""
    try:
        return Returned(worker(task))
    except SlideError as error:
        return Raised(error)


def _fetched(reference: Any) -> Any:
    """Return what a reference stands for.

    Raises:
        RunError: if it can't be read here, or does not come: nodes that can't reach each other would wait for ever, and answer
            when they are asked.
    """
    try:
        return ray.get(reference, timeout=FETCH_SECONDS)
    except GetTimeoutError as error:
        what = f"{platform.node()} got no work from the command within {FETCH_SECONDS:.0f} s"
        raise RunError(explain(what, try_="a network that is open between all nodes and the command's")) from error
    except RaySystemError as error:
        raise _unreadable(error) from error


class _ActorProcess:
    """An actor as a `Process` of the pool."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def ready(self, then: Callable[[Outcome], None]) -> None:
        _when_answered(self._actor.ready.remote(), then)

    def ping(self, then: Callable[[Outcome], None]) -> None:
        _when_answered(self._actor.ping.remote(), then)

    def run(self, batch: int, make_worker: Any, tasks: Sequence[int], then: Callable[[Outcome], None]) -> None:
        _when_answered(self._actor.run.remote(batch, make_worker, tasks), then)

    def forget(self, batch: int) -> None:
        self._actor.forget.remote(batch)

    def kill(self) -> None:
        with contextlib.suppress(RayError):
            ray.kill(self._actor)


def _when_answered(ref: Any, then: Callable[[Outcome], None]) -> None:
    ref.future().add_done_callback(lambda future: then(_outcome(future)))


def _outcome(future: Future[Any]) -> Outcome:
    error = future.exception()
    if error is None:
        return Returned(future.result())
    if isinstance(error, RayTaskError):
        return Raised(_cause(error))
    if isinstance(error, RayError):
        return Died(str(error).strip().splitlines()[0])
    return Raised(error)


def _cause(error: RayTaskError) -> BaseException:
    """Return what the worker raised, or what kept it from being made of what came."""
    if isinstance(error.cause, RaySystemError):
        return NotMadeError(_unreadable(error.cause))
    return error.cause if isinstance(error.cause, BaseException) else error


def _unreadable(error: RaySystemError) -> RunError:
    got = str(error).partition("\n")[0].removeprefix("System error: ")
    return RunError(
        explain("what the command sends can't be read by its workers", got=got, try_="slideseg doctor on each node")
    )
