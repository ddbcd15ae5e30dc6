"""The training loop, from the newest checkpoint to the last epoch. It reads top to bottom and knows nothing of Ray.

Every worker of a `Team` runs it at the same time on its share of every batch; the first one writes. What a worker sees in
an epoch follows from the seed, the epoch and the sample's number alone, so a run that was stopped anywhere and started again
from its last checkpoint does what an undisturbed one does.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from slideseg.errors import ResultError, RunError, explain
from slideseg.model.info import ModelInfo
from slideseg.training.learning.learner import Learner, judged_of
from slideseg.training.learning.new import bare
from slideseg.training.learning.starting_model import read_starting_model
from slideseg.training.learning.validate import draw_samples, validate
from slideseg.training.record.checkpoint import Checkpoint
from slideseg.training.record.progress import Scores, TrainProgress, Watcher
from slideseg.training.samples.seen import config_of
from slideseg.version import __version__

if TYPE_CHECKING:
    from slideseg.training.recipe.schema import TrainConfig
    from slideseg.training.record.run_folder import RunFolder
    from slideseg.training.samples.batches import Batches
    from slideseg.training.team import Team

log = logging.getLogger(__name__)

SECONDS_BETWEEN_NEWS = 1.0
"""How often steps are told of."""


def fit(data: Batches, folder: RunFolder, team: Team, watch: Watcher) -> None:
    """Train the network of a recipe on its ``data`` from the newest checkpoint in ``folder``, or afresh, to the end.

    Raises:
        ModelError: if the model to start from can't be used.
        RunError: if the loss is not finite.
        SlideError: if an image can't be read.
    """
    config = data.config
    learner = Learner(config, team, config.training.epochs * data.steps)
    checkpoint = team.from_first(folder.checkpoints.latest() if team.writes else None)
    history = _History(checkpoint)
    if checkpoint is not None:
        data.normalise_by(checkpoint.mean, checkpoint.std)
        learner.restore(checkpoint)
    elif (start := read_starting_model(config)) is not None:
        data.normalise_by(start.mean, start.std)
        learner.start_from(start.weights)
    if team.writes:
        folder.truncate_to(history.epoch)
        if checkpoint is not None:
            _write_best_again(folder, data, checkpoint)
    pace = _Pace(time.monotonic(), history.epoch)
    while history.epoch < config.training.epochs and not history.is_stale(config.training.patience):
        begun = time.monotonic()
        progress = _Progress(watch, config, history.epoch, data.steps, pace)
        rate, loss = learner.rate, _train_epoch(learner, data, history.epoch, progress)
        scores = validate(learner.judged, data, team)
        _check_finite("validation loss", scores.loss, history.epoch)
        learner.schedule.after_validation(scores.value(config.training.select))
        better = history.add(scores, config.training.select)
        if team.writes:
            row = {"epoch": history.epoch, "step": learner.step, "seconds": time.monotonic() - begun, "lr": rate}
            _write(folder, learner, data, history, row | {"train_loss": loss} | scores.row(), better=better)
        progress.epoch_ended(loss, scores)


def _train_epoch(learner: Learner, data: Batches, epoch: int, progress: _Progress) -> float:
    """Show every sample of the epoch to the network once; return the mean loss of a sample."""
    team = learner.team
    torch.manual_seed(_seed(learner.config.seed, epoch, team.rank))  # for dropout
    total = torch.zeros((), device=team.device)
    for step, parts in enumerate(data.epoch(epoch), 1):
        total += learner.learn(parts, learner.config.training.batch)
        if progress.is_due():
            progress.stepped(step, float(total) * team.size / step)
    mean = float(team.sum(total)) / data.steps
    _check_finite("loss", mean, epoch)
    return mean


def _check_finite(name: str, value: float, epoch: int) -> None:
    """Stop before anything of an epoch that went wrong is kept."""
    if not math.isfinite(value):
        raise RunError(explain(f"the {name} is not finite in epoch {epoch + 1}", got=value, try_="a lower rate, or clipping"))


def _seed(seed: int, epoch: int, rank: int) -> int:
    """Return a seed of its own for every epoch and worker."""
    return int(np.random.SeedSequence((seed, epoch, rank)).generate_state(1, np.uint64)[0] >> 1)


class _History:
    """Epochs done, and the best of them."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self.epoch = 0 if checkpoint is None else checkpoint.epoch
        self.best = -math.inf if checkpoint is None else checkpoint.best
        self.best_epoch = 0 if checkpoint is None else checkpoint.best_epoch
        self.best_scores = {} if checkpoint is None else checkpoint.best_scores

    def add(self, scores: Scores, select: str) -> bool:
        """Count an epoch; tell whether it is the best so far."""
        self.epoch += 1
        score = scores.value(select)
        if score > self.best:
            self.best, self.best_epoch, self.best_scores = score, self.epoch, scores.row()
        return self.best_epoch == self.epoch

    def is_stale(self, patience: int | None) -> bool:
        return patience is not None and self.epoch - self.best_epoch >= patience


def _write(
    folder: RunFolder, learner: Learner, data: Batches, history: _History, row: dict[str, float], *, better: bool
) -> None:
    """Write the epoch down; the checkpoint comes last: what it does not know of is done again."""
    config = learner.config
    info = describe(data, row, epoch=history.epoch, step=learner.step)
    folder.check_there()
    folder.save_model("last", bare(learner.judged), info)
    if better:
        folder.save_model("best", bare(learner.judged), info)
    every = config.training.pictures_every
    drawn = every is not None and history.epoch % every == 0
    shown = draw_samples(learner.judged, data, config) if drawn else None
    folder.append_epoch(row, best_epoch=history.best_epoch, picture=shown)
    past = {name: getattr(history, name) for name in ("epoch", "best", "best_epoch", "best_scores")}
    state = Checkpoint(**past, mean=data.mean, std=data.std, **learner.state())
    folder.checkpoints.save(state, config.training.keep_every or 0)


def _write_best_again(folder: RunFolder, data: Batches, newest: Checkpoint) -> None:
    """Write the best model as its checkpoint has it: a kill may have come between a better one and its checkpoint."""
    try:
        best = newest if newest.best_epoch == newest.epoch else folder.checkpoints.read(newest.best_epoch)
    except ResultError as error:
        log.warning("%s; best.safetensors is left as it is", error)
        return
    info = describe(data, newest.best_scores, epoch=best.epoch, step=best.step)
    folder.save_model("best", bare(judged_of(best, data.config)), info)


def describe(data: Batches, scores: dict[str, float], *, epoch: int, step: int) -> ModelInfo:
    """Return what a model file of an epoch and step says about itself; no times: the same training gives the same bytes."""
    config = data.config
    training = {
        **{name: value for name, value in config.about.model_dump(exclude={"made_for"}).items() if value},
        "metrics": {name: round(value, 6) for name, value in scores.items() if name.startswith("val_")},
        "epoch": epoch,
        "step": step,
        "seed": config.seed,
        "slideseg_version": __version__,
    }
    pixels = config.model_input(data.mean, data.std)
    return ModelInfo(
        name=config.name,
        config=config_of(config),
        classes=config.model_classes,
        input=pixels,
        training=training,
        objects=config.objects,
        made_for=config.about.made_for,
        learnt=data.learnt,
        use=config.use,
    )


@dataclass(frozen=True, slots=True)
class _Pace:
    """How fast epochs have gone by since this command began to train."""

    started: float
    """When it began, by the clock that only runs forwards."""
    first: int
    """Epochs that were done before."""

    def seconds_until(self, epochs: int, done: float) -> float:
        """Return the seconds until so many epochs are over, now that ``done`` are."""
        return (time.monotonic() - self.started) / max(done - self.first, 1e-9) * (epochs - done)


class _Progress:
    """Tells the watcher how far the epoch is, now and then."""

    def __init__(self, watch: Watcher, config: TrainConfig, epoch: int, steps: int, pace: _Pace) -> None:
        self._watch, self._epochs, self._epoch, self._steps = watch, config.training.epochs, epoch, steps
        self._pace = pace
        self._last = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._last >= SECONDS_BETWEEN_NEWS

    def stepped(self, step: int, loss: float) -> None:
        self._last = time.monotonic()
        self._watch(
            TrainProgress(self._epoch, self._epochs, step, self._steps, loss, self._left(self._epoch + step / self._steps))
        )

    def epoch_ended(self, loss: float, scores: Scores) -> None:
        done = self._epoch + 1
        self._watch(TrainProgress(done, self._epochs, self._steps, self._steps, loss, self._left(done), scores))

    def _left(self, done: float) -> float:
        """Return the seconds until the last epoch's end, at the pace so far."""
        return self._pace.seconds_until(self._epochs, done)
