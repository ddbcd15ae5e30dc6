"""Train on Ray: Ray Train starts the workers, joins them to a process group, and starts them again when one dies.

What a worker does is `slideseg.training.loop.fit`, the same as in a single process. The run's folder holds the only state:
workers that are started again, or a whole new command, go on from its newest checkpoint
(``docs/decisions/0005-own-checkpoints.md``).
"""

from __future__ import annotations

import contextlib
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty as NothingYet
from typing import TYPE_CHECKING, Any

import ray
import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.queue import Empty, Full, Queue

from slideseg.errors import ClusterError, RunError, SlidesegError, explain
from slideseg.executors.ray import connected
from slideseg.machine import KEEPING, keep_freed_memory, usable_cores
from slideseg.training.batches import Batches
from slideseg.training.config import TrainConfig
from slideseg.training.group import Group
from slideseg.training.loop import fit
from slideseg.training.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.training.progress import TrainProgress, Watcher

RESTARTS = 5
"""The run is given up when its workers had to be started again so often."""
SILENT_SECONDS = 600
"""A worker that waits so long for another believes it dead."""
WAIT_SECONDS = 0.2
"""Between two looks at what the workers have to tell."""


@dataclass(frozen=True, slots=True)
class RayJob:
    """A training on several workers."""

    config: TrainConfig
    """The recipe."""
    folder: str
    """The run's folder: a path that all nodes share, or ``s3://bucket/prefix``."""
    workers: int
    """Number of worker processes."""
    device: str
    """``cpu`` or ``cuda``; one GPU a worker."""
    address: str | None = None
    """A running cluster; None starts Ray on this machine for the run."""

    def run(self, watch: Watcher) -> None:
        """Train to the end.

        Raises:
            ClusterError: if the cluster can't be reached or has no room for the workers.
            RunError: if the workers died again and again.
            SlidesegError: what a worker raised.
        """
        with connected(self.workers, self.address), tempfile.TemporaryDirectory(prefix="slideseg-") as local:
            self._check_room()
            storage = local if self.address is None else self.folder
            news = Queue(maxsize=1000, actor_options={"num_cpus": 0})
            pool = ThreadPoolExecutor(1)  # not in the main thread, where Ray would take Ctrl-C for itself
            fitting = pool.submit(self._trainer(news, storage).fit)
            pool.shutdown(wait=False)  # nobody waits for it when Ctrl-C comes
            for progress in _told(news, fitting):
                watch(progress)
            self._end(fitting)

    def _check_room(self) -> None:
        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        kind = "GPU" if self.device == "cuda" else "CPU"
        if there.get(kind, 0) < self.workers:
            want = f"{self.workers} {kind}s, one a worker"
            raise ClusterError(
                explain("the cluster has no room for the workers", got=f"{there.get(kind, 0):g} {kind}s", want=want)
            )

    def _trainer(self, news: Queue, storage: str) -> TorchTrainer:
        """Return what starts the workers; Ray sees by ``storage`` whether all nodes share it."""
        threads = max(1, usable_cores() // self.workers) if self.address is None else None
        job = {"config": self.config.model_dump_json(), "folder": self.folder, "device": self.device, "threads": threads}
        return TorchTrainer(
            _work,
            train_loop_config=job | {"news": news},
            torch_config=TorchConfig(backend="nccl" if self.device == "cuda" else "gloo", timeout_s=SILENT_SECONDS),
            scaling_config=ScalingConfig(num_workers=self.workers, use_gpu=self.device == "cuda"),
            run_config=RunConfig(  # type: ignore[call-arg] # that of Ray Train's second version, which mypy doesn't find
                name=".ray",
                storage_path=storage,
                failure_config=FailureConfig(max_failures=RESTARTS),
                worker_runtime_env={"env_vars": KEEPING},  # Ray runs `_work` in a thread
            ),
        )

    def _end(self, fitting: Future[Any]) -> None:
        try:
            fitting.result()
        except ray.train.WorkerGroupError as error:
            for cause in error.worker_failures.values():
                if isinstance(cause, SlidesegError):
                    raise cause from None
            reason = str(error).strip().splitlines()[0]
            raise RunError(
                explain("the training's workers failed", got=reason, try_="the same command again, or --debug")
            ) from error


def _told(news: Queue, fitting: Future[Any]) -> Iterator[TrainProgress]:
    """Yield what the workers tell until they are done."""
    while not fitting.done():
        with contextlib.suppress(Empty, NothingYet):
            yield news.get(timeout=WAIT_SECONDS)
    while not news.empty():
        yield news.get()


def _work(job: dict[str, Any]) -> None:
    """Be one worker: train from the newest checkpoint to the end."""
    keep_freed_memory()
    if job["threads"] is not None:
        torch.set_num_threads(job["threads"])
    group = Group.join(job["device"])
    news: Queue = job["news"]

    def watch(progress: TrainProgress) -> None:
        if group.writes:
            with contextlib.suppress(Full):
                news.put_nowait(progress)
        if progress.scores is not None:
            ray.train.report(progress.scores.row())

    fit(Batches(TrainConfig.model_validate_json(job["config"]), group), RunFolder(job["folder"]), group, watch)
