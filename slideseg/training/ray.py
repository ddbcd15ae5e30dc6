"""Train on Ray: Ray Train starts the workers, joins them to a process group, and starts them again when one dies.

What a worker does is what a single process does: open the data, take the run's folder, `slideseg.training.learning.loop.fit`.
The folder holds the only state: workers that are started again, or a whole new command, go on from its newest checkpoint
(``docs/decisions/0005-own-checkpoints.md``).
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from logging.handlers import QueueHandler
from typing import TYPE_CHECKING, Any

import ray
import ray.train
import torch
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.queue import Empty, Full, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from slideseg.errors import ClusterError, RunError, SlidesegError, explain
from slideseg.machine import KEEPING, keep_freed_memory, usable_cores
from slideseg.tasks.lifeline import LOOK_SECONDS
from slideseg.tasks.session import connected, lifeline
from slideseg.tasks.share import use_threads
from slideseg.training.check import check_batch, tell, tell_of_course
from slideseg.training.learning.loop import fit
from slideseg.training.record.run_folder import RunFolder
from slideseg.training.samples.batches import Batches
from slideseg.training.team import Team
from slideseg.training.workplace import Workplace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.storage.lease import Claim
    from slideseg.tasks.lifeline import Lifeline
    from slideseg.training.recipe.schema import TrainConfig
    from slideseg.training.record.beginning import Beginning
    from slideseg.training.record.progress import TrainProgress, Watcher

RESTARTS = 10
"""The run is given up when its workers had to be started again so often."""
START_FAILURES = 3
"""... and when they could not be started so often, by Ray or by asking it anew."""
SILENT_SECONDS = 600
"""A worker that waits so long for another believes it dead."""
ROOM_SECONDS = 20
"""How long nodes may take to join a cluster that has no room yet."""
WAIT_SECONDS = 0.2
"""Between two looks at what the workers have to tell."""


@dataclass(frozen=True, slots=True)
class RayTraining:
    """A training by several workers; each of them gets it whole."""

    recipe: TrainConfig
    """What to train."""
    beginning: Beginning
    """What the run's folder is to say that the run began with."""
    resume: bool
    """Whether a run that began otherwise goes on."""
    claim: Claim
    """The lease on the run's folder, which is a path that all nodes share, or ``s3://bucket/prefix``. This process holds it, on
    another machine perhaps than the first worker, which writes."""
    place: Workplace
    """Where, and by how many."""

    def run(self, watch: Watcher) -> None:
        """Train to the end.

        Raises:
            ClusterError: if the cluster can't be reached, has no room for the workers, or can't start them.
            RunError: if the workers died again and again.
            SlidesegError: what a worker raised.
        """
        for _ in range(START_FAILURES - 1):
            with contextlib.suppress(_DiedAtStartError):
                return self._run_once(watch)
        return self._run_once(watch)

    def _run_once(self, watch: Watcher) -> None:
        """Train to the end by one connection to Ray, whose end gives back all that was taken of the cluster."""
        place = self.place
        own = place.workers if isinstance(place.workers, int) else 1
        with connected(own, place.address) as folder, tempfile.TemporaryDirectory(prefix="slideseg-", dir=folder) as local:
            training = self.decided()
            training.wait_for_room()
            storage = local if place.address is None else self.claim.url
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            inbox = Queue(maxsize=1000, actor_options={"num_cpus": 0, "scheduling_strategy": here})
            pool = ThreadPoolExecutor(1)  # not in the main thread, where Ray would take Ctrl-C for itself
            fitting = pool.submit(training.trainer(inbox, storage).fit)
            pool.shutdown(wait=False)  # nobody waits for it when Ctrl-C comes
            has_begun = False
            for progress in _received(inbox, fitting, lifeline(place.address)):
                has_begun = True
                watch(progress)
            _check_end(fitting, has_begun=has_begun)

    def decided(self) -> RayTraining:
        """Return the training with numbers for what was left to the cluster.

        Raises:
            ConfigError: if the batch can't be shared by so many workers.
        """
        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        device, workers = self.place.device, self.place.workers
        if device == "auto":
            device = "cuda" if there.get("GPU", 0) >= 1 else "cpu"
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]  # type: ignore[no-untyped-call]
        most = int(there.get("GPU", 0)) if device == "cuda" else len(nodes)
        workers = workers if isinstance(workers, int) else max(1, most)
        check_batch(self.recipe, workers)
        return replace(self, place=Workplace(workers, device, self.place.address))

    def wait_for_room(self) -> None:
        """Wait until the cluster is large enough.

        Raises:
            ClusterError: if it does not get so.
        """
        place = self.place
        kind = "GPU" if place.device == "cuda" else "CPU"
        deadline = time.monotonic() + (ROOM_SECONDS if place.address is not None else 0)
        while (there := ray.cluster_resources().get(kind, 0)) < int(place.workers):  # type: ignore[no-untyped-call]
            if time.monotonic() > deadline:
                want = f"{place.workers} {kind}s, one a worker"
                raise ClusterError(explain("the cluster has no room for the workers", got=f"{there:g} {kind}s", want=want))
            time.sleep(1)

    def trainer(self, inbox: Queue, storage: str) -> TorchTrainer:
        """Return what starts the workers, which write to ``inbox``; Ray sees by ``storage`` whether all nodes share it."""
        on_gpus = self.place.device == "cuda"
        failures = FailureConfig(  # type: ignore[call-arg] # mypy finds those of Ray Train's first version
            max_failures=RESTARTS, controller_failure_limit=START_FAILURES
        )
        return TorchTrainer(
            partial(_work, self, inbox),
            torch_config=TorchConfig(backend="nccl" if on_gpus else "gloo", timeout_s=SILENT_SECONDS),
            scaling_config=ScalingConfig(num_workers=int(self.place.workers), use_gpu=on_gpus),
            run_config=RunConfig(  # type: ignore[call-arg]
                name=".ray",
                storage_path=storage,
                failure_config=failures,
                worker_runtime_env={"env_vars": KEEPING},  # Ray runs `_work` in a thread
            ),
        )


class _DiedAtStartError(ClusterError):
    """A worker died between its own start and that of its work: there Ray gives up and keeps others' room (as of 2.60)."""


def _check_end(fitting: Future[Any], *, has_begun: bool) -> None:
    """Raise what ended the training, if it was not its last epoch."""
    try:
        fitting.result()
    except ray.train.WorkerGroupError as error:
        first = next(iter(error.worker_failures.values()))
        what, reason = "the training's workers failed", str(first).strip().splitlines()[-1]
        raise RunError(explain(what, got=reason, try_="the same command again, or --debug")) from error
    except ray.train.ControllerError as error:
        if not isinstance(error.controller_failure, RayError):
            raise _not_trained(error, has_begun=has_begun) from error
        what, reason = "the training's workers died as they were started", str(error).strip().splitlines()[-1]
        raise _DiedAtStartError(explain(what, got=reason, try_="the same command again, or --debug")) from error
    except (ray.train.TrainingFailedError, RayError) as error:
        raise _not_trained(error, has_begun=has_begun) from error


def _not_trained(error: Exception, *, has_begun: bool) -> SlidesegError:
    reason = str(error).strip().splitlines()[-1]
    if has_begun:
        what, try_ = "Ray was lost in the middle of the training", "the same command again, it goes on from here"
        return RunError(explain(what, got=reason, try_=try_))
    return ClusterError(explain("Ray could not train", got=reason, try_="a run folder that all nodes share, or --debug"))


def _received(inbox: Queue, fitting: Future[Any], line: Lifeline) -> Iterator[TrainProgress]:
    """Yield how far the workers are until they are done; what they log is logged here.

    Raises:
        SlidesegError: what a worker raised; Ray would start it again and again.
        RunError: if Ray is gone.
    """
    done, look_at = False, 0.0
    while not done:
        done = fitting.done()
        if time.monotonic() >= look_at:
            line.check()
            look_at = time.monotonic() + LOOK_SECONDS
        with contextlib.suppress(Empty, RayError):
            while True:
                message = inbox.get(timeout=WAIT_SECONDS)
                if isinstance(message, SlidesegError):
                    raise message
                if isinstance(message, logging.LogRecord):
                    _log_here(message)
                else:
                    yield message


def _log_here(record: logging.LogRecord) -> None:
    record.levelname = logging.getLevelName(record.levelno)  # as this process calls it
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def _send(inbox: Queue, message: TrainProgress | SlidesegError | logging.LogRecord) -> None:
    """Write to the command that started the training, if it is there and has room: nobody waits for it."""
    with contextlib.suppress(Full, RayError):
        inbox.put_nowait(message)


class _SentLogs(QueueHandler):
    """Sends what a worker logs."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record that is ready to be pickled."""
        _send(self.queue, record)  # type: ignore[arg-type]  # Ray's queue stands in for Python's


def _work(training: RayTraining, inbox: Queue) -> None:
    """Be one worker."""
    keep_freed_memory()
    threads = max(1, usable_cores() // ray.train.get_context().get_local_world_size())
    torch.set_num_threads(threads)
    use_threads(threads)
    try:
        _train(training, Team.join(training.place.device), inbox)
    except SlidesegError as error:
        _send(inbox, error)
        raise


def _train(training: RayTraining, team: Team, inbox: Queue) -> None:
    """Open the data, then take the run's folder, then train from its newest checkpoint to the end."""

    def watch(progress: TrainProgress) -> None:
        if team.writes:
            _send(inbox, progress)
        if progress.scores is not None:
            ray.train.report(progress.scores.row())

    if team.writes:
        logger = logging.getLogger("slideseg")
        logger.setLevel(logging.INFO)
        logger.addHandler(_SentLogs(inbox))
    data = Batches(training.recipe, team)
    if team.writes:
        tell(data.label_notes)  # of the images, the command has told
        tell_of_course(data)
    team.meet()  # whatever is wrong with the data, nothing is written
    folder = RunFolder(training.claim.url, training.claim)
    if team.writes:
        folder.prepare(training.beginning, resume=training.resume)
    fit(data, folder, team, watch)
