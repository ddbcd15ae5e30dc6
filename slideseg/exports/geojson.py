"""Regions as GeoJSON that QuPath opens: polygons along the edges of pixels, in pixels (x, y) of the slide's level 0.

They are counted from where QuPath counts, or from the corner of the whole slide; a foreign member of the file says which.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from slideseg.arrays.boxes import levels_of
from slideseg.colors import rgb_of
from slideseg.exports.frame import facts_of
from slideseg.exports.trace import trace, trace_with
from slideseg.result.layout import SEGMENTATION
from slideseg.storage.whole_file import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from slideseg.exports.job import Job
    from slideseg.exports.trace import Regions
    from slideseg.model.info import ModelClass
    from slideseg.space.box import Box

    Ring = list[list[float]]
    Polygon = list[Ring]

MEMBER = "slideseg"
"""Of the feature collection: what the polygons are of, and the frame that they are counted in."""
DIGITS = 3
"""Decimals of a coordinate that is no whole number."""


@dataclass(frozen=True, slots=True)
class Style:
    """How regions become features."""

    scale: tuple[float, float]
    """Sides (y, x) of a pixel of the label image in pixels of the slide's level 0."""
    object_type: str
    """What QuPath makes of them: ``detection`` or ``annotation``."""
    classes: tuple[ModelClass, ...]
    """All classes."""
    corner: tuple[int, int] = (0, 0)
    """Level-0 pixel (y, x) that coordinates are counted from."""
    simplify: float = 0.0
    """Level-0 pixels by which an outline may be off; 0 keeps every corner."""
    plane_axis: str | None = None
    """``z`` or ``t`` where the image is a stack."""
    of_objects: tuple[int, ...] | None = None
    """Ids of the classes that an object can be of; None where regions are those of classes."""


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
    )
    about = facts_of(job.result, frame)
    return {"features": write_geojson(partial, _regions(job), style, about, compressed=name.endswith(".gz"))}


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
            return pixels

        def read_both(box: Box, plane: int = plane) -> tuple[np.ndarray, np.ndarray]:
            return read(box, plane), classes.read(box, plane)

        grid = labels.plan.grid
        found = trace_with(grid, read_both, most) if job.of_objects else trace(grid, read)
        yield from ((plane, regions) for regions in found)


def write_geojson(
    path: Path,
    batches: Iterable[tuple[int, Regions]],
    style: Style,
    about: Mapping[str, Any],
    *,
    compressed: bool = False,
) -> int:
    """Write a feature collection, feature by feature, from planes and their regions; return the number of features.

    ``about`` becomes its foreign member `MEMBER`.
    """
    number = 0
    with opened(path, compressed=compressed) as file:
        said = json.dumps({MEMBER: dict(about)}, separators=(",", ":"))[1:-1]
        file.write(f'{{"type":"FeatureCollection",{said},"features":['.encode())
        for plane, regions in batches:
            for feature in features_of(regions, plane, style):
                file.write(b",\n" if number else b"\n")
                file.write(json.dumps(feature, separators=(",", ":")).encode())
                number += 1
        file.write(b"\n]}\n")
    return number


def features_of(regions: Regions, plane: int, style: Style) -> Iterator[dict[str, Any]]:
    """Yield a feature for every region."""
    outlines = _polygons(regions, style)
    if style.simplify:
        outlines = _simplified(outlines, style.simplify)
    for value, counts, polygons in zip(regions.value.tolist(), regions.counts, outlines, strict=True):
        geometry: dict[str, Any] = {"type": "Polygon", "coordinates": polygons[0]}
        if len(polygons) > 1:
            geometry = {"type": "MultiPolygon", "coordinates": polygons}
        if style.plane_axis is not None:
            geometry["plane"] = {"c": -1, "z": 0, "t": 0, style.plane_axis: plane}
        yield {**_identity(value, style), "geometry": geometry, "properties": _properties(value, counts, style)}


def _identity(value: int, style: Style) -> dict[str, Any]:
    return {"type": "Feature"} if style.of_objects is None else {"type": "Feature", "id": value}


def _properties(value: int, counts: np.ndarray, style: Style) -> dict[str, Any]:
    class_id, measured = value, {}
    if style.of_objects is not None:
        class_id = max(style.of_objects, key=lambda class_id: (counts[class_id], -class_id))
        measured = {"measurements": {"Object ID": value}}
    found = next((known for known in style.classes if known.id == class_id), None)
    named = {} if found is None else {"classification": {"name": found.name, "color": list(rgb_of(found.color))}}
    return {"objectType": style.object_type, **named, **measured}


def _polygons(regions: Regions, style: Style) -> list[list[Polygon]]:
    """Return the polygons of every region, in the slide's pixels."""
    rings = regions.rings
    corners = _scaled(rings.corners, style.scale, style.corner)
    outlines: list[list[Polygon]] = [[] for _ in range(len(regions.value))]
    last = -1
    for part, (start, stop) in zip(rings.part.tolist(), pairwise(rings.first.tolist()), strict=True):
        if part != last:
            outlines[regions.of_part[part]].append([])
        outlines[regions.of_part[part]][-1].append([*corners[start:stop], corners[start]])
        last = part
    return outlines


def _scaled(corners: np.ndarray, scale: tuple[float, float], corner: tuple[int, int]) -> Ring:
    """Return corners (y, x) as lists [x, y] of the slide's pixels; edges of pixels lie at whole numbers on both sides."""
    if all(side.is_integer() for side in scale):
        whole: Ring = (corners[:, ::-1] * np.array(scale[::-1], np.int64) - corner[::-1]).tolist()
        return whole
    scaled: Ring = np.round(corners[:, ::-1] * scale[::-1] - np.array(corner[::-1]), DIGITS).tolist()
    return scaled


def _simplified(outlines: list[list[Polygon]], tolerance: float) -> list[list[Polygon]]:
    """Leave out corners as long as no outline moves by more than ``tolerance`` and polygons stay valid."""
    exact = np.array([shapely.MultiPolygon([shapely.Polygon(p[0], p[1:]) for p in polygons]) for polygons in outlines], object)
    fewer = shapely.simplify(exact, tolerance, preserve_topology=True)
    good = shapely.is_valid(fewer) & ~shapely.is_empty(fewer)
    return [_lists(new) if fits else old for new, fits, old in zip(fewer, good, outlines, strict=True)]


def _lists(several: Any) -> list[Polygon]:
    """Return polygons as lists; simplification turns no ring around."""
    polygons = shapely.get_parts(several)
    return [[_ring(shapely.get_coordinates(ring)) for ring in (polygon.exterior, *polygon.interiors)] for polygon in polygons]


def _ring(corners: np.ndarray) -> Ring:
    whole = corners.astype(np.int64)
    ring: Ring = (whole if (whole == corners).all() else corners).tolist()
    return ring
