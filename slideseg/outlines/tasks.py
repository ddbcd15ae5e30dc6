"""From what the user typed to images with points that are known to be fit for outlines."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import ConfigError, DataError, SlideError, explain
from slideseg.model.values import brightest
from slideseg.outlines.labels import IGNORED
from slideseg.points import find_points, read_points
from slideseg.prediction.choices.resolution import check_resolution
from slideseg.prediction.choices.suits import unlike
from slideseg.prediction.values import choose_range
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.fingerprint import content_hash, fingerprint
from slideseg.slide.inputs import find_inputs
from slideseg.slide.listing.names import stem
from slideseg.slide.resampled import Source, choose_level, resampled_shape
from slideseg.slide.tissue.detect import look_at
from slideseg.words import number

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from slideseg.model.file import LoadedModel
    from slideseg.model.values import Range
    from slideseg.slide.base import Slide
    from slideseg.slide.selection import Selection

log = logging.getLogger(__name__)

MOST_PIXELS = 64 << 20
"""Of the largest image, at the model's resolution: all of it is held."""
FEW = 3
"""Names that an error message lists."""


@dataclass(frozen=True, slots=True)
class Work:
    """How all images are worked at."""

    model: LoadedModel
    mpp: float
    """Microns per pixel to work at."""
    selection: Selection
    """What of each image's file is meant."""
    range: str | Sequence[float] | None = None
    """Values of black and white, as its user says them."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """An image to outline, known to be fit for it."""

    name: str
    """Its name without ending."""
    source: Source
    """The image at the resolution to work at."""
    points: np.ndarray
    """Places (points, 2) in its pixels; whole numbers are the middles of pixels."""
    classes: tuple[str, ...] | None
    """What each point is; None where its file says nothing."""
    mpp: float
    """Microns of a pixel."""
    range: Range | None
    """Values of black and white to the model; None for those of the pixels' type."""
    made_of: str
    """Hash of all that decides its outlines, and of its name: two images may be equal."""
    notes: tuple[str, ...]
    """What its user should know."""


def find_pairs(
    images: str | os.PathLike[str], points: str | os.PathLike[str]
) -> tuple[list[tuple[str, str, str]], tuple[str, ...], tuple[str, ...]]:
    """Return name, image and points of all that have both, the names without points, and those without an image.

    An image and a file of points that were named themselves belong together, whatever they are called.

    Raises:
        DataError: if nothing has both, or two images have one name.
        SlideError: if there are no images.
    """
    slides, files = find_inputs(images), find_points(points)
    if not Path(points).is_dir() and len(slides) == 1:
        return [(stem(slides[0]), slides[0], next(iter(files.values())))], (), ()
    named = {stem(slide): slide for slide in slides}
    if len(named) < len(slides):
        raise DataError(explain(f"two images of one name in {images}", want="one"))
    names = sorted(set(named) & set(files))
    if not names:
        got, want = (", ".join(sorted(some)[:FEW]) for some in (files, named))
        raise DataError(explain("no points have an image's name", got=got, want=want))
    return [(name, named[name], files[name]) for name in names], *_left_out(named, files)


def _left_out(named: dict[str, str], files: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(sorted(set(named) - set(files))), tuple(sorted(set(files) - set(named)))


def make_tasks(pairs: list[tuple[str, str, str]], work: Work) -> list[Task]:
    """Look at images and their points, before anything is written; warn of what is told of them.

    Raises:
        ConfigError: if nobody says an image's resolution, or it can't be brought to the one to work at.
        DataError: if points can't be used, or some files say classes and others don't.
        SlideError: if an image can't be read, held or written.
    """
    tasks = _with_classes([_task(*pair, work) for pair in pairs], {name: file for name, _, file in pairs})
    for note, times in Counter(note for task in tasks for note in task.notes).items():
        log.warning("%d of %d images: %s", times, len(tasks), note)
    return tasks


def _task(name: str, image: str, csv_file: str, work: Work) -> Task:
    source = Source(image, selection=work.selection, fingerprint=fingerprint(image))
    with closing(source.open()) as slide:
        if slide.mpp is None:
            what, got = f"{image} does not say its microns per pixel", slide.pixel.source
            want = f"to work at {number(work.mpp)} \u00b5m a pixel"
            raise ConfigError(explain(what, got=got, want=want, try_="--mpp-of-slide"))
        points = read_points(csv_file).inside(slide.levels[0].shape, csv_file)
        if len(points.yx) >= IGNORED:
            what, want = f"{csv_file} holds more points than a label image has ids", f"less than {IGNORED}"
            raise DataError(explain(what, got=len(points.yx), want=want, try_="cut-outs of the image"))
        level, factors = choose_level(slide, work.mpp)
        check_resolution(slide, work.mpp, level, factors)
        scale = np.array(slide.levels[level].scale) * factors
        _check(slide, resampled_shape(slide.levels[level].shape, factors), image)
        size = slide.mpp * float(np.sqrt(np.prod(scale)))
        limits, doubts = choose_range(slide, level, work.model.info, work.range)
        notes = (*doubts, *unlike(work.model.info, look_at(slide, None if limits is None else brightest(limits[1]))))
    places = (points.yx + 0.5) / scale - 0.5
    classes = points.classes if len(places) else ()
    facts = [name, source.fingerprint, content_hash(csv_file), work.model.sha256, work.mpp, asdict(work.selection)]
    decides = [*facts, *(() if limits is None else limits)]
    made_of = hashlib.sha256(json.dumps(decides).encode()).hexdigest()
    return Task(name, replace(source, level=level, factors=factors), places, classes, size, limits, made_of, notes)


def _with_classes(tasks: list[Task], files: dict[str, str]) -> list[Task]:
    """Return the tasks, all with classes or none; a file without points may have the column or not.

    Raises:
        DataError: if some files have classes and others have not: all that these hold would teach nothing.
    """
    having = [files[task.name] for task in tasks if task.classes]
    if not having:
        return [replace(task, classes=None) for task in tasks]
    if lacking := [files[task.name] for task in tasks if task.classes is None]:
        what, got = f"{len(lacking)} of {len(tasks)} files of points have no column class", f"{lacking[0]}, but {having[0]} has"
        raise DataError(explain(what, got=got, want="all or none", try_="empty cells where classes are not known"))
    return tasks


def _check(slide: Slide, shape: tuple[int, int], image: str) -> None:
    """Refuse what can't be held or written.

    Raises:
        SlideError: if it is too large, a stack, or not of a kind that PNG holds.
    """
    if shape[0] * shape[1] > MOST_PIXELS:
        got, want = f"{shape[0]} x {shape[1]}", f"at most {MOST_PIXELS >> 20} Mpx"
        raise SlideError(explain(f"{image} is too large for outlines", got=got, want=want, try_="a cut-out"))
    if planes_of(slide) != 1:
        raise SlideError(explain(f"{image} is a stack", got=f"{planes_of(slide)} planes", want="one", try_="--z or --t"))
    kind = channels_of(slide), slide.dtype.name
    if kind not in ((1, "uint8"), (3, "uint8"), (1, "uint16")):
        got, want = f"{kind[0]} channels of {kind[1]}", "red, green and blue of 8 bits, or one channel of 8 or 16"
        raise SlideError(explain(f"{image} can't be written as a PNG", got=got, want=want, try_="--channel"))
