"""Where frames lie in the total matrix of an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.slide.dicom.instance import Instance

_MOST_PLACES = 1 << 22
"""Of a grid whose gaps are looked for."""


@dataclass(frozen=True)
class Tiles:
    """The tiles of one plane and optical path of an image; they may have gaps, or overlap: later ones lie on top."""

    parts: list[Instance]
    """The files that the frames are in."""
    ys: np.ndarray
    """First rows, ascending."""
    xs: np.ndarray
    """First columns."""
    part: np.ndarray
    """Which of the files."""
    frame: np.ndarray
    """Which of its frames."""
    apart: bool = True
    """Whether no two of them overlap."""

    @cached_property
    def is_whole(self) -> bool:
        """Whether they cover the matrix without a gap."""
        return self.apart and not self.missing

    @property
    def places(self) -> int:
        """How many tiles fill the matrix."""
        codec, (rows, columns) = self.parts[0].codec, self.parts[0].matrix
        return int(-(-rows // codec.rows) * -(-columns // codec.columns))

    @cached_property
    def missing(self) -> int:
        """How many of those places have no frame, or an empty one."""
        return max(0, self.places - len(self._filled))

    def gaps(self) -> Iterator[Box]:
        """Yield the places without a frame; none where frames don't lie on the grid, or it is larger than any slide's."""
        if not self.missing or not self.apart or self.places > _MOST_PLACES:
            return
        codec, (rows, columns) = self.parts[0].codec, self.parts[0].matrix
        across = -(-columns // codec.columns)
        for place in np.setdiff1d(np.arange(self.places), self._filled).tolist():
            y, x = place // across * codec.rows, place % across * codec.columns
            yield Box(y, x, min(y + codec.rows, rows), min(x + codec.columns, columns))

    @cached_property
    def _filled(self) -> np.ndarray:
        """The places that have a frame with something in it, counted row by row."""
        empty = np.zeros(len(self.frame), bool)
        for number, part in enumerate(self.parts):
            mine = self.part == number
            empty[mine] = part.frames is None or part.frames.empty[self.frame[mine]]
        codec = self.parts[0].codec
        columns = -(-self.parts[0].matrix[1] // codec.columns)
        return np.unique(self.ys[~empty] // codec.rows * columns + self.xs[~empty] // codec.columns)

    def emptied(self) -> Tiles:
        """Return a plane of this image that has no tiles."""
        return Tiles(self.parts, self.ys[:0], self.xs[:0], self.part[:0], self.frame[:0])

    def touching(self, box: Box) -> Iterator[tuple[int, int, Instance, int]]:
        """Yield first row, first column, file and frame of each tile that has pixels in ``box``."""
        rows, columns = self.parts[0].codec.rows, self.parts[0].codec.columns
        first, behind = np.searchsorted(self.ys, (box.y0 - rows + 1, box.y1))
        near = slice(int(first), int(behind))
        inside = (self.xs[near] > box.x0 - columns) & (self.xs[near] < box.x1)
        for index in np.flatnonzero(inside) + int(first):
            yield int(self.ys[index]), int(self.xs[index]), self.parts[self.part[index]], int(self.frame[index])


def tiles_of(parts: list[Instance]) -> dict[tuple[float, str], Tiles]:
    """Return the tiles of one image, whose frames are in the files ``parts``, by focal plane (microns) and optical path.

    Raises:
        SlideError: if there are not as many frames as the image has tiles.
    """
    counts = [0 if part.frames is None else len(part.frames) for part in parts]
    part = np.repeat(np.arange(len(parts)), counts)
    frame = np.concatenate([np.arange(count) for count in counts])
    if all(one.places is not None for one in parts):
        return _placed(parts, part, frame)
    return _in_rows(parts, part, frame)


def _in_rows(parts: list[Instance], part: np.ndarray, frame: np.ndarray) -> dict[tuple[float, str], Tiles]:
    """Return tiles that fill the matrix: row by row, plane by plane, optical path by optical path."""
    first = parts[0]
    codec, (rows, columns) = first.codec, first.matrix
    down, across = -(-rows // max(1, codec.rows)), -(-columns // max(1, codec.columns))
    each = down * across
    names = [light.name for light in first.lights] or [""]
    lights = len(frame) // max(1, each * first.planes)
    if not 1 <= lights <= len(names) or lights * each * first.planes != len(frame):
        want = f"{each} for each of {first.planes} planes and {len(names)} optical paths"
        raise SlideError(explain(f"{first.path}: frames are missing or too many", got=f"{len(frame)} frames", want=want))
    ys, xs = np.repeat(np.arange(down) * codec.rows, across), np.tile(np.arange(across) * codec.columns, down)
    found = {}
    for number, (name, plane) in enumerate((name, plane) for name in names[:lights] for plane in range(first.planes)):
        mine = slice(number * each, (number + 1) * each)
        found[first.z + plane * (first.z_step or 1.0), name] = Tiles(parts, ys, xs, part[mine], frame[mine])
    return found


def _placed(parts: list[Instance], part: np.ndarray, frame: np.ndarray) -> dict[tuple[float, str], Tiles]:
    """Return tiles that say where they lie."""
    places = [one.places for one in parts if one.places is not None]
    ys, xs = (np.concatenate([getattr(place, name) for place in places]) for name in ("ys", "xs"))
    names = [light.name for light in parts[0].lights]
    only = names[0] if names else ""
    by_key: dict[tuple[float, str], list[int]] = {}
    for number, (z, path) in enumerate(pair for place in places for pair in zip(place.zs, place.paths, strict=True)):
        by_key.setdefault((z, path or only), []).append(number)
    order = {name: number for number, name in enumerate(names)}
    found = {}
    for key in sorted(by_key, key=lambda key: (order.get(key[1], math.inf), key)):
        mine = np.array(by_key[key])
        mine = mine[np.argsort(ys[mine], kind="stable")]
        found[key] = Tiles(parts, ys[mine], xs[mine], part[mine], frame[mine], _are_apart(parts[0], ys[mine], xs[mine]))
    return found


def _are_apart(first: Instance, ys: np.ndarray, xs: np.ndarray) -> bool:
    """Tell whether tiles lie on one grid, each at a place of its own."""
    rows, columns = first.codec.rows, first.codec.columns
    on_grid = not (ys % rows).any() and not (xs % columns).any()
    return on_grid and len(np.unique(ys * (1 << 32) + xs)) == len(ys)
