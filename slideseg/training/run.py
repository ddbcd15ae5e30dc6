"""Train a network: the whole line on one page.

recipe -> data checked -> lease on the run's folder -> the loop, here or on Ray -> report, which completes the run
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from slideseg.errors import ConfigError, ResultInUseError, explain
from slideseg.machine import usable_cores
from slideseg.options import take_options
from slideseg.storage.lease import Lease
from slideseg.storage.place import absolute
from slideseg.training.data.sources import fingerprints
from slideseg.training.learning.loop import fit
from slideseg.training.learning.starting_model import read_starting_model
from slideseg.training.preview import preview_sheet
from slideseg.training.recipe.reading import load_config
from slideseg.training.record.progress import TrainReport, Watcher
from slideseg.training.record.run_folder import RunFolder
from slideseg.training.samples.batches import Batches, check_batch
from slideseg.training.team import Team

if TYPE_CHECKING:
    from slideseg.storage.lease import Claim
    from slideseg.training.recipe.schema import TrainConfig
    from slideseg.training.record.progress import TrainProgress

log = logging.getLogger(__name__)

PREVIEWED = 6
"""Samples on a preview sheet."""
RUNS = "runs"
"""The folder for runs that were given none."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train what a recipe says."""

    workers: int | str = "auto"
    """Worker processes that share every batch; 1 trains in this process, without Ray. ``auto``: one a GPU; without GPUs 1, or
    on a cluster one a node."""
    address: str | None = None
    """A running Ray cluster; the run's folder must then be one that all its nodes share."""
    resume: bool = False
    """Go on from the folder's last checkpoint although recipe or data have changed since, to train longer for example."""
    device: str = "auto"
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
    folder = RunFolder(url)
    files = fingerprints(recipe.data.sources)
    if folder.is_complete(recipe.to_yaml(), files):
        return report_of(folder)
    device, workers = (wanted.device, wanted.workers) if wanted.address is not None else here(wanted)
    in_process = workers == 1 and wanted.address is None
    if isinstance(workers, int):
        check_batch(recipe, workers)
    data = Batches(recipe, Team.join(device if in_process else "cpu"))  # tells what is wrong before anything is written
    _check_start(recipe, data.steps, folder.checkpoints.epochs())  # likewise
    watch = on_progress or _ignore
    if output is None:
        with contextlib.suppress(OSError):  # the lease says what is wrong, in one line
            Path(RUNS).mkdir(exist_ok=True)
    with Lease(url) as lease:
        folder = RunFolder(url, lease.claim)
        if folder.prepare(recipe.to_yaml(), files, resume=wanted.resume) != "complete":
            watched = _guarded(watch, lease)
            if in_process:
                torch.set_num_threads(usable_cores())
                fit(data, folder, Team.join(device), watched)
            else:
                del data  # every worker opens its own
                _fit_on_ray(recipe, lease.claim, (workers, device, wanted.address), watched)
            _complete(folder, time.monotonic() - started)
    return report_of(folder)


def _check_start(recipe: TrainConfig, steps: int, done: list[int]) -> None:
    """See whether a training of ``steps`` an epoch can begin, or go on behind the epochs ``done``.

    A warmup that does not end is only told of: a recipe may be tried for an epoch.

    Raises:
        ConfigError: if there are more epochs already.
        ModelError: if the model to start from can't be used.
    """
    epochs, warmup = recipe.training.epochs, recipe.schedule.warmup
    if warmup > epochs * steps:
        what = "schedule.warmup is longer than the training, so the rate stays below optimiser.rate"
        log.warning(explain(what, got=f"{warmup} steps", want=f"at most {epochs * steps}"))
    if not done:
        read_starting_model(recipe)
    elif max(done) > epochs:
        got, want = f"training.epochs {epochs}", f"at least {max(done)}"
        raise ConfigError(explain("the run has more epochs already", got=got, want=want, try_="another -o"))


def _guarded(watch: Watcher, lease: Lease) -> Watcher:
    """Return a watcher that ends a run whose folder another run has taken over, after a long sleep of this machine say.

    It is only for ending soon: before it writes, `RunFolder` looks for itself.
    """

    def guarded(progress: TrainProgress) -> None:
        if lease.lost:
            raise ResultInUseError(explain("another run has taken over the folder", try_="to see who, after a minute"))
        watch(progress)

    return guarded


def _fit_on_ray(recipe: TrainConfig, claim: Claim, crew: tuple[int | str, str, str | None], watch: Watcher) -> None:
    from slideseg.training.ray import RayJob  # noqa: PLC0415 - a single worker does without Ray

    RayJob(recipe, claim, *crew).run(watch)


def _complete(folder: RunFolder, seconds: float) -> None:
    """Write the report from the last checkpoint; its presence says that the run is complete."""
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


def here(options: TrainOptions) -> tuple[str, int]:
    """Return where to train on this machine, and with how many workers.

    Raises:
        ConfigError: if a GPU is wanted and there is none, or there is no such number of workers.
    """
    device = device_of(options.device)
    return device, workers_of(options.workers, device)


def device_of(wanted: str) -> str:
    """Return where to train: ``auto`` is the GPU where there is one.

    Raises:
        ConfigError: if a GPU is wanted and there is none.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted not in ("cpu", "cuda"):
        raise ConfigError(explain("no such device", got=wanted, want="auto, cpu or cuda"))
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(explain("there is no GPU that PyTorch can use", try_="--device cpu"))
    return wanted


def workers_of(wanted: int | str, device: str) -> int:
    """Return the number of workers: ``auto`` is one a GPU, else one.

    Raises:
        ConfigError: if it is no number from 1.
    """
    if wanted == "auto":
        return max(1, torch.cuda.device_count()) if device == "cuda" else 1
    if not isinstance(wanted, int) or wanted < 1:
        raise ConfigError(explain("no such number of workers", got=wanted, want="auto, or a whole number from 1"))
    return wanted


def _ignore(progress: TrainProgress) -> None:
    """Tell nobody."""


def write_preview(config: str | os.PathLike[str], path: str, settings: tuple[str, ...] = ()) -> None:
    """Draw the first samples of a recipe as a PNG: as they are, augmented, their targets and their weights.

    Raises:
        SlidesegError: if the recipe or its data can't be used, or the PNG can't be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise ConfigError(explain("the preview is a PNG", got=path, want="a name that ends in .png"))
    if not target.parent.is_dir():
        raise ConfigError(explain("no such folder for the preview", got=target.parent, try_="another --preview"))
    recipe = load_config(config, settings)
    before, after, patches = Batches(recipe, Team.join("cpu")).preview(PREVIEWED)
    colors = [one.color for one in recipe.model_classes]
    sheet = preview_sheet(before, after, patches.shown_NHW, patches.weights_NHW, colors)
    try:
        sheet.save(target, "PNG")
    except OSError as error:
        got = f"{path}: {error.strerror}"
        raise ConfigError(explain("the preview can't be written", got=got, try_="another --preview")) from error
