"""Train a network: the whole line on one page.

recipe -> data checked -> lease on the run's folder -> the loop, here or on Ray -> report, which completes the run

What can be refused is refused before anything is written, and most of it before anything is decoded.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from slideseg.errors import ResultInUseError, explain
from slideseg.machine import usable_cores
from slideseg.model.network.number_format import check_format
from slideseg.options import take_options
from slideseg.storage.lease import Lease
from slideseg.storage.place import absolute, check_parent, locate
from slideseg.training.check import check_batch, check_course, check_files, tell, tell_of_classes, tell_of_course
from slideseg.training.data.sources import fingerprints
from slideseg.training.learning.loop import fit
from slideseg.training.recipe.reading import load_config
from slideseg.training.record.beginning import Beginning
from slideseg.training.record.progress import TrainReport, Watcher
from slideseg.training.record.run_folder import RunFolder
from slideseg.training.samples.batches import Batches
from slideseg.training.team import Team
from slideseg.training.workplace import Workplace

if TYPE_CHECKING:
    from slideseg.storage.lease import Claim
    from slideseg.training.recipe.schema import TrainConfig
    from slideseg.training.record.progress import TrainProgress

RUNS = "runs"
"""The folder for runs that were given none."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train what a recipe says."""

    workers: int | Literal["auto"] = "auto"
    """Worker processes that share every batch; 1 trains in this process, without Ray. ``auto``: one a GPU; without GPUs 1, or
    on a cluster one a node."""
    address: str | None = None
    """A running Ray cluster; the run's folder must then be one that all its nodes share."""
    resume: bool = False
    """Go on from the folder's last checkpoint although recipe or data have changed since, to train longer for example."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    settings: tuple[str, ...] = ()
    """Changes to the recipe, each ``key.path=value``."""


def train(
    config: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    on_progress: Watcher | None = None,
    **options: Any,
) -> TrainReport:
    """Train a network as a recipe says.

    The same call goes on where an earlier one was stopped. The weights don't depend on how often that happened; on a CPU,
    with as many workers, they are the same to the bit.

    Args:
        config: the recipe, a YAML file.
        output: the run's folder, a path or ``s3://bucket/prefix``; None for ``runs/NAME`` here.
        on_progress: called with a `TrainProgress` as the training goes on.
        **options: fields of `TrainOptions`, such as ``workers=2``.

    Returns:
        Where the best model is, and how good.

    Raises:
        SlidesegError: if the recipe or its data can't be used, the folder is another run's, or the training fails.
    """
    started = time.monotonic()
    wanted = take_options(TrainOptions, options)
    recipe = load_config(config, wanted.settings)
    url = absolute(os.fspath(output) if output is not None else f"{RUNS}/{recipe.name}")
    _check_parent(url)
    folder = RunFolder(url)
    beginning = Beginning(recipe.to_yaml(), fingerprints(recipe.data.sources))
    if folder.is_complete(beginning):
        return report_of(folder)
    place = Workplace.of(wanted.workers, wanted.device, wanted.address)
    data = checked(recipe, place, folder)
    if locate(url).bucket is None:
        with contextlib.suppress(OSError):  # the lease says what is wrong, in one line
            Path(locate(url).parent).mkdir(exist_ok=True)
    with Lease(url) as lease:
        folder = RunFolder(url, lease.claim)
        if folder.compare(beginning, resume=wanted.resume) != "complete":
            watch = _guarded(on_progress, lease)
            if data is None:
                _fit_on_ray(recipe, beginning, lease.claim, place, watch, resume=wanted.resume)
            else:
                folder.prepare(beginning, resume=wanted.resume)
                torch.set_num_threads(usable_cores())
                fit(data, folder, Team.join(place.device), watch)
            _complete(folder, time.monotonic() - started)
    return report_of(folder)


def _check_parent(url: str) -> None:
    """Refuse a place where nothing can be created; a folder for runs may be missing, and is made once all else is well.

    Raises:
        ResultError: if nothing can be created there.
    """
    place = locate(url)
    check_parent(url if place.bucket is not None or Path(place.parent).exists() else place.parent)


def checked(recipe: TrainConfig, place: Workplace, folder: RunFolder) -> Batches | None:
    """See whether a recipe can be trained, before anything is written.

    A process that trains by itself opens its data here, once, and finds every mistake in it. Where workers will open the
    data, this process looks at the files' heads alone; see `slideseg.training.check`.

    Returns:
        The data, opened; None where workers open it.

    Raises:
        SlidesegError: if it can't.
    """
    if isinstance(place.workers, int):
        check_batch(recipe, place.workers)
    if place.address is None:
        check_format(recipe.training.precision, place.device)
    tell_of_classes(recipe)
    data = Batches(recipe, Team.join(place.device)) if place.is_this_process else None
    if data is not None:
        tell((*data.notes, *data.label_notes))
        tell_of_course(data)
    steps = check_files(recipe) if data is None else data.steps
    check_course(recipe, steps, folder.checkpoints.epochs())
    return data


def _guarded(watch: Watcher | None, lease: Lease) -> Watcher:
    """Return a watcher that ends a run whose folder another run has taken over, after a long sleep of this machine say.

    It is only for ending soon: before it writes, `RunFolder` looks for itself.
    """

    def guarded(progress: TrainProgress) -> None:
        if lease.lost:
            raise ResultInUseError(explain("another run has taken over the folder", try_="to see who, after a minute"))
        if watch is not None:
            watch(progress)

    return guarded


def _fit_on_ray(
    recipe: TrainConfig, beginning: Beginning, claim: Claim, place: Workplace, watch: Watcher, *, resume: bool
) -> None:
    from slideseg.training.ray import RayTraining  # noqa: PLC0415 - a single worker does without Ray

    RayTraining(recipe, beginning, resume, claim, place).run(watch)


def _complete(folder: RunFolder, seconds: float) -> None:
    """Write the report from the last checkpoint; its presence says that the run is complete."""
    folder.check_there()
    last = folder.checkpoints.latest()
    if last is None:
        msg = "a training ended without a checkpoint"
        raise RuntimeError(msg)
    metrics = {name: value for name, value in last.best_scores.items() if name.startswith("val_")}
    facts = {"epochs": last.epoch, "best_epoch": last.best_epoch, "metrics": metrics, "seconds": round(seconds, 3)}
    folder.write_report({"status": "complete", **facts})


def report_of(folder: RunFolder) -> TrainReport:
    """Return the report of a run that is complete."""
    facts = {**(folder.report() or {}), "status": "ok", "run": folder.url, "model": f"{folder.url}/best.safetensors"}
    return TrainReport(**facts)
