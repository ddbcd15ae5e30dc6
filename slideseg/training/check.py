"""What is refused before anything is decoded, trained or written.

A single process opens its data once, with `slideseg.training.samples.batches.Batches`, which finds every mistake. Where there
are several workers, each opens the data for itself, and the command that starts them looks at the files' heads alone. So what
only pixels can tell is then found by the workers: still before the run's folder is written, and told in the same words.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, explain
from slideseg.training.data.dataset import check_data
from slideseg.training.learning.starting_model import read_starting_model
from slideseg.training.samples.batches import steps_of
from slideseg.words import many

if TYPE_CHECKING:
    from slideseg.training.recipe.schema import TrainConfig
    from slideseg.training.samples.batches import Batches

log = logging.getLogger(__name__)


def check_batch(recipe: TrainConfig, workers: int) -> None:
    """See whether a recipe's batch can be shared out.

    Raises:
        ConfigError: if a worker would have no sample for one of its forward passes.
    """
    training = recipe.training
    if training.batch // workers < training.parts(workers):
        got = f"batch {training.batch} for {workers} workers"
        raise ConfigError(explain("every worker needs a sample for each forward pass", got=got, try_="a larger training.batch"))


def check_files(recipe: TrainConfig) -> int:
    """See whether the files of a recipe's data fit it and each other, by their heads; return the steps of an epoch.

    Files exist and pair up; shapes, planes, channels and the kind of labels fit; polygons are of known classes and inside their
    image; the resolution is known; the split leaves something on both sides; there is a share for every kind of image.

    Raises:
        SlidesegError: if they do not.
    """
    found = check_data(recipe.data, recipe.label_classes, recipe.input.channels, recipe.made_class)
    tell(found.notes)
    return steps_of(recipe, len(found.train))


def tell(notes: tuple[str, ...]) -> None:
    """Warn of what was seen of the data."""
    for note in notes:
        log.warning("%s", note)


def tell_of_course(data: Batches) -> None:
    """Say from how much is learnt, and how long."""
    images = f"{many(len(data.train), 'image')}, judged by {len(data.validation):,}"
    log.info("learning from %s, in %s of %s", images, many(data.config.training.epochs, "epoch"), many(data.steps, "step"))


def tell_of_classes(recipe: TrainConfig) -> None:
    """Warn where a recipe has classes that its instances can't be of, since nobody says of which they are."""
    if len(recipe.labelled_classes) == 1:
        return
    alike = [one.images for one in recipe.data.sources if one.labels_are == "instances" and one.instance_classes is None]
    if alike:
        where = f"the instances of {alike[0]}" + (f" and {many(len(alike) - 1, 'more source')}" if len(alike) > 1 else "")
        log.warning(explain(f"all of {where} become {recipe.labelled_classes[0]}", try_="instance_classes in data.sources"))


def check_course(recipe: TrainConfig, steps: int, done: list[int]) -> None:
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
