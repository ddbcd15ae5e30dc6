"""Measure objects in one shard, add up what several shards measured of one, and tell its size and form.

Everything that is added up is a whole number, but for images of fractions, so the sums don't depend on the shards. The numbers
are those of scikit-image's ``regionprops``, also where pixels are not square; perimeters it has of square ones alone.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.instances.labelling.growth import of_classes
from slideseg.instances.labelling.hull import hulls_of, in_order, pixels_in_hulls, points_of_runs
from slideseg.instances.labelling.runs import Ints, Runs, expand, runs_of
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from slideseg.instances.labelling.reach import Place

HALO = 2
"""Pixels around a shard that decide the perimeters in it."""
TO_SIDES = {(2, 0), (3, 0), (2, 1), (3, 1), (2, 2), (3, 2)}
"""Pixels of an outline by how many of its pixels are at their sides and at their corners: here it goes from side to side,"""
TO_CORNERS = {(0, 2), (1, 3)}
"""from corner to corner,"""
TO_BOTH = {(1, 1), (1, 2)}
"""from a side to a corner."""
PARTS = 6
"""Parts of a step that are counted, so that all are whole numbers."""
EXACT = 2**53
"""Whole numbers below it are the same as floating-point numbers."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What adds up: one row an object, or a part of one. All are whole numbers."""

    id: Ints
    """Objects, in order."""
    of_class: Ints
    """(n, k) how many pixels of each class that makes objects; 0 of all for a part that only has pixels that it grew to."""
    plane: Ints
    """Plane of a stack."""
    pixels: Ints
    """How many pixels."""
    box: Ints
    """(n, 4) first and last row and column: y0, x0, y1, x1, half-open."""
    moments: Ints
    """(n, 5) sums of y, x, y y, x x and y x over the pixels, from the box's first pixel."""
    outline: Ints
    """(n, 3) steps along the outline to a pixel below or above, to one beside it, to one at a corner, in `PARTS`."""
    probability: Ints
    """Sum of 255 p that a pixel is no background; 0 where probabilities are not kept."""
    intensity: np.ndarray
    """(n, c) sums of the image's channels over the pixels; c is 0 without an image. Fractions where the image has such."""
    hull: Ints
    """(m, 2) corners of all hulls, doubled, one hull after the other."""
    corners: Ints
    """How many corners each hull has."""

    def select(self, wanted: NDArray[np.bool_]) -> Measures:
        """Return some of the objects."""
        hull = self.hull[np.repeat(wanted, self.corners)]
        rows = {field.name: getattr(self, field.name)[wanted] for field in fields(self) if field.name != "hull"}
        return Measures(**rows, hull=hull)

    def in_order(self) -> Measures:
        """Return all rows in the order of their ids; equal ids keep theirs."""
        order, end = np.argsort(self.id, kind="stable"), np.cumsum(self.corners)
        hull = self.hull[expand((end - self.corners)[order], end[order])]
        rows = {field.name: getattr(self, field.name)[order] for field in fields(self) if field.name != "hull"}
        return Measures(**rows, hull=hull)

    def class_of(self, classes: tuple[int, ...]) -> Ints:
        """Return the class that most pixels of each object have; the first of ``classes`` where several have as many."""
        most: Ints = np.asarray(classes, np.int64)[self.of_class.argmax(axis=1)]
        return most

    def to_bytes(self) -> bytes:
        """Return the measures as bytes."""
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **{field.name: getattr(self, field.name) for field in fields(self)})
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Measures:
        """Read back what `to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return cls(**{field.name: file[field.name] for field in fields(cls)})


def chained(pieces: Sequence[Measures]) -> Measures:
    """Return all rows of several measures, one after the other."""
    names = [field.name for field in fields(Measures)]
    return Measures(**{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names})


@dataclass(frozen=True, slots=True)
class Pixels:
    """What is known of the pixels of a shard, besides their objects."""

    class_map: np.ndarray
    """Class ids (y, x)."""
    foreground: np.ndarray | None = None
    """255 p (y, x) that a pixel is no background."""
    image: np.ndarray | None = None
    """The image (y, x, c)."""


def measure(labels: np.ndarray, pixels: Pixels, place: Place, classes: tuple[int, ...]) -> Measures:
    """Measure the objects and parts of objects in a shard.

    Args:
        labels: object ids (y, x) of the shard and what there is of the image within `HALO` around it.
        pixels: what is known of the shard's own pixels.
        place: where the shard lies.
        classes: the classes that make objects.
    """
    outer = place.box.grow(HALO).intersect(Box.of_shape(place.shape_yx))
    owned = labels[place.box.relative_to(outer).slices]
    core = of_classes(pixels.class_map, classes)
    runs = runs_of((owned.astype(np.int64) << 8) | core)
    used = np.flatnonzero(runs.value >> 8)
    ids, which = np.unique(runs.value[used] >> 8, return_inverse=True)
    local = np.zeros(runs.begin.size, np.int64)
    local[used] = which + 1
    row, start = runs.row[used] + place.box.y0, runs.start[used] + place.box.x0
    stop = start + runs.length[used]
    box = _boxes(ids.size, which, row, start, stop)
    hull_of, hull = hulls_of(*points_of_runs(which, row, start, stop)) if ids.size else (which, np.empty((0, 2), np.int64))
    return Measures(
        id=ids,
        of_class=_by_class(ids.size, which, runs.value[used] & 255, stop - start, classes),
        plane=np.full(ids.size, place.plane),
        pixels=_sums(ids.size, which, stop - start),
        box=box,
        moments=_moments(ids.size, which, row - box[which, 0], start - box[which, 1], stop - box[which, 1]),
        outline=_outline(labels, outer, place.box, runs, local, ids.size),
        probability=_weighted(runs, local, pixels.foreground, ids.size),
        intensity=_intensities(runs, local, pixels.image, ids.size),
        hull=hull,
        corners=np.bincount(hull_of, minlength=ids.size),
    )


def _sums(count: int, which: Ints, values: Ints) -> Ints:
    out = np.zeros(count, np.int64)
    np.add.at(out, which, values)
    return out


def _by_class(count: int, which: Ints, class_id: Ints, length: Ints, classes: tuple[int, ...]) -> Ints:
    pixels = [_sums(count, which, np.where(class_id == one, length, 0)) for one in classes]
    return np.stack(pixels, axis=-1)


def _boxes(count: int, which: Ints, row: Ints, start: Ints, stop: Ints) -> Ints:
    box = np.empty((count, 4), np.int64)
    box[:, :2], box[:, 2:] = np.iinfo(np.int64).max, -1
    np.minimum.at(box[:, 0], which, row)
    np.minimum.at(box[:, 1], which, start)
    np.maximum.at(box[:, 2], which, row + 1)
    np.maximum.at(box[:, 3], which, stop)
    return box


def _moments(count: int, which: Ints, y: Ints, start: Ints, stop: Ints) -> Ints:
    length = stop - start
    x = (start + stop - 1) * length // 2
    xx = _squares_below(stop) - _squares_below(start)
    return np.stack([_sums(count, which, term) for term in (y * length, x, y * y * length, xx, y * x)], axis=-1)


def _squares_below(n: Ints) -> Ints:
    """Return 0 + 1 + 4 + ... + (n - 1)^2."""
    return (n - 1) * n * (2 * n - 1) // 6


def _outline(labels: np.ndarray, outer: Box, inner: Box, runs: Runs, local: Ints, count: int) -> Ints:
    """Count the steps along each object's outline, by their direction."""
    around = inner.grow(HALO)
    padded = np.zeros(around.shape, labels.dtype)
    padded[outer.relative_to(around).slices] = labels
    width = padded.shape[1]
    middle = padded[1:-1, 1:-1]
    edge = np.zeros(padded.shape, np.bool_)
    same = (middle == padded[:-2, 1:-1]) & (middle == padded[2:, 1:-1])
    same &= (middle == padded[1:-1, :-2]) & (middle == padded[1:-1, 2:])
    edge[1:-1, 1:-1] = ~same & (middle > 0)
    y, x = np.nonzero(edge[HALO:-HALO, HALO:-HALO])
    at = (y + HALO) * width + x + HALO
    flat, is_edge = padded.reshape(-1), edge.reshape(-1)
    neighbours = [
        sum((is_edge[at + step] & (flat[at + step] == flat[at])).astype(np.int64) for step in steps)
        for steps in ((-width, width), (-1, 1), (-width - 1, -width + 1, width - 1, width + 1))
    ]
    which = local[np.searchsorted(runs.begin, y * runs.shape[1] + x, "right") - 1] - 1
    out = np.zeros((count, 3), np.int64)
    np.add.at(out, which, _STEPS[tuple(neighbours)])
    return out


def _steps() -> Ints:
    """Return what a pixel of an outline adds, by its neighbours in it: below and above, beside it, at its corners.

    It is half a step to each end of its piece. Where neighbours at its sides lie along both axes, each has its share.
    """
    steps = np.zeros((3, 3, 5, 3), np.int64)
    for tall, wide, corners in np.ndindex(steps.shape[:3]):
        kind = (tall + wide, corners)
        to_sides = PARTS * (kind in TO_SIDES) + PARTS // 2 * (kind in TO_BOTH)
        to_corners = PARTS * (kind in TO_CORNERS) + PARTS // 2 * (kind in TO_BOTH)
        sides = max(1, tall + wide)
        steps[tall, wide, corners] = to_sides * tall // sides, to_sides * wide // sides, to_corners
    return steps


_STEPS = _steps()


def _weighted(runs: Runs, local: Ints, foreground: np.ndarray | None, count: int) -> Ints:
    if foreground is None:
        return np.zeros(count, np.int64)
    sums = np.add.reduceat(foreground.reshape(-1).astype(np.int64), runs.begin)
    return _sums(count + 1, local, sums)[1:]


def _intensities(runs: Runs, local: Ints, image: np.ndarray | None, count: int) -> np.ndarray:
    if image is None:
        return np.zeros((count, 0), np.int64)
    wide = np.int64 if image.dtype.kind in "bui" else np.float64
    sums = np.zeros((count, image.shape[-1]), wide)
    used = np.flatnonzero(local)
    if used.size:
        length = runs.length[used]
        values = image.reshape(-1, image.shape[-1])[expand(runs.begin[used], runs.begin[used] + length)]
        np.add.at(sums, local[used] - 1, np.add.reduceat(values, np.cumsum(length) - length, axis=0, dtype=wide))
    return sums


def merged(parts: Measures) -> Measures:
    """Add up the rows of each object; returns one row an object, in order."""
    _, which, count = np.unique(parts.id, return_inverse=True, return_counts=True)
    in_parts = count[which] > 1
    if not in_parts.any():
        return parts.in_order()
    return chained([parts.select(~in_parts), _added_up(parts.select(in_parts))]).in_order()


def _added_up(parts: Measures) -> Measures:
    order = np.argsort(parts.id, kind="stable")
    ids, starts, which = np.unique(parts.id[order], return_index=True, return_inverse=True)
    box = np.concatenate(
        [np.minimum.reduceat(parts.box[order, :2], starts), np.maximum.reduceat(parts.box[order, 2:], starts)], axis=1
    )
    back = which[np.argsort(order)]
    moments = _shifted(parts, box[back])
    hull_of, hull = hulls_of(*in_order(np.repeat(back, parts.corners), parts.hull))
    return Measures(
        id=ids,
        of_class=np.add.reduceat(parts.of_class[order], starts),
        plane=parts.plane[order][starts],
        pixels=np.add.reduceat(parts.pixels[order], starts),
        box=box,
        moments=np.add.reduceat(moments[order], starts),
        outline=np.add.reduceat(parts.outline[order], starts),
        probability=np.add.reduceat(parts.probability[order], starts),
        intensity=np.add.reduceat(parts.intensity[order], starts),
        hull=hull,
        corners=np.bincount(hull_of, minlength=ids.size),
    )


def _shifted(parts: Measures, box: Ints) -> np.ndarray:
    """Return each part's moments from the first pixel of another box; as Python's whole numbers, which have no largest."""
    y, x, yy, xx, yx = parts.moments.astype(object).T
    pixels = parts.pixels.astype(object)
    dy, dx = (parts.box[:, :2] - box[:, :2]).astype(object).T
    shifted = (
        y + dy * pixels,
        x + dx * pixels,
        yy + 2 * dy * y + dy * dy * pixels,
        xx + 2 * dx * x + dx * dx * pixels,
        yx + dy * x + dx * y + dy * dx * pixels,
    )
    return np.stack(shifted, axis=-1)


@dataclass(frozen=True, slots=True)
class Forms:
    """Size and form of objects. Places are counted from the outer corner of the image's first pixel."""

    centroid: NDArray[np.float64]
    """(n, 2) y and x."""
    box: NDArray[np.float64]
    """(n, 4) y0, x0, y1, x1."""
    area: NDArray[np.float64]
    """Of all pixels."""
    perimeter: NDArray[np.float64]
    """Length of the outline."""
    major_axis: NDArray[np.float64]
    """Length of the longer axis of the ellipse with the same second moments."""
    minor_axis: NDArray[np.float64]
    """Length of the shorter one."""
    eccentricity: NDArray[np.float64]
    """Of that ellipse: 0 for a circle, towards 1 for a line."""
    orientation: NDArray[np.float64]
    """Angle from the rows' axis (y) to the longer axis, in radians, from -pi/2 to pi/2."""
    solidity: NDArray[np.float64]
    """Share of the convex hull's pixels that are the object's."""


def in_hulls_of(whole: Measures) -> Ints:
    """Return how many pixels lie in the convex hull of each whole object."""
    hull_of = np.repeat(np.arange(whole.id.size), whole.corners)
    return pixels_in_hulls(hull_of, whole.hull) if whole.id.size else whole.pixels


def forms_of(whole: Measures, in_hulls: Ints, side_yx: tuple[float, float] = (1.0, 1.0)) -> Forms:
    """Tell the form of whole objects, with so many pixels in their hulls, whose pixels have the sides ``side_yx``."""
    (tall, wide), sides = side_yx, np.array(side_yx)
    kind = _whole_numbers(whole)
    pixels = whole.pixels.astype(kind)
    y, x, yy, xx, yx = whole.moments.astype(kind).T
    a, c, b = (
        _divided(pixels * product - a * b, pixels * pixels) * area
        for product, a, b, area in ((xx, x, x, wide * wide), (yy, y, y, tall * tall), (yx, y, x, tall * wide))
    )
    spread = np.sqrt(4 * b * b + (a - c) ** 2)
    longer, shorter = (a + c + spread) / 2, np.maximum((a + c - spread) / 2, 0)
    centroid = np.stack([_divided(y, pixels), _divided(x, pixels)], axis=-1) + whole.box[:, :2] + 0.5
    return Forms(
        centroid=centroid * sides,
        box=whole.box * np.tile(sides, 2),
        area=whole.pixels.astype(np.float64) * (tall * wide),
        perimeter=whole.outline @ np.array((tall, wide, math.hypot(tall, wide))) / PARTS,
        major_axis=4 * np.sqrt(longer),
        minor_axis=4 * np.sqrt(shorter),
        eccentricity=np.sqrt(1 - np.divide(shorter, longer, out=np.ones_like(longer), where=longer > 0)),
        orientation=np.where(a == c, np.where(b > 0, np.pi / 4, -np.pi / 4), np.arctan2(2 * b, c - a) / 2),
        solidity=whole.pixels / in_hulls,
    )


def _whole_numbers(whole: Measures) -> Any:
    """Return a type in which objects' moments are multiplied and divided exactly: Python's own where they are large."""
    side = max((whole.box[:, 2:] - whole.box[:, :2]).max(initial=0), 1)
    largest = (int(whole.pixels.max(initial=0)) * int(side)) ** 2
    return np.int64 if largest < EXACT else object


def _divided(a: np.ndarray, b: np.ndarray) -> NDArray[np.float64]:
    divided: NDArray[np.float64] = (a / b).astype(np.float64)
    return divided
