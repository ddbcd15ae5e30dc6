"""Make outlines of points and a model, image by image, as a folder that a recipe learns from.

images/NAME.png     the image, at the resolution that the model works at
labels/NAME.png     instance ids; `IGNORED` for pixels that teach nothing
classes/NAME.csv    the class of each instance, where the points have a column class: that of its point
index.csv           an image a row, by name, with its numbers
report.json         the first thing written, with status "running"; and the last one, with "ok"
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from slideseg.errors import ConfigError, DataError, ResultError, SlideError, explain
from slideseg.instances.labelling.paint import label_image
from slideseg.instances.options import ObjectOptions, rules_for
from slideseg.model.bundled import find_model
from slideseg.model.load import load_model
from slideseg.options import take_options
from slideseg.outlines.labels import IGNORED, Counts, outline_points
from slideseg.outlines.options import OutlineOptions
from slideseg.outlines.report import OURS, REPORT, read_report
from slideseg.points import find_points, read_points
from slideseg.prediction.in_memory import segment_slide
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.inputs import find_inputs
from slideseg.slide.listing.names import stem
from slideseg.slide.resampled import Source, choose_level, resampled_shape
from slideseg.space.box import Box
from slideseg.storage.lease import Lease
from slideseg.storage.place import check_kept
from slideseg.storage.store import anything_at, delete, open_store, read_key, run_errors, sweep_deleted, write_key
from slideseg.tasks.progress import Watch
from slideseg.words import number

if TYPE_CHECKING:
    from slideseg.model.file import LoadedModel
    from slideseg.model.info import ModelInfo
    from slideseg.outlines.labels import Outlined
    from slideseg.slide.base import Slide
    from slideseg.slide.selection import Selection
    from slideseg.storage.store import Store
    from slideseg.tasks.progress import Watcher

MOST_PIXELS = 64 << 20
"""Of the largest image, at the model's resolution: all of it is held."""
FEW = 3
"""Names that an error message lists."""


@dataclass(frozen=True, slots=True)
class ImageOutlines:
    """What became of one image's points."""

    name: str
    """Its name without ending."""
    mpp: float
    """Microns of a pixel of what was written."""
    counts: Counts
    classes: Counter[str] | None
    """Outlines of each class, as the points say it; None where they say nothing."""


@dataclass(frozen=True, slots=True)
class OutlineReport:
    """What was made."""

    output: str
    """The folder."""
    model: str
    """The model's name."""
    mpp: float
    """Microns of a pixel, up to 5 % off where an image had about that."""
    images: tuple[ImageOutlines, ...]
    """One an image, by name."""
    without_points: tuple[str, ...]
    """Names of images that have none; they are left out."""
    without_image: tuple[str, ...]
    """Names of files of points that have none; they are left out."""
    seconds: float

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Names that were left out, for either reason."""
        return tuple(sorted({*self.without_points, *self.without_image}))

    @property
    def counts(self) -> Counts:
        """What became of all points."""
        return sum((image.counts for image in self.images), Counts())

    @property
    def classes(self) -> Counter[str] | None:
        """Outlines of each class; None where the points say nothing."""
        told = [image.classes for image in self.images if image.classes is not None]
        return sum(told, Counter()) if told else None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        rows = [{"name": one.name, "mpp": one.mpp, **asdict(one.counts), "classes": one.classes} for one in self.images]
        numbers = {"model": self.model, "mpp": self.mpp, **asdict(self.counts), "classes": self.classes}
        names = ("unmatched", "without_points", "without_image")
        left_out = {name: list(getattr(self, name)) for name in names}
        last = {"images": rows, **left_out, "seconds": round(self.seconds, 3)}
        return {"status": "ok", "error": None, "output": self.output, **numbers, **last}


def outline(
    images: str | os.PathLike[str],
    points: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    on_progress: Watcher | None = None,
    **options: Any,
) -> OutlineReport:
    """Make outlines to learn from, of points and what a model finds.

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
    begun, url = time.monotonic(), os.fspath(output).rstrip("/")
    wanted = take_options(OutlineOptions, options)
    check_kept([images, points, find_model(wanted.model)], url, "what it is made from")
    model = load_model(wanted.model)
    mpp = _resolution(model.info, wanted.mpp)
    pairs, without_points, without_image = _pairs(images, points)
    tasks = _with_classes([_task(*pair, mpp, wanted.selection) for pair in pairs], {name: file for name, _, file in pairs})
    with Lease(url) as lease, run_errors(f"{url} can't be written"):
        _make_room(url, overwrite=wanted.overwrite)
        store, watch = open_store(url), Watch(url, on_progress, lease.check)
        about = {OURS: os.fspath(points), "sha256": model.sha256}
        _write_json(store, {**about, "status": "running"})
        done: list[ImageOutlines] = []
        for task in tasks:
            watch("outlining", len(done), len(tasks))
            done.append(_outline_image(store, task, model))
        write_key(store, "index.csv", _index(done))
        report = OutlineReport(url, model.info.name, mpp, tuple(done), without_points, without_image, time.monotonic() - begun)
        _write_json(store, {**about, **report.to_dict()})
        watch("outlining", len(tasks), len(tasks))
    return report


def _resolution(info: ModelInfo, mpp: float | None) -> float:
    wanted = info.input.mpp if mpp is None else mpp
    if wanted is None:
        raise ConfigError(explain(f"model {info.name} does not say at which resolution it works", try_="--mpp"))
    return wanted


def _pairs(
    images: str | os.PathLike[str], points: str | os.PathLike[str]
) -> tuple[list[tuple[str, str, str]], tuple[str, ...], tuple[str, ...]]:
    """Return name, image and points of all that have both, and the names of images without points and of points without image.

    Raises:
        DataError: if nothing has both, or two images have one name.
        SlideError: if there are no images.
    """
    slides, files = find_inputs(images), find_points(points)
    if len(slides) == len(files) == 1:
        return [(stem(slides[0]), slides[0], next(iter(files.values())))], (), ()
    named = {stem(slide): slide for slide in slides}
    if len(named) < len(slides):
        raise DataError(explain(f"two images of one name in {images}", want="one"))
    names = sorted(set(named) & set(files))
    if not names:
        got, want = (", ".join(sorted(some)[:FEW]) for some in (files, named))
        raise DataError(explain("no points have an image's name", got=got, want=want))
    pairs = [(name, named[name], files[name]) for name in names]
    return pairs, tuple(sorted(set(named) - set(files))), tuple(sorted(set(files) - set(named)))


def _make_room(url: str, *, overwrite: bool) -> None:
    """Remove outlines that are there, if that is wanted.

    Raises:
        ResultError: if they must stay, or are something else.
    """
    sweep_deleted(url)
    if not anything_at(url):
        return
    if read_report(open_store(url)) is None:
        raise ResultError(explain("the output exists and holds no outlines of ours", got=url, try_="another --output"))
    if not overwrite:
        raise ResultError(explain("the output exists", got=url, try_="--overwrite, or another --output"))
    delete(url, last=REPORT)


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
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


def _task(name: str, image: str, csv_file: str, mpp: float, selection: Selection) -> _Task:
    """Look at an image and its points, before anything is written.

    Raises:
        ConfigError: if nobody says the image's resolution.
        DataError: if the points can't be used.
        SlideError: if the image can't be read, held or written.
    """
    with closing(Source(image, selection=selection).open()) as slide:
        if slide.mpp is None:
            what, got = f"{image} does not say its microns per pixel", slide.pixel.source
            raise ConfigError(explain(what, got=got, want=f"to work at {number(mpp)} \u00b5m a pixel", try_="--mpp-of-slide"))
        points = read_points(csv_file).inside(slide.levels[0].shape, csv_file)
        level, factors = choose_level(slide, mpp)
        scale = np.array(slide.levels[level].scale) * factors
        _check(slide, resampled_shape(slide.levels[level].shape, factors), image)
        size = slide.mpp * float(np.sqrt(np.prod(scale)))
    places = (points.yx + 0.5) / scale - 0.5
    classes = points.classes if len(places) else ()
    return _Task(name, Source(image, level, factors, selection), places, classes, size)


def _with_classes(tasks: list[_Task], files: dict[str, str]) -> list[_Task]:
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


def _outline_image(store: Store, task: _Task, model: LoadedModel) -> ImageOutlines:
    """Write one image and its outlines."""
    with closing(task.source.open()) as seen:
        pixels = seen.read(Box.of_shape(seen.levels[0].shape))
        outlined = _outlined(seen, task, model)
    labels = outlined.labels
    if labels.max() >= IGNORED:
        what = f"{task.source.path} has too many outlines"
        raise DataError(explain(what, got=labels.max(), want=f"less than {IGNORED}", try_="a cut-out"))
    write_key(store, f"images/{task.name}.png", _png(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    write_key(store, f"labels/{task.name}.png", _png(np.where(labels < 0, IGNORED, labels).astype(np.uint16)))
    if task.classes is None:
        return ImageOutlines(task.name, task.mpp, outlined.counts, None)
    classes = [task.classes[point] for point in outlined.points.tolist()]
    rows = [{"label": label, "class": named} for label, named in enumerate(classes, 1)]
    write_key(store, f"classes/{task.name}.csv", _csv(["label", "class"], rows))
    return ImageOutlines(task.name, task.mpp, outlined.counts, Counter(classes))


def _outlined(seen: Slide, task: _Task, model: LoadedModel) -> Outlined:
    """Return the outlines of an image in which the model finds objects as in `slideseg.predict`."""
    found = segment_slide(seen, model, probabilities=True)
    channels = found.probabilities
    assert channels is not None  # they were asked for
    foreground = (channels[0] if len(channels) == 1 else 255 - channels[0]) / np.float32(255)
    info = model.info
    rules = rules_for(info.classes, task.mpp, ObjectOptions(), info.objects.at(task.mpp, info.input.mpp))
    return outline_points(label_image(found.class_map, rules).astype(np.int32), foreground, task.points, task.mpp)


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


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def _index(images: list[ImageOutlines]) -> bytes:
    """Return the table of images, whose first column is what a recipe's ``index`` looks for."""
    rows = [{"id": image.name, "mpp": image.mpp, **asdict(image.counts)} for image in images]
    return _csv(list(rows[0]), rows)


def _csv(columns: list[str], rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()


def _write_json(store: Store, report: dict[str, Any]) -> None:
    write_key(store, REPORT, json.dumps(report, indent=2).encode())
