"""Make outlines of points and a model, as a folder that a recipe learns from.

images and points -> tasks -> what the model finds -> outlines -> the folder, image by image
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.instances.labelling.paint import label_image
from slideseg.instances.options import ObjectOptions, rules_for
from slideseg.model.bundled import find_model
from slideseg.model.load import load_model
from slideseg.options import take_options
from slideseg.outlines.folder import OutlineFolder
from slideseg.outlines.labels import outline_points
from slideseg.outlines.options import OutlineOptions
from slideseg.outlines.outcome import ImageOutlines, OutlineReport
from slideseg.outlines.report import OURS
from slideseg.outlines.tasks import Work, find_pairs, make_tasks
from slideseg.prediction.in_memory import segment_slide
from slideseg.space.box import Box
from slideseg.storage.lease import Lease
from slideseg.storage.place import check_kept, check_parent, local_path
from slideseg.storage.store import run_errors
from slideseg.tasks.progress import Watch

if TYPE_CHECKING:
    from slideseg.model.file import LoadedModel
    from slideseg.model.info import ModelInfo
    from slideseg.outlines.labels import Outlined
    from slideseg.outlines.tasks import Task
    from slideseg.slide.base import Slide
    from slideseg.tasks.progress import Watcher

log = logging.getLogger(__name__)


def outline(
    images: str | os.PathLike[str],
    points: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    on_progress: Watcher | None = None,
    **options: Any,
) -> OutlineReport:
    """Make outlines to learn from, of points and what a model finds. A call that was interrupted goes on where it was.

    Args:
        images: an image, or a folder of images.
        points: a CSV with columns y, x in pixels of the image, and maybe class, one point an object; or a folder of such,
            matched by name.
        output: the folder to write, local or ``s3://``: images and labels at the model's resolution, for a recipe's
            ``labels_are: instances`` with ``values: {65535: ignore}``; with classes, those for its ``instance_classes``.
        on_progress: called with the number of images that are done.
        **options: fields of `OutlineOptions`, such as ``model="nuclei"`` or ``mpp_of_slide=0.5``.

    Raises:
        ConfigError: if nobody says a resolution, or options can't be used.
        DataError: if points are missing, damaged, outside of their image, or some files say classes and others don't.
        SlideError: if an image can't be read, or is of a kind that PNG does not hold.
        ModelError: if the model can't be used or an image does not fit it.
        ResultError: if something else is at ``output``, or another run writes there.
        RunError: if the storage fails.
    """
    begun, (images, points, url) = time.monotonic(), map(local_path, (images, points, output))
    check_parent(url)
    wanted = take_options(OutlineOptions, options)
    check_kept([images, points, find_model(wanted.model)], url, "what it is made from")
    model = load_model(wanted.model)
    work = Work(model, _resolution(model.info, wanted.mpp), wanted.selection, wanted.range)
    pairs, without_points, without_image = find_pairs(images, points)
    tasks = make_tasks(pairs, work)
    url = url.rstrip("/")
    with Lease(url) as lease, run_errors(f"{url} can't be written"):
        folder = OutlineFolder(url, {OURS: os.fspath(points), "sha256": model.sha256})
        done = {one.made_of: one for one in folder.begin([task.made_of for task in tasks], overwrite=wanted.overwrite)}
        watch = Watch(url, on_progress, lease.check)
        for task in tasks:
            if task.made_of not in done:
                watch("outlining", len(done), len(tasks))
                done[task.made_of] = _outline_image(folder, task, model)
                folder.note(list(done.values()))
        images_done = tuple(done[task.made_of] for task in tasks)
        folder.finish(images_done)
        seconds = time.monotonic() - begun
        report = OutlineReport(url, model.info.name, work.mpp, images_done, without_points, without_image, seconds)
        folder.report(report.to_dict())
        watch("outlining", len(tasks), len(tasks))
    _warn(report)
    return report


def _resolution(info: ModelInfo, mpp: float | None) -> float:
    wanted = info.input.mpp if mpp is None else mpp
    if wanted is None:
        raise ConfigError(explain(f"model {info.name} does not say at which resolution it works", try_="--mpp"))
    return wanted


def _warn(report: OutlineReport) -> None:
    """Say so where the model is hardly good enough to make outlines."""
    counts = report.counts
    if counts.without_point > counts.points:
        log.warning(
            "model %s finds %d objects that have no point, more than there are points (%d): is it made for these images?",
            report.model,
            counts.without_point,
            counts.points,
        )


def _outline_image(folder: OutlineFolder, task: Task, model: LoadedModel) -> ImageOutlines:
    """Write one image and its outlines."""
    with closing(task.source.open()) as seen:
        pixels = seen.read(Box.of_shape(seen.levels[0].shape))
        outlined = _outlined(seen, task, model)
    classes = None if task.classes is None else {point: task.classes[point - 1] for point in outlined.points.tolist()}
    folder.write(task.name, pixels, outlined, classes)
    counted = None if classes is None else Counter(classes.values())
    return ImageOutlines(task.name, task.mpp, task.made_of, outlined.counts, counted)


def _outlined(seen: Slide, task: Task, model: LoadedModel) -> Outlined:
    """Return the outlines of an image in which the model finds objects as in `slideseg.predict`."""
    found = segment_slide(seen, model, limits=task.range, probabilities=True)
    channels = found.probabilities
    assert channels is not None  # they were asked for
    foreground = (channels[0] if len(channels) == 1 else 255 - channels[0]) / np.float32(255)
    info = model.info
    rules = rules_for(info.classes, task.mpp, ObjectOptions(), info.objects.at(task.mpp, info.input.mpp))
    return outline_points(label_image(found.class_map, rules).astype(np.int32), foreground, task.points, task.mpp)
