"""Train on Ray: Ray Train starts the workers, joins them to a process group, and starts them again when one dies.

What a worker does is `slideseg.training.learning.loop.fit`, the same as in a single process. The run's folder holds the only
state: workers that are started again, or a whole new command, go on from its newest checkpoint
(``docs/decisions/0005-own-checkpoints.md``).
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
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
from slideseg.tasks.ray import connected
from slideseg.training.learning.loop import fit
from slideseg.training.recipe.schema import TrainConfig
from slideseg.training.record.run_folder import RunFolder
from slideseg.training.samples.batches import Batches, check_batch
from slideseg.training.team import Team

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.storage.lease import Claim
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
class RayJob:
    """A training on several workers."""

    config: TrainConfig
    """The recipe."""
    claim: Claim
    """The lease on the run's folder, which is a path that all nodes share, or ``s3://bucket/prefix``."""
    workers: int | str
    """Number of worker processes; ``auto`` on a cluster: one a GPU, or without GPUs one a node."""
    device: str
    """``cpu`` or ``cuda`` (one GPU a worker); ``auto`` on a cluster: ``cuda`` where it has GPUs."""
    address: str | None = None
    """A running cluster; None starts Ray on this machine for the run."""

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
        own = self.workers if isinstance(self.workers, int) else 1
        with connected(own, self.address), tempfile.TemporaryDirectory(prefix="slideseg-") as local:
            job = self.decided()
            job.wait_for_room()
            storage = local if self.address is None else self.claim.url
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            news = Queue(maxsize=1000, actor_options={"num_cpus": 0, "scheduling_strategy": here})
            pool = ThreadPoolExecutor(1)  # not in the main thread, where Ray would take Ctrl-C for itself
            fitting = pool.submit(job.trainer(news, storage).fit)
            pool.shutdown(wait=False)  # nobody waits for it when Ctrl-C comes
            for progress in _told(news, fitting):
                watch(progress)
            _end(fitting)

    def decided(self) -> RayJob:
        """Return the job with numbers for what was left to the cluster."""
        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        device = self.device
        if device == "auto":
            device = "cuda" if there.get("GPU", 0) >= 1 else "cpu"
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]  # type: ignore[no-untyped-call]
        most = int(there.get("GPU", 0)) if device == "cuda" else len(nodes)
        workers = self.workers if isinstance(self.workers, int) else max(1, most)
        check_batch(self.config, workers)
        return replace(self, device=device, workers=workers)

    def wait_for_room(self) -> None:
        """Wait until the cluster is large enough.

        Raises:
            ClusterError: if it does not get so.
        """
        kind = "GPU" if self.device == "cuda" else "CPU"
        deadline = time.monotonic() + (ROOM_SECONDS if self.address is not None else 0)
        while (there := ray.cluster_resources().get(kind, 0)) < int(self.workers):  # type: ignore[no-untyped-call]
            if time.monotonic() > deadline:
                want = f"{self.workers} {kind}s, one a worker"
                raise ClusterError(explain("the cluster has no room for the workers", got=f"{there:g} {kind}s", want=want))
            time.sleep(1)

    def trainer(self, news: Queue, storage: str) -> TorchTrainer:
        """Return what starts the workers; Ray sees by ``storage`` whether all nodes share it."""
        job = {"config": self.config.model_dump_json(), "claim": self.claim, "device": self.device, "news": news}
        failures = FailureConfig(  # type: ignore[call-arg] # mypy finds those of Ray Train's first version
            max_failures=RESTARTS, controller_failure_limit=START_FAILURES
        )
        return TorchTrainer(
            _work,
            train_loop_config=job,
            torch_config=TorchConfig(backend="nccl" if self.device == "cuda" else "gloo", timeout_s=SILENT_SECONDS),
            scaling_config=ScalingConfig(num_workers=int(self.workers), use_gpu=self.device == "cuda"),
            run_config=RunConfig(  # type: ignore[call-arg]
                name=".ray",
                storage_path=storage,
                failure_config=failures,
                worker_runtime_env={"env_vars": KEEPING},  # Ray runs `_work` in a thread
            ),
        )


class _DiedAtStartError(ClusterError):
    """A worker died between its own start and that of its work: there Ray gives up and keeps others' room (as of 2.60)."""


def _end(fitting: Future[Any]) -> None:
    """Raise what ended the training, if it was not its last epoch."""
    try:
        fitting.result()
    except ray.train.WorkerGroupError as error:
        first = next(iter(error.worker_failures.values()))
        what, reason = "the training's workers failed", str(first).strip().splitlines()[-1]
        raise RunError(explain(what, got=reason, try_="the same command again, or --debug")) from error
    except ray.train.ControllerError as error:
        if not isinstance(error.controller_failure, RayError):
            raise _not_trained(error) from error
        what, reason = "the training's workers died as they were started", str(error).strip().splitlines()[-1]
        raise _DiedAtStartError(explain(what, got=reason, try_="the same command again, or --debug")) from error
    except (ray.train.TrainingFailedError, RayError) as error:
        raise _not_trained(error) from error


def _not_trained(error: Exception) -> ClusterError:
    reason, try_ = str(error).strip().splitlines()[-1], "a run folder that all nodes share, or --debug"
    return ClusterError(explain("Ray could not train", got=reason, try_=try_))


def _told(news: Queue, fitting: Future[Any]) -> Iterator[TrainProgress]:
    """Yield what the workers tell until they are done.

    Raises:
        SlidesegError: what a worker raised; Ray would start it again and again.
    """
    done = False
    while not done:
        done = fitting.done()
        with contextlib.suppress(Empty, RayError):
            while True:
                said = news.get(timeout=WAIT_SECONDS)
                if isinstance(said, SlidesegError):
                    raise said
                yield said


def _work(job: dict[str, Any]) -> None:
    """Be one worker: train from the newest checkpoint to the end."""
    keep_freed_memory()
    torch.set_num_threads(max(1, usable_cores() // ray.train.get_context().get_local_world_size()))
    team = Team.join(job["device"])
    news: Queue = job["news"]

    def tell(said: TrainProgress | SlidesegError) -> None:
        with contextlib.suppress(Full, RayError):
            news.put_nowait(said)

    def watch(progress: TrainProgress) -> None:
        if team.writes:
            tell(progress)
        if progress.scores is not None:
            ray.train.report(progress.scores.row())

    try:
        claim: Claim = job["claim"]  # the driver holds the lease, on another machine perhaps; the first worker writes
        data = Batches(TrainConfig.model_validate_json(job["config"]), team)
        fit(data, RunFolder(claim.url, claim), team, watch)
    except SlidesegError as error:
        tell(error)
        raise
