"""Regions as GeoJSON that QuPath opens: polygons along the edges of pixels, in pixels (x, y) of the slide's level 0.

They are counted from where QuPath counts, or from the corner of the whole slide; a foreign member of the file says which.
"""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.arrays.boxes import levels_of
from slideseg.exports.features import Style, features_of
from slideseg.exports.frame import facts_of
from slideseg.exports.identity import namespace_of
from slideseg.exports.measured import Measured
from slideseg.exports.rows import checked_table
from slideseg.exports.trace import trace, trace_with
from slideseg.result.layout import SEGMENTATION
from slideseg.storage.whole_file import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from slideseg.exports.job import Job
    from slideseg.exports.trace import Regions
    from slideseg.space.box import Box

ENDINGS = (".geojson", ".json")
"""Of the file in a ZIP file: QuPath looks at no other."""
MEMBER = "slideseg"
"""Of the feature collection: what the polygons are of, and the frame that they are counted in."""


def export(job: Job, partial: Path, name: str) -> dict[str, int]:
    """Write polygons; return how many features."""
    plan = job.levels[0].plan
    frame = job.frame("bounds")
    style = Style(
        scale=job.result.level_0_scale,
        corner=frame.corner_yx,
        object_type=job.options.object_type or ("detection" if job.of_objects else "annotation"),
        classes=job.result.classes,
        simplify=job.options.simplify or 0.0,
        plane_axis=None if plan.axes == "yx" else plan.axes[0],
        of_objects=_object_classes(job) if job.of_objects else None,
        chosen=job.classes if job.of_objects else None,
        namespace=namespace_of(job.result, job.labels),
    )
    about = facts_of(job.result, frame)
    wanted = job.of_objects and job.options.measurements is not False
    if name.lower().endswith(".gz"):
        job.tell("QuPath opens .geojson.gz from version 0.4 on, earlier ones find nothing in it; all open .geojson.zip")
    with checked_table(job.result, frame) if wanted else nullcontext() as table:
        measured = None if table is None else Measured(table)
        features = _features(job, style, measured)
        return {"features": write_geojson(partial, features, about, name)}


def _features(job: Job, style: Style, measured: Measured | None) -> Iterator[dict[str, Any]]:
    for plane, regions in _regions(job):
        yield from features_of(regions, plane, style, None if measured is None else measured.of)


def _object_classes(job: Job) -> tuple[int, ...]:
    """Return the classes that objects were made of."""
    record = job.result.objects_record
    return () if record is None else record.rules.classes


def _regions(job: Job) -> Iterator[tuple[int, Regions]]:
    """Yield the regions of every plane; those of objects with how many pixels of each class they have."""
    labels = job.levels[0]
    classes = levels_of(job.result.url, SEGMENTATION)[0]
    most = 1 + max(known.id for known in job.result.classes)
    watch = job.watch(job.planes * math.prod(labels.shape_yx))
    for plane in range(job.planes):

        def read(box: Box, plane: int = plane) -> np.ndarray:
            pixels = labels.read(box, plane)
            watch(box.area)
            return pixels if job.of_objects or job.classes is None else only(pixels, job.classes)

        def read_both(box: Box, plane: int = plane) -> tuple[np.ndarray, np.ndarray]:
            return read(box, plane), classes.read(box, plane)

        grid = labels.plan.grid
        found = trace_with(grid, read_both, most) if job.of_objects else trace(grid, read)
        yield from ((plane, regions) for regions in found)


def only(pixels: np.ndarray, classes: frozenset[int]) -> np.ndarray:
    """Return a class map of these classes alone; what is of another one is background."""
    return np.where(np.isin(pixels, list(classes)), pixels, 0)


def write_geojson(path: Path, features: Iterable[dict[str, Any]], about: Mapping[str, Any], name: str = "") -> int:
    """Write a feature collection, feature by feature, a line each; return their number.

    ``about`` becomes its foreign member `MEMBER`; the file is packed as its final ``name`` ends.
    """
    number = 0
    with opened(path, name, ENDINGS) as file:
        said = json.dumps({MEMBER: dict(about)}, separators=(",", ":"))[1:-1]
        file.write(f'{{"type":"FeatureCollection",{said},"features":['.encode())
        for feature in features:
            file.write(b",\n" if number else b"\n")
            file.write(json.dumps(feature, separators=(",", ":")).encode())
            number += 1
        file.write(b"\n]}\n")
    return number
