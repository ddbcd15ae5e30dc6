"""What is in a region that somebody drew: the objects whose centre lies in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.viewer.table.wishes import whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slideseg.model.info import ModelClass
    from slideseg.viewer.table.columns import Columns
    from slideseg.viewer.table.looks import Looks

LEAST, MOST = 3, 2000
"""Corners of a region."""
FORM = "corners as x,y,x,y,... in pixels of the slide's level 0"
UM2_PER_MM2 = 1e6


@dataclass(frozen=True, slots=True)
class Regions:
    """Counts what is in regions."""

    columns: Columns
    looks: Looks
    classes: tuple[ModelClass, ...]
    """Those that make objects."""
    um2_per_px: float | None
    """Square microns of a pixel of level 0; None if unknown."""

    def count(self, wishes: Mapping[str, str]) -> dict[str, Any]:
        """Return what is in a polygon, of the objects that are shown.

        Args:
            wishes: ``points``, the polygon's corners as ``x,y,x,y,...`` in pixels of level 0; ``plane`` of a stack; and what
                `Looks.shown` takes.

        Returns:
            The area as ``area_px`` and ``area_mm2``, and ``found``, a row for all objects and for each class: ``class``
            (None for all), ``count``, ``per_mm2`` and ``median_um2`` or ``median_px``, the median of their areas.

        Raises:
            ConfigError: if that is no polygon, or the wishes make no sense.
            ResultError: if the table is missing or damaged.
        """
        corners = corners_of(wishes.get("points", ""))
        area = area_of(corners)
        mm2 = None if self.um2_per_px is None else area * self.um2_per_px / UM2_PER_MM2
        places = self._places(corners, wishes)
        unit = "px" if self.um2_per_px is None else "um2"
        areas, classes = self.columns.values(f"area_{unit}")[places], self.looks.classes[places]
        rows = [(None, np.ones(len(places), bool)), *((known.id, classes == known.id) for known in self.classes)]
        found = [_row(class_id, areas[chosen], mm2, f"median_{unit}") for class_id, chosen in rows]
        return {"area_px": area, "area_mm2": mm2, "found": found}

    def _places(self, corners: np.ndarray, wishes: Mapping[str, str]) -> np.ndarray:
        """Return the places of objects, from 0, that are shown and whose centre lies inside."""
        x, y = (self.columns.values(f"centroid_{axis}_px") for axis in "xy")
        (left, top), (right, bottom) = corners.min(0), corners.max(0)
        near = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        near &= self.columns.values("plane") == whole(wishes, "plane", 0, 2**31)
        shown = self.looks.shown(wishes)
        if shown is not None:
            near &= shown[1:]
        places = np.flatnonzero(near)
        within: np.ndarray = places[inside(x[places], y[places], corners)]
        return within


def corners_of(words: str) -> np.ndarray:
    """Return the corners of a polygon, (corners, 2) float64 of x and y.

    Raises:
        ConfigError: if it is none.
    """
    try:
        numbers = np.array([float(word) for word in words.split(",")])
    except ValueError as error:
        raise ConfigError(explain("a region can't be read", got=words[:40] or "nothing", want=FORM)) from error
    if numbers.size % 2 or not LEAST <= numbers.size // 2 <= MOST or not np.isfinite(numbers).all():
        raise ConfigError(explain("this is no region", got=f"{numbers.size} numbers", want=f"{LEAST} to {MOST} {FORM}"))
    return numbers.reshape(-1, 2)


def area_of(corners: np.ndarray) -> float:
    """Return the area of a polygon whose sides don't cross.

    >>> area_of(np.array([[0, 0], [4, 0], [4, 3]]))
    6.0
    """
    x, y = (corners - corners.mean(0)).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def inside(x: np.ndarray, y: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return which points are inside a polygon: a line from them to the right crosses an odd number of its sides."""
    found = np.zeros(x.shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        found ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return found


def _row(class_id: int | None, areas: np.ndarray, mm2: float | None, median: str) -> dict[str, Any]:
    known = areas[~np.isnan(areas)]
    return {
        "class": class_id,
        "count": len(areas),
        "per_mm2": len(areas) / mm2 if mm2 else None,
        median: float(np.median(known)) if known.size else None,
    }
