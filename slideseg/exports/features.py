"""Regions as features of GeoJSON, in the form that QuPath reads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from slideseg.colors import rgb_of
from slideseg.exports.identity import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from slideseg.exports.trace import Regions
    from slideseg.model.info import ModelClass

    Ring = list[list[float]]
    Polygon = list[Ring]
    Measurements = list[dict[str, int | float]]

DIGITS = 3
"""Decimals of a coordinate that is no whole number."""
NUMBER = "Object ID"
"""The measurement that holds an object's number, as in the label image and the table."""


@dataclass(frozen=True, slots=True)
class Style:
    """How regions become features."""

    scale: tuple[float, float]
    """Sides (y, x) of a pixel of the label image in pixels of the slide's level 0."""
    object_type: str
    """What QuPath makes of them: ``detection`` or ``annotation``."""
    classes: tuple[ModelClass, ...]
    """All classes."""
    namespace: UUID
    """Of the features' ids."""
    corner: tuple[int, int] = (0, 0)
    """Level-0 pixel (y, x) that coordinates are counted from."""
    simplify: float = 0.0
    """Level-0 pixels by which an outline may be off; 0 keeps every corner."""
    plane_axis: str | None = None
    """``z`` or ``t`` where the image is a stack."""
    of_objects: tuple[int, ...] | None = None
    """Ids of the classes that an object can be of, ascending; None where regions are those of classes."""
    in_pieces: bool = False
    """Whether an object may be in several places, each of which is a feature."""
    chosen: frozenset[int] | None = None
    """Ids of the classes whose regions become features; None for all."""

    def classes_of(self, regions: Regions) -> list[int]:
        """Return the class of every region: of an object the one that most of its pixels have, the first of several."""
        if self.of_objects is None or not self.of_objects:
            return [0 if self.of_objects is not None else int(value) for value in regions.value]
        classes: list[int] = np.array(self.of_objects)[regions.counts[:, self.of_objects].argmax(axis=1)].tolist()
        return classes


def features_of(
    regions: Regions, plane: int, style: Style, measured: Callable[[np.ndarray], Measurements] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield a feature for every region; ``measured`` returns the measurements of objects by their numbers."""
    outlines = _polygons(regions, style)
    if style.simplify:
        outlines = _simplified(outlines, style.simplify)
    values, firsts = regions.value.tolist(), _first_corners(regions)
    known: Measurements = [{} for _ in values] if measured is None else measured(regions.value)
    for value, class_id, first, numbers, polygons in zip(
        values, style.classes_of(regions), firsts, known, outlines, strict=True
    ):
        if style.chosen is not None and class_id not in style.chosen:
            continue
        geometry: dict[str, Any] = {"type": "Polygon", "coordinates": polygons[0]}
        if len(polygons) > 1:
            geometry = {"type": "MultiPolygon", "coordinates": polygons}
        if style.plane_axis is not None:
            geometry["plane"] = {"c": -1, "z": 0, "t": 0, style.plane_axis: plane}
        told_apart = (plane, value, *first) if style.of_objects is None or style.in_pieces else (value,)
        properties = _properties(class_id, style)
        if style.of_objects is not None:
            properties["measurements"] = {NUMBER: value, **numbers}
        name = named(style.namespace, *told_apart)
        yield {"type": "Feature", "id": name, "geometry": geometry, "properties": properties}


def _first_corners(regions: Regions) -> list[list[int]]:
    """Return of every region a corner (y, x) that no other of its value and plane has."""
    first_part = np.searchsorted(regions.of_part, np.arange(len(regions.value)))
    first_ring = np.searchsorted(regions.rings.part, first_part)
    corners: list[list[int]] = regions.rings.corners[regions.rings.first[first_ring]].tolist()
    return corners


def _properties(class_id: int, style: Style) -> dict[str, Any]:
    found = next((known for known in style.classes if known.id == class_id), None)
    said: dict[str, Any] = {"objectType": style.object_type}
    return said if found is None else {**said, "classification": {"name": found.name, "color": list(rgb_of(found.color))}}


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
