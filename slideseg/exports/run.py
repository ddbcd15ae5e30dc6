"""Write a result in the form of other programs: `slideseg.export`.

result -> what is exported and where to -> a partial file -> its final name
"""

from __future__ import annotations

import importlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slideseg.errors import ConfigError, explain
from slideseg.exports.job import Job
from slideseg.exports.options import ENDINGS, PACKED, ExportOptions, check_options
from slideseg.options import take_options
from slideseg.result.result import is_result, open_result
from slideseg.slide.listing.names import IN_BUCKETS, stem
from slideseg.slide.zarr.place import is_zarr
from slideseg.storage.place import check_kept, is_url, local_path, make_folder
from slideseg.storage.whole_file import check_target, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slideseg.tasks.progress import Watcher

HOMES = {
    "geojson": "slideseg.exports.geojson",
    "ome-tiff": "slideseg.exports.ome_tiff",
    "png": "slideseg.exports.png",
    "parquet": "slideseg.exports.rows",
    "csv": "slideseg.exports.rows",
    "anndata": "slideseg.exports.h5ad",
}
"""The module whose ``export`` writes a format; imported for it alone, because each needs something heavy."""
LABEL_IMAGES = "slideseg.exports.label_image"
"""The module whose ``export`` writes the polygons of label images."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    result: str
    """The result, as it was typed."""
    output: str
    """The file."""
    to: str
    """Its format."""
    labels: str
    """``segmentation`` or ``objects``."""
    bytes: int
    """Size of the file."""
    seconds: float
    """Time it took."""
    features: int | None = None
    """GeoJSON: how many features."""
    rows: int | None = None
    """Tables: how many rows, which is how many objects."""
    notes: tuple[str, ...] = ()
    """What was left out, or is to be known of the file."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return {"status": "ok", "error": None, **asdict(self)}


def export(
    result: str | os.PathLike[str],
    to: str,
    output: str | os.PathLike[str] | None = None,
    *,
    on_progress: Watcher | None = None,
    **options: Any,
) -> ExportReport:
    """Write a finished result, or as ``geojson`` also a label image, as a file for other programs.

    Args:
        result: the result store, or a TIFF, PNG, ``.npy`` or zarr array of class ids or instance ids, whose polygons are in its
            own pixels. It holds class ids if it has 8 values at most, unless ``labels`` says what it holds.
        to: ``geojson`` (polygons in level-0 pixels), ``ome-tiff`` (a pyramid of labels), ``png`` (image and classes), or the
            table of the objects as ``parquet``, ``csv`` or ``anndata``.
        output: a local file; None for the result's name with the format's ending, here. GeoJSON and CSV are packed in a
            name that ends in ``.zip``, which QuPath opens, or in ``.gz``.
        on_progress: called with a `Progress` as the work goes on.
        **options: fields of `ExportOptions`, such as ``labels="objects"`` or ``simplify=1.0``.

    Returns:
        What was written. The file is there whole, or not at all.

    Raises:
        ConfigError: if the options don't fit each other or the result, or a package that an extra installs is missing.
        SlideError: if a label image is damaged, its pixels are no whole numbers, or it is a JPEG.
        ResultError: if the result is unfinished, damaged or has no such labels, or the target exists.
        RunError: if the file can't be written.
    """
    started = time.perf_counter()
    wanted = take_options(ExportOptions, options)
    check_options(to, wanted)
    source = local_path(result)
    if to == "geojson" and _is_label_image(source):
        path = _target(source, to, output, source, overwrite=wanted.overwrite)
        with whole(path) as partial:
            export_labels = importlib.import_module(LABEL_IMAGES).export
            labels, features, notes = export_labels(source, partial, path.name, wanted, on_progress)
        return ExportReport(source, str(path), to, labels, path.stat().st_size, _seconds(started), features, notes=notes)
    opened = open_result(result)
    job = Job(opened, to, wanted, on_progress)
    path = _target(opened.url, to, output, opened.record.slide.path, overwrite=wanted.overwrite)
    with whole(path) as partial:
        counted = _writer_of(to)(job, partial, path.name)
    size, seconds = path.stat().st_size, _seconds(started)
    return ExportReport(opened.url, str(path), to, job.labels, size, seconds, notes=job.notes, **counted)


def _is_label_image(path: str) -> bool:
    """Tell whether something is there that is no result and may be a label image: a file, or a zarr."""
    if is_url(path):
        return path.lower().endswith(IN_BUCKETS)
    return not is_result(path) and (Path(path).is_file() or is_zarr(path))


def _target(url: str, to: str, output: str | os.PathLike[str] | None, read: str, *, overwrite: bool) -> Path:
    """Return the file that is written: beside what is ``read``, never in its place.

    Raises:
        ConfigError: if the format is not packed so, or it would replace what is read.
        ResultError: if it exists, or can't be written.
    """
    output = files_in("", [url], to)[url] if output is None else os.fspath(output)
    packing = Path(output.lower()).suffix
    if to not in PACKED.get(packing, (to,)):
        raise ConfigError(explain(f"--to {to} is not packed", got=output, try_=output[: -len(packing)]))
    check_kept([read], output, "what it is made from" if read == url else "the slide itself")
    return check_target(output, overwrite=overwrite)


def _seconds(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def files_in(folder: str, results: Sequence[str], to: str) -> dict[str, str]:
    """Return what the exports of results are called in a folder, which is made where it is not there; empty for this one.

    Raises:
        ConfigError: if two would be called the same.
        ResultError: if the folder can't be made.
    """
    files = {result: os.path.join(folder, f"{stem(result)}.{ENDINGS[to]}") for result in results}
    of = {file: result for result, file in files.items()}
    twice = next((result for result, file in files.items() if of[file] != result), None)
    if twice is not None:
        got = f"{twice} and {of[files[twice]]}"
        raise ConfigError(explain("two exports would have one name", got=got, try_="one after the other, each with -o"))
    if folder:
        make_folder(folder, "the exports' folder")
    return files


def _writer_of(to: str) -> Callable[[Job, Path, str], dict[str, int]]:
    """Return what writes a format: it is given the job, the file and its final name, and returns fields of the report."""
    writer: Callable[[Job, Path, str], dict[str, int]] = importlib.import_module(HOMES[to]).export
    return writer
