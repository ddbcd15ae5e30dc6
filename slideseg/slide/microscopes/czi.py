"""Read Zeiss CZI files through Zeiss' own library: mosaics put together, pyramids, scenes, channels, stacks."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Channel, Facts, Image, Level, PixelSize
from slideseg.slide.microscopes.optional import pixel_size, refusing
from slideseg.slide.reader import Reader
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.slide.selection import Selection

_TYPES = {"Gray8": "uint8", "Gray16": "uint16", "Gray32Float": "float32", "Bgr24": "uint8", "Bgr48": "uint16"}
_WHITE, _BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
_SMALLEST = 64
"""Rows or columns below which a level of the pyramid is left out."""


class CziSlide(Reader):
    """A CZI: one of its scenes, or all of it where it has none."""

    def __init__(self, path: str, selection: Selection) -> None:
        """Open the file at ``path``.

        Raises:
            SlideError: if it is damaged, has no such scene, or its library is not installed.
        """
        with refusing(path, "CZI"), ExitStack() as closed_on_failure:
            from pylibCZIrw import czi  # noqa: PLC0415 - it may be missing

            self._czi = closed_on_failure.enter_context(czi.open_czi(path))
            scenes = self._czi.scenes_bounding_rectangle_no_pyramid
            self._scene = _chosen(path, scenes, selection.series)
            rectangle = self._czi.total_bounding_rectangle_no_pyramid if self._scene is None else scenes[self._scene]
            self._corner = rectangle.y, rectangle.x
            super().__init__(self._describe(path, (rectangle.h, rectangle.w), scenes))
            self._opened = closed_on_failure.pop_all()

    def close(self) -> None:
        """Release the file."""
        self._opened.close()

    def _describe(self, path: str, shape_yx: tuple[int, int], scenes: dict[int, Any]) -> Facts:
        self._parts, zooms = _tiles_of(self._czi, Box.of_shape(shape_yx).shift(*self._corner))
        kinds = set(self._czi.pixel_types.values())
        if len(kinds) != 1 or not kinds <= set(_TYPES):
            raise SlideError(explain(f"{path}: unsupported pixels", got=", ".join(sorted(kinds)), want=" or ".join(_TYPES)))
        kind = kinds.pop()
        self._rgb = kind.startswith("Bgr")
        extent = {axis: stop - start for axis, (start, stop) in self._czi.total_bounding_box_no_pyramid.items()}
        self._first = {axis: start for axis, (start, _) in self._czi.total_bounding_box_no_pyramid.items()}
        self._stack = {axis: extent[axis.upper()] for axis in "tz" if extent.get(axis.upper(), 1) > 1}
        channels = extent.get("C", 1)
        if self._rgb and channels > 1:
            raise SlideError(explain(f"{path}: several colour images in one", got=f"{channels} channels of {kind}"))
        said = _metadata(self._czi.metadata)
        samples = 3 if self._rgb else channels
        white = int(np.iinfo(_TYPES[kind]).max) if self._rgb else 0
        shown = len(scenes) > 1
        return Facts(
            path=path,
            axes="".join(self._stack) + "yxc",
            shape=(*self._stack.values(), *shape_yx, samples),
            dtype=np.dtype(_TYPES[kind]),
            levels=_levels(shape_yx, zooms),
            pixel=_pixel_size(said),
            is_rgb=self._rgb and kind == "Bgr24",
            direct=True,
            channels=() if self._rgb else _channels(said, channels),
            background=None if self._parts is None else (white,) * samples,
            images=tuple(_scene(number, scene, number == self._scene) for number, scene in scenes.items()) if shown else (),
            remarks=(f"scene {self._scene} of {len(scenes)}; --series takes another",) if shown else (),
        )

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        step = round(self.levels[level].scale[0])
        rows, columns = box.shape
        roi = (self._corner[1] + box.x0 * step, self._corner[0] + box.y0 * step, columns * step, rows * step)
        where = self._plane(plane)
        settings = {"roi": roi, "scene": self._scene, "zoom": 1.0 / step, "background_pixel": _WHITE if self._rgb else _BLACK}
        with refusing(self.path, "CZI", f" in {box}"):
            if self._rgb:
                return np.ascontiguousarray(self._czi.read(plane=where, **settings)[..., ::-1])
            first = self._first.get("C", 0)
            parts = [self._czi.read(plane={**where, "C": first + c}, **settings) for c in range(self.shape[-1])]
            return np.concatenate([part.reshape(rows, columns, 1) for part in parts], axis=-1)

    def _plane(self, plane: int) -> dict[str, int]:
        """Return where a plane lies along the file's own axes."""
        indices = np.unravel_index(plane, tuple(self._stack.values())) if self._stack else ()
        return {a.upper(): self._first[a.upper()] + int(i) for a, i in zip(self._stack, indices, strict=True)}

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:  # noqa: ARG002  # tiles lie alike on all planes
        if self._parts is None:
            return None
        step = round(self.levels[level].scale[0])
        there = np.zeros(box.shape, bool)
        wanted = Box(box.y0 * step, box.x0 * step, box.y1 * step, box.x1 * step)
        for part in self._parts:
            seen = part.intersect(wanted)
            if seen.area:
                inside = seen.relative_to(wanted)
                there[-(-inside.y0 // step) : inside.y1 // step, -(-inside.x0 // step) : inside.x1 // step] = True
        return None if there.all() else there


def _chosen(path: str, scenes: dict[int, Any], wanted: int | None) -> int | None:
    """Return the number of the scene that is opened, the first by default; None where the file has no scenes."""
    if wanted is not None and scenes and wanted not in scenes:
        want = ", ".join(map(str, scenes))
        raise SlideError(explain(f"{path} has no such image", got=f"--series {wanted}", want=want))
    return wanted if wanted is not None and scenes else min(scenes, default=None)


def _scene(number: int, rectangle: Any, used: bool) -> Image:
    return Image(number, "slide", (rectangle.h, rectangle.w), "yx", f"scene {number}", used)


def _tiles_of(document: Any, scene: Box) -> tuple[tuple[Box, ...] | None, set[int]]:
    """Return the tiles of a scene, relative to it, or None where they cover it; and by how much its pyramid shrinks."""
    parts: set[Box] = set()
    zooms: set[int] = set()

    def see(_: int, tile: Any) -> bool:
        rectangle = tile.logicalRect
        box = Box(rectangle.y, rectangle.x, rectangle.y + rectangle.h, rectangle.x + rectangle.w)
        inside = box.intersect(scene)
        if inside.area:
            shrink = round(rectangle.w / max(1, tile.physicalSize.w))
            zooms.add(shrink)
            if shrink == 1:
                parts.add(inside.relative_to(scene))
        return True

    document.enumerate_subblocks(see)
    covered = _covers(parts, scene)
    return (None if covered else tuple(sorted(parts))), zooms


def _covers(parts: set[Box], scene: Box) -> bool:
    """Tell whether boxes cover a scene: on the grid of all their edges every cell is in one."""
    if sum(part.area for part in parts) < scene.area:
        return False
    ys = np.unique([edge for part in parts for edge in (part.y0, part.y1)])
    xs = np.unique([edge for part in parts for edge in (part.x0, part.x1)])
    cells = np.zeros((len(ys) - 1, len(xs) - 1), bool)
    for part in parts:
        rows, columns = np.searchsorted(ys, (part.y0, part.y1)), np.searchsorted(xs, (part.x0, part.x1))
        cells[rows[0] : rows[1], columns[0] : columns[1]] = True
    height, width = scene.shape
    return bool(cells.all()) and (ys[0], xs[0], ys[-1], xs[-1]) == (0, 0, height, width)


def _levels(shape: tuple[int, int], zooms: set[int]) -> tuple[Level, ...]:
    """Return level 0 and one for each power of two that the file's own pyramid has."""
    levels = [Level(shape)]
    for step in sorted(zooms):
        reduced = shape[0] // step, shape[1] // step
        if step > 1 and step & (step - 1) == 0 and min(reduced) >= _SMALLEST:
            levels.append(Level(reduced, (float(step), float(step))))
    return tuple(levels)


def _metadata(said: dict[str, Any]) -> dict[str, Any]:
    """Return the part of the metadata that speaks of the image; empty where it is missing."""
    document = said.get("ImageDocument") or {}
    return document.get("Metadata") or {}


def _pixel_size(said: dict[str, Any]) -> PixelSize:
    items = ((said.get("Scaling") or {}).get("Items") or {}).get("Distance") or []
    sides = {item.get("@Id"): _number(item.get("Value")) for item in (items if isinstance(items, list) else [items])}
    return pixel_size(sides.get("Y"), sides.get("X"), sides.get("Z"), "CZI Scaling", 1e6)


def _channels(said: dict[str, Any], number: int) -> tuple[Channel, ...]:
    image = (said.get("Information") or {}).get("Image") or {}
    listed = ((image.get("Dimensions") or {}).get("Channels") or {}).get("Channel") or []
    listed = listed if isinstance(listed, list) else [listed]
    if len(listed) != number:
        return ()
    return tuple(Channel(str(entry.get("@Name") or ""), _color(entry.get("Color"))) for entry in listed)


def _color(text: object) -> str | None:
    """Return ``#rrggbb`` of Zeiss' ``#aarrggbb``."""
    digits = str(text or "").removeprefix("#").lower()
    return f"#{digits[-6:]}" if len(digits) in (6, 8) else None


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None
