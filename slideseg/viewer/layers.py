"""What a page can show of a result: its classes and objects, drawn tile by tile."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from slideseg.arrays.boxes import levels_of
from slideseg.colors import IDS, color_table, object_colors
from slideseg.result.layout import OBJECTS, SEGMENTATION
from slideseg.space.box import Box
from slideseg.viewer.shard_cache import CachedReader
from slideseg.viewer.tile_grid import TileGrid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slideseg.arrays.boxes import BoxReader
    from slideseg.result.result import Result
    from slideseg.viewer.shard_cache import Cache
    from slideseg.viewer.table.looks import Looks

COMPRESSION = 1
"""Of PNG tiles: they travel inside one machine, and are made while somebody waits."""
OPAQUE = 255
MARGIN = 2
"""Pixels around a tile that its outlines depend on."""


class Layer(Protocol):
    """Something that is drawn tile by tile."""

    grid: TileGrid
    media_type: str

    def tile(self, level: int, box: Box, plane: int, wishes: Mapping[str, str]) -> bytes:
        """Return a picture of the box, in pixels of a level of `grid`; ``wishes`` are the address's words after ``?``.

        Raises:
            SlidesegError: if the pixels can't be read.
        """
        ...


class ClassLayer:
    """The class map in its classes' colours; what is background or hidden is transparent."""

    media_type = "image/png"

    def __init__(self, result: Result, cache: Cache) -> None:
        self._levels = levels_of(result.url, SEGMENTATION, partial(CachedReader, cache))
        self.grid = _grid_of(self._levels)
        """Its tiles."""
        self._palette = color_table(result.classes).tobytes()

    @property
    def planes(self) -> int:
        """Planes of the stack; 1 for a single image."""
        return self._levels[0].plan.grid.planes

    def tile(self, level: int, box: Box, plane: int, wishes: Mapping[str, str]) -> bytes:
        """Return a PNG; ``hidden`` in ``wishes`` names ids of classes to leave out, such as ``1,3``."""
        picture = Image.fromarray(self._levels[level].read(box, plane))
        picture.putpalette(self._palette)
        hidden = {0, *(int(word) for word in wishes.get("hidden", "").split(",") if word.isdecimal())}
        opacities = bytes(0 if class_id in hidden else OPAQUE for class_id in range(IDS))
        return _png(picture, transparency=opacities)

    def at(self, y: int, x: int, plane: int) -> int:
        """Return the class of a pixel of level 0."""
        return int(self._levels[0].read(Box(y, x, y + 1, x + 1), plane)[0, 0])


class ObjectLayer:
    """Objects in colours that tell neighbours apart, as outlines or filled."""

    media_type = "image/png"

    def __init__(self, result: Result, cache: Cache, looks: Looks | None = None) -> None:
        self._looks = looks
        self._levels = levels_of(result.url, OBJECTS, partial(CachedReader, cache))
        self.grid = _grid_of(self._levels)
        """Its tiles."""

    def tile(self, level: int, box: Box, plane: int, wishes: Mapping[str, str]) -> bytes:
        """Return a PNG; ``style`` in ``wishes`` is ``outline`` (the default) or ``fill``, the rest is what `Looks` takes."""
        ids = _with_margin(self._levels[level], box, plane)
        known = None if self._looks is None else self._looks.shown(wishes)
        if known is not None:
            ids = np.where(known.take(ids.astype(np.intp), mode="clip"), ids, 0)
        inner = ids[MARGIN:-MARGIN, MARGIN:-MARGIN]
        shown = inner > 0 if wishes.get("style") == "fill" else outlines(ids, all_of_them=level == 0)
        pixels = np.zeros((*inner.shape, 4), np.uint8)
        pixels[shown, :3] = object_colors(inner[shown]) if self._looks is None else self._looks.colors(inner[shown], wishes)
        pixels[shown, 3] = OPAQUE
        return _png(Image.fromarray(pixels))

    def at(self, y: int, x: int, plane: int) -> int:
        """Return the object at a pixel of level 0; 0 is none."""
        return int(self._levels[0].read(Box(y, x, y + 1, x + 1), plane)[0, 0])


def outlines(ids: np.ndarray, *, all_of_them: bool = True) -> np.ndarray:
    """Return which pixels of objects touch something else by a side; ``ids`` has `MARGIN` rows and columns more on every side.

    Unless ``all_of_them`` are wanted, only those that touch a pixel inside their object, by a side or a corner: on lower
    levels, where most objects are specks, their outlines would cover all there is.
    """
    alike = [_moved(ids, y, x) == _moved(ids, 0, 0) for y, x in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    inside: np.ndarray = np.logical_and.reduce(alike)
    edge = (_moved(ids, 0, 0) > 0) & ~inside
    centre = _moved(edge, 0, 0)
    if all_of_them:
        return centre
    around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    own = _moved(ids, 0, 0)
    near = [_moved(inside, y, x) & (_moved(own, y, x) == _moved(own, 0, 0)) for y, x in around]
    shown: np.ndarray = centre & np.logical_or.reduce(near)
    return shown


def _moved(pixels: np.ndarray, y: int, x: int) -> np.ndarray:
    """Return what lies ``y`` rows below and ``x`` columns right of every pixel, for all pixels but those at the sides."""
    return pixels[1 + y : pixels.shape[0] - 1 + y, 1 + x : pixels.shape[1] - 1 + x]


def _with_margin(reader: BoxReader, box: Box, plane: int) -> np.ndarray:
    """Return the pixels of a box and `MARGIN` more on every side, nothing where the image ends."""
    wanted = box.grow(MARGIN)
    there = wanted.intersect(Box.of_shape(reader.shape_yx))
    ids = np.zeros(wanted.shape, reader.plan.dtype)
    ids[there.relative_to(wanted).slices] = reader.read(there, plane)
    return ids


def _grid_of(levels: list[BoxReader]) -> TileGrid:
    return TileGrid(levels[0].shape_yx, len(levels))


def _png(picture: Image.Image, **options: bytes) -> bytes:
    file = io.BytesIO()
    picture.save(file, "png", compress_level=COMPRESSION, **options)
    return file.getvalue()
