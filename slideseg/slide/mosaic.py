"""A folder of tiles on a grid as one slide, as electron microscopes leave them; a small YAML says where a tile lies.

tiles: "{z}/{row}/{col}.jpg"    # places below the YAML's folder; {row} and {col} must be there, {z} may be
mpp: 0.004                      # microns of a pixel, or [y, x]; optional
z_step: 0.04                    # microns from plane to plane; optional
overlap: [12, 12]               # pixels (y, x) that neighbours share; optional
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import ConfigError, SlideError, explain
from slideseg.slide.cache import new_owner, tile_cache
from slideseg.slide.facts import Facts, PixelSize, make_levels
from slideseg.slide.reader import Reader
from slideseg.slide.selection import facts_of
from slideseg.space.box import Box
from slideseg.storage.look import at_once
from slideseg.yaml_file import read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.slide.base import Slide

NAME = "mosaic.yaml"
"""What the YAML is called in a folder that is opened itself."""
Place = tuple[int, int, int]
"""Plane, row and column of a tile."""
_KEYS = {"tiles", "mpp", "z_step", "overlap"}
_FIELD = re.compile(r"\{(row|col|z)\}")
_LEAST = 0.01
"""Share of the places that have tiles at least; fewer are taken for places whose numbers mean something else."""
_HEADS = 10_000
"""Tiles whose heads are looked at when a mosaic is opened: about a second."""
_MOST_PLACES = 10_000_000
"""Places of the grid; more is taken for a pattern that catches the wrong numbers."""


@dataclass(frozen=True, slots=True)
class Mosaic:
    """What the YAML says."""

    tiles: str
    """Pattern of the tiles' paths."""
    mpp: tuple[float, float] | None
    """Microns of a pixel along y and x."""
    z_step: float | None
    """Microns from plane to plane."""
    overlap: tuple[int, int]
    """Pixels that neighbours share, along y and x."""


class MosaicSlide(Reader):
    """Tiles on a grid. Where there is none, nothing was scanned: black."""

    def __init__(self, path: str, open_tile: Callable[[str], Slide], sides_of: Callable[[str], tuple[int, int] | None]) -> None:
        """Read the YAML at ``path`` and look which tiles there are.

        ``open_tile`` opens one; ``sides_of`` tells rows and columns as they are stored, by a file's head, None where it can't.

        Raises:
            SlideError: if the YAML can't be used, there is no tile, the first one can't be read, or another has other sides.
        """
        said = read_mosaic(path)
        tiles = _find(path, said.tiles)
        _check_alike(list(tiles.values()), tiles[min(tiles)], sides_of)
        tile = open_tile(tiles[min(tiles)])
        one = facts_of(tile)
        tile.close()
        self._open, self._owner = open_tile, new_owner()
        self._side = one.levels[0].shape
        self._stride = self._side[0] - said.overlap[0], self._side[1] - said.overlap[1]
        if min(self._stride) < 1 or len(one.axes) > len("yxc"):
            got = f"tiles {one.axes} {one.shape}, overlap {said.overlap}"
            raise SlideError(
                explain(f"{path}: tiles that make no mosaic", got=got, want="plain images larger than their overlap")
            )
        self._tiles, counts = _on_grid(tiles, self._stride)
        if math.prod(counts) > _MOST_PLACES:
            got = " x ".join(map(str, counts))
            raise SlideError(explain(f"{path}: too large a grid", got=f"{got} tiles", try_="another pattern"))
        if len(tiles) < _LEAST * math.prod(counts):
            got, want = f"{len(tiles)} of {math.prod(counts)} tiles", "most of them"
            what = f"{path}: hardly any place of the grid has a tile"
            raise SlideError(explain(what, got=got, want=want, try_="overlap, where rows and columns are places in pixels"))
        self._last = counts[1] - 1, counts[2] - 1
        self._missing = math.prod(counts) - len(tiles)
        shape = self._last[0] * self._stride[0] + self._side[0], self._last[1] * self._stride[1] + self._side[1]
        super().__init__(self._describe(path, one, (counts[0], *shape), said))

    def _describe(self, path: str, tile: Facts, shape_zyx: tuple[int, int, int], said: Mosaic) -> Facts:
        stack, shape_yx = "{z}" in said.tiles, shape_zyx[1:]
        notes = (f"{self._missing} of {self._missing + len(self._tiles)} tiles are not there",) if self._missing else ()
        return replace(
            tile,
            path=path,
            axes="zyxc" if stack else "yxc",
            shape=(*shape_zyx[not stack :], tile.shape[-1]),
            levels=make_levels([shape_yx]),
            pixel=PixelSize(said.mpp, "the mosaic's YAML" if said.mpp else "the mosaic's YAML has no mpp", said.z_step),
            direct=True,
            background=(0,) * tile.shape[-1] if self._missing else None,
            images=(),
            notes=notes,
        )

    def close(self) -> None:
        """Forget the tiles that are kept."""
        tile_cache().forget(self._owner)

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # there is only level 0
        out = np.zeros((*box.shape, self.shape[-1]), self.dtype)
        for row, column, place, part in self._touched(box):
            pixels = self._tile(plane, row, column)
            if pixels is not None:
                out[part.relative_to(box).slices] = pixels[part.relative_to(place).slices]
        return out

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:  # noqa: ARG002  # as above
        if not self._missing:
            return None
        there = np.zeros(box.shape, bool)
        for row, column, _, part in self._touched(box):
            there[part.relative_to(box).slices] = self._path(plane, row, column) is not None
        return None if there.all() else there

    def _touched(self, box: Box) -> Iterator[tuple[int, int, Box, Box]]:
        """Yield row and column of the tiles in ``box``, where each lies, and the part of the box that is taken from it.

        What two tiles share is the later one's, along both axes.
        """
        (height, width), (down, across) = self._side, self._stride
        for row in _span(box.y0, box.y1, down, self._last[0]):
            for column in _span(box.x0, box.x1, across, self._last[1]):
                y, x = row * down, column * across
                place = Box(y, x, y + height, x + width)
                own = Box(
                    y, x, y + (height if row == self._last[0] else down), x + (width if column == self._last[1] else across)
                )
                yield row, column, place, own.intersect(box)

    def _path(self, plane: int, row: int, column: int) -> str | None:
        return self._tiles.get((plane, row, column))

    def _tile(self, plane: int, row: int, column: int) -> np.ndarray | None:
        path = self._path(plane, row, column)
        if path is None:
            return None
        return tile_cache().get((self._owner, plane, row * (1 << 32) + column), lambda: self._decode(path))

    def _decode(self, path: str) -> np.ndarray:
        tile = self._open(path)
        try:
            if tile.shape != (*self._side, self.shape[-1]) or tile.dtype != self.dtype:
                got, want = f"{tile.shape} {tile.dtype}", f"{(*self._side, self.shape[-1])} {self.dtype}"
                raise SlideError(explain(f"{path}: a tile unlike the first one", got=got, want=want))
            return tile.read(Box.of_shape(self._side))
        finally:
            tile.close()


def _check_alike(tiles: list[str], first: str, sides_of: Callable[[str], tuple[int, int] | None]) -> None:
    """Refuse tiles that are not as large as the ``first``, by their heads; of very many by those of some all over the grid."""
    wanted = sides_of(first)
    if wanted is None:
        return
    looked = tiles[:: -(-len(tiles) // _HEADS)]
    for tile, sides in zip(looked, at_once(sides_of, looked), strict=True):
        if sides != wanted:
            got = "no such picture" if sides is None else f"{sides[0]} x {sides[1]}"
            raise SlideError(explain(f"{tile}: a tile unlike the first one", got=got, want=f"{wanted[0]} x {wanted[1]}"))


def is_mosaic(path: str) -> bool:
    """Tell whether the folder ``path`` has a mosaic's YAML."""
    return Path(path, NAME).is_file()


def read_mosaic(path: str) -> Mosaic:
    """Read a mosaic's YAML.

    Raises:
        SlideError: if it can't be read, or says something else.
    """
    try:
        said = read_yaml(path, "it")
    except ConfigError as error:
        try_ = "quotes around what has braces"
        raise SlideError(explain(f"{path}: no YAML that can be read", got=error, try_=try_)) from error
    want = "tiles, and mpp, z_step and overlap where they are known"
    if not isinstance(said, dict) or not set(said) <= _KEYS or not isinstance(said.get("tiles"), str):
        got = ", ".join(map(str, said)) if isinstance(said, dict) else type(said).__name__
        raise SlideError(explain(f"{path}: no description of a mosaic", got=got, want=want))
    fields = _FIELD.findall(said["tiles"])
    if not {"row", "col"} <= set(fields) or len(set(fields)) < len(fields):
        raise SlideError(explain(f"{path}: tiles names no places", got=said["tiles"], want="{row} and {col}, each once"))
    mpp = _pair(path, said, "mpp", float)
    overlap = _pair(path, said, "overlap", int) or (0, 0)
    z_step = _pair(path, said, "z_step", float)
    if (mpp and min(mpp) <= 0) or min(overlap) < 0 or (z_step and min(z_step) <= 0):
        raise SlideError(explain(f"{path}: sizes below 0", got={name: said.get(name) for name in ("mpp", "z_step", "overlap")}))
    return Mosaic(said["tiles"], mpp, z_step[0] if z_step else None, overlap)


def _pair(path: str, said: dict[str, Any], name: str, kind: type[Any]) -> Any:
    """Return one number or two (y, x) as two; None where there is none."""
    value = said.get(name)
    values = value if isinstance(value, list) else [value, value]
    if value is None:
        return None
    if len(values) != 2 or not all(isinstance(one, int | kind) and not isinstance(one, bool) for one in values):
        raise SlideError(explain(f"{path}: {name} can't be used", got=value, want="a number, or [y, x]"))
    return kind(values[0]), kind(values[1])


def _span(start: int, stop: int, stride: int, last: int) -> range:
    """Return the tiles, up to the ``last``, from which pixels ``start .. stop - 1`` are taken."""
    return range(min(start // stride, last), min((stop - 1) // stride, last) + 1)


def _on_grid(tiles: dict[Place, str], stride: tuple[int, int]) -> tuple[dict[Place, str], Place]:
    """Return the tiles by their place from (0, 0, 0) on, and how many places there are along z, y and x.

    Rows and columns are counted, or are places in pixels where all are whole strides apart. Planes are those that are there.
    """
    planes = {z: plane for plane, z in enumerate(sorted({place[0] for place in tiles}))}
    counted = []
    for axis, step in ((1, stride[0]), (2, stride[1])):
        numbers = {place[axis] for place in tiles}
        first = min(numbers)
        apart = step if len(numbers) > 1 and all((number - first) % step == 0 for number in numbers) else 1
        counted.append({number: (number - first) // apart for number in numbers})
    rows, columns = counted
    placed = {(planes[z], rows[row], columns[column]): path for (z, row, column), path in tiles.items()}
    return placed, (len(planes), max(rows.values()) + 1, max(columns.values()) + 1)


def _find(path: str, pattern: str) -> dict[Place, str]:
    """Return the tiles by (z, row, column)."""
    folder = Path(path).parent
    parts = _FIELD.split(pattern)
    expression = "".join(f"(?P<{part}>\\d+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    glob = _FIELD.sub("*", pattern)
    found: dict[Place, str] = {}
    if not glob.startswith(("/", "..")) and "/../" not in glob:
        for file in folder.glob(glob):
            match = re.fullmatch(expression, file.relative_to(folder).as_posix())
            if match:
                said = {"z": "0", **match.groupdict()}
                found[int(said["z"]), int(said["row"]), int(said["col"])] = str(file)
    if not found:
        raise SlideError(explain(f"{path}: no tile is there", got=pattern, want=f"files below {folder}"))
    return found
