"""Write a result in the form of other programs: `slideseg.export`.

result -> what is exported and where to -> a partial file -> its final name
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from slideseg.arrays.boxes import levels_of
from slideseg.arrays.shards import array_attributes
from slideseg.errors import ConfigError, ResultError, explain
from slideseg.exports.geojson import Style, write_geojson
from slideseg.exports.h5ad import write_h5ad
from slideseg.exports.ome_tiff import write_ome_tiff
from slideseg.exports.png import write_png
from slideseg.exports.table import checked_table, write_csv, write_parquet
from slideseg.exports.trace import trace, trace_with
from slideseg.options import take_options
from slideseg.result.layout import OBJECTS, SEGMENTATION
from slideseg.result.level_0 import level_0_scale
from slideseg.result.overlay import Overlay
from slideseg.result.result import open_result
from slideseg.slide.inputs import stem
from slideseg.storage.store import open_store
from slideseg.storage.whole_file import check_target, whole
from slideseg.tasks.progress import Progress, Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np

    from slideseg.exports.trace import Regions
    from slideseg.result.result import Result
    from slideseg.space.box import Box
ENDINGS = {
    "geojson": "geojson", "ome-tiff": "ome.tif", "png": "png", "parquet": "parquet", "csv": "csv", "anndata": "h5ad",
}  # fmt: skip
"""Formats, and how their files' names end."""
TABLES = ("parquet", "csv", "anndata")
"""Formats of the object table."""
PACKED = ("geojson", "csv")
"""Formats that gzip compresses, in names that end in ``.gz``."""
OF_FORMAT = {"geojson": ("simplify", "object_type"), "png": ("size", "opacity", "plane")}
"""Options that a format has besides those of all."""
GROUPS = {"segmentation": SEGMENTATION, "objects": OBJECTS}
SIZE, OPACITY = 2048, 0.5
"""Of a picture, unless others are wanted."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported and how; the names and meanings of ``slideseg export``'s options."""

    labels: Literal["auto", "segmentation", "objects"] = "auto"
    """Class map or instances; ``auto``: for GeoJSON the instances where the result has them, else the class map. Tables are of
    instances."""
    simplify: float | None = None
    """GeoJSON: level-0 pixels by which outlines may be off; none are by default."""
    object_type: Literal["detection", "annotation"] | None = None
    """GeoJSON: what QuPath makes of a feature; by default detections of instances, annotations of class regions."""
    size: int | None = None
    """PNG: pixels of the longer side."""
    opacity: float | None = None
    """PNG: of the class colours, from 0 to 1."""
    plane: int | None = None
    """PNG: plane of a stack."""
    overwrite: bool = False
    """Replace a file that is there."""


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
    """Write a finished result as a file for other programs.

    Args:
        result: the result store.
        to: ``geojson`` (polygons in level-0 pixels), ``ome-tiff`` (a pyramid of labels), ``png`` (image and classes), or the
            table of the objects as ``parquet``, ``csv`` or ``anndata``.
        output: a local file; None for the result's name with the format's ending, here. GeoJSON and CSV in a name that ends
            in ``.gz`` are compressed.
        on_progress: called with a `Progress` as the work goes on.
        **options: fields of `ExportOptions`, such as ``labels="objects"`` or ``simplify=1.0``.

    Returns:
        What was written. The file is there whole, or not at all.

    Raises:
        ConfigError: if the options don't fit each other or the result, or a package that an extra installs is missing.
        ResultError: if the result is unfinished, damaged or has no such labels, or the target exists.
        RunError: if the file can't be written.
    """
    started = time.perf_counter()
    wanted = take_options(ExportOptions, options)
    _check(to, wanted)
    _check_labels(to, wanted.labels)
    opened = open_result(result)
    job = _Job(opened, _labels_of(opened, to, wanted), wanted, on_progress)
    output = f"{stem(opened.url)}.{ENDINGS[to]}" if output is None else os.fspath(output)
    if output.endswith(".gz") and to not in PACKED:
        raise ConfigError(explain(f"--to {to} is not compressed with gzip", got=output, try_=output.removesuffix(".gz")))
    path = check_target(output, overwrite=wanted.overwrite)
    with whole(path) as partial:
        counted = job.write(to, partial, path.name)
    seconds = round(time.perf_counter() - started, 3)
    return ExportReport(opened.url, str(path), to, job.labels, path.stat().st_size, seconds, **counted)


def _check(to: str, options: ExportOptions) -> None:
    if to not in ENDINGS:
        raise ConfigError(explain("no such format", got=to, want=", ".join(ENDINGS)))
    for other, names in OF_FORMAT.items():
        for name in names:
            if other != to and getattr(options, name) is not None:
                raise ConfigError(explain(f"{name} is an option of {other}", got=f"--to {to}"))
    if options.object_type not in (None, "detection", "annotation"):
        raise ConfigError(explain("no such type of object", got=options.object_type, want="detection or annotation"))
    if options.simplify is not None and not 0 <= options.simplify < math.inf:
        raise ConfigError(explain("simplify is out of range", got=options.simplify, want="0 pixels or more"))


def _check_labels(to: str, labels: str) -> None:
    if labels not in ("auto", *GROUPS):
        raise ConfigError(explain("no such labels", got=labels, want=", ".join(GROUPS)))
    if to in TABLES and labels == "segmentation":
        raise ConfigError(explain("only objects have a table", got="--labels segmentation"))


def _labels_of(result: Result, to: str, options: ExportOptions) -> str:
    there = bool(levels_of(result.url, OBJECTS))
    if options.labels == "auto" and to not in TABLES:
        return "objects" if there and to == "geojson" else "segmentation"
    if options.labels == "segmentation":
        return options.labels
    if not there:
        or_else = "slideseg objects" if to in TABLES else "slideseg objects, or --labels segmentation"
        raise ResultError(explain(f"{result.url} has no objects", try_=or_else))
    return "objects"


class _Job:
    """One export of one result."""

    def __init__(self, result: Result, labels: str, options: ExportOptions, watcher: Watcher | None) -> None:
        self.result = result
        self.labels = labels
        self.options = options
        self.levels = levels_of(result.url, GROUPS[labels])
        self._watcher = watcher
        self._done = 0

    def write(self, to: str, partial: Path, name: str) -> dict[str, int]:
        """Write the file; return what it holds, as fields of the report."""
        if to in TABLES:
            return {"rows": self._table(to, partial, name)}
        if to == "geojson":
            return {"features": self.geojson(partial, name)}
        (self.ome_tiff if to == "ome-tiff" else self.png)(partial)
        return {}

    @property
    def _planes(self) -> int:
        return self.levels[0].plan.grid.planes

    def _watch(self, total: int) -> Callable[[int], None]:
        def add(done: int) -> None:
            self._done += done
            if self._watcher is not None:
                self._watcher(Progress(self.result.url, "exporting", min(self._done, total), total))

        return add

    def _table(self, to: str, partial: Path, name: str) -> int:
        with checked_table(self.result) as table:
            watch = self._watch(table.rows)
            if to == "csv":
                write_csv(partial, table, watch, compressed=name.endswith(".gz"))
            else:
                {"parquet": write_parquet, "anndata": write_h5ad}[to](partial, table, watch)
            return table.rows

    def geojson(self, partial: Path, name: str) -> int:
        """Write polygons; return how many features."""
        of_objects = self.labels == "objects"
        plan = self.levels[0].plan
        style = Style(
            scale=level_0_scale(self.result.info, self.result.layout),
            object_type=self.options.object_type or ("detection" if of_objects else "annotation"),
            classes=tuple(self.result.classes),
            simplify=self.options.simplify or 0.0,
            plane_axis=None if plan.axes == "yx" else plan.axes[0],
            of_objects=self._object_classes() if of_objects else None,
        )
        return write_geojson(partial, self._regions(of_objects=of_objects), style, compressed=name.endswith(".gz"))

    def _object_classes(self) -> tuple[int, ...]:
        """Return the classes that objects were made of, or all where the result does not say."""
        store = open_store(self.result.url, read_only=True)
        rules = array_attributes(store, f"{OBJECTS}/0").get("slideseg", {}).get("rules", {})
        return tuple(rules.get("classes", [one["id"] for one in self.result.classes if one["id"]]))

    def _regions(self, *, of_objects: bool) -> Iterator[tuple[int, Regions]]:
        labels = self.levels[0]
        classes = levels_of(self.result.url, SEGMENTATION)[0]
        most = 1 + max(one["id"] for one in self.result.classes)
        watch = self._watch(labels.plan.grid.planes * math.prod(labels.shape_yx))
        for plane in range(self._planes):

            def read(box: Box, plane: int = plane) -> np.ndarray:
                pixels = labels.read(box, plane)
                watch(box.area)
                return pixels

            def read_both(box: Box, plane: int = plane) -> tuple[np.ndarray, np.ndarray]:
                return read(box, plane), classes.read(box, plane)

            grid = labels.plan.grid
            found = trace_with(grid, read_both, most) if of_objects else trace(grid, read)
            yield from ((plane, regions) for regions in found)

    def ome_tiff(self, partial: Path) -> None:
        """Write the pyramid."""
        total = self._planes * sum(math.prod(level.shape_yx) for level in self.levels)
        write_ome_tiff(partial, self.levels, self.result.mpp, self._about(), self._watch(total))

    def _about(self) -> dict[str, str]:
        model = self.result.info.get("model", {}).get("name", "")
        if self.labels == "objects":
            return {"labels": "objects", "model": model}
        named = {f"class {one['id']}": f"{one['name']} {one['color']}" for one in self.result.classes}
        return {"labels": "classes", "model": model, **named}

    def png(self, partial: Path) -> None:
        """Write the picture."""
        opacity = OPACITY if self.options.opacity is None else self.options.opacity
        size = SIZE if self.options.size is None else self.options.size
        of_objects = self.labels == "objects"
        overlay = Overlay(self.result, size, opacity=opacity, plane=self.options.plane or 0, of_objects=of_objects)
        write_png(partial, overlay.shape_yx, self._watched(overlay))

    def _watched(self, overlay: Overlay) -> Iterator[np.ndarray]:
        watch = self._watch(math.prod(overlay.shape_yx))
        for band in overlay.bands():
            yield band
            watch(band.shape[0] * band.shape[1])
