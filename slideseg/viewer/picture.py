"""The slide under a result's labels, tile by tile, from the image that the result carries and from the slide's own file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from slideseg.arrays.boxes import levels_of
from slideseg.colors import rgb_of
from slideseg.errors import ResultError, SlideError, explain
from slideseg.result.layout import SEGMENTATION
from slideseg.result.ngff import omero_metadata
from slideseg.result.record import read_image_record
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.guard.slide import open_in_run
from slideseg.slide.values.window import display_window, to_uint8
from slideseg.space.box import Box
from slideseg.storage.store import open_store
from slideseg.viewer.shard_cache import CachedReader
from slideseg.viewer.tile_grid import TILE, TileGrid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slideseg.arrays.boxes import BoxReader
    from slideseg.result.record import ImageRecord
    from slideseg.result.result import Result
    from slideseg.slide.base import Slide
    from slideseg.slide.facts import Channel
    from slideseg.slide.values.window import Window
    from slideseg.viewer.shard_cache import Cache

MOST_SIDE = 8 * TILE
"""Pixels a side that are read for one tile at most."""
FINE_ENOUGH = 1.05
"""A level whose pixels are this much larger than a tile's is still taken for it."""
FULL = 1.5
"""A carried image whose pixels are at most so many working pixels is all there is to see."""
QUALITY = 90
RGB = 3


class Source(Protocol):
    """One resolution of the picture."""

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def pixel_yx(self) -> tuple[float, float]:
        """Sides of a pixel in pixels of the class map."""
        ...

    def read(self, box: Box, plane: int) -> np.ndarray:
        """Return red, green and blue, (y, x, 3) uint8."""
        ...


@dataclass(frozen=True, slots=True)
class CarriedSource:
    """A level of the image in the result."""

    reader: BoxReader
    """Reads (c, y, x)."""
    pixel_yx: tuple[float, float]
    """See `Source`."""
    colors: np.ndarray
    """Red, green and blue of every channel, (c, 3) float32."""

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.reader.shape_yx

    def read(self, box: Box, plane: int) -> np.ndarray:
        """Return red, green and blue."""
        return mixed(np.moveaxis(self.reader.read(box, plane), 0, -1), self.colors)


@dataclass(frozen=True, slots=True)
class SlideSource:
    """A level of the slide's own file."""

    slide: Slide
    """Reads (y, x, c)."""
    level: int
    """Of its pyramid."""
    pixel_yx: tuple[float, float]
    """See `Source`."""
    colors: np.ndarray
    """Red, green and blue of every channel, (c, 3) float32."""
    window: Window | None
    """Black and white of every channel; None for uint8."""

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.slide.levels[self.level].shape

    def read(self, box: Box, plane: int) -> np.ndarray:
        """Return red, green and blue."""
        pixels = self.slide.read(box, self.level, plane)
        return mixed(pixels if self.window is None else to_uint8(pixels, self.window), self.colors)


class PictureLayer:
    """The slide, as fine as its finest source; every tile from the coarsest source that is fine enough for it."""

    media_type = "image/jpeg"

    def __init__(self, sources: list[Source], class_map_yx: tuple[int, int]) -> None:
        """Show ``sources``, at least one, on the ground of a class map of so many rows and columns."""
        self._sources = sorted(sources, key=lambda source: source.pixel_yx[0])
        finest = self._sources[0].pixel_yx[0]
        rows, columns = (max(1, round(side / finest)) for side in class_map_yx)
        self.grid = TileGrid.down_to_one_tile((rows, columns))
        """Its tiles: they cover what the class map covers."""
        self._class_map_yx = class_map_yx

    @property
    def coarsest(self) -> int:
        """The last level that can be drawn without reading more than `MOST_SIDE` pixels a side for a tile."""
        return max(level for level in range(self.grid.levels) if level == 0 or self._reads(level) <= MOST_SIDE)

    def tile(self, level: int, box: Box, plane: int, wishes: Mapping[str, str]) -> bytes:  # noqa: ARG002  # as every layer
        """Return a JPEG."""
        source = self._source_for(level)
        y0, x0, y1, x1 = self._place(box, level, source)
        rows, columns = source.shape_yx
        outer = Box(int(y0), int(x0), min(rows, int(np.ceil(y1))), min(columns, int(np.ceil(x1))))
        picture = Image.fromarray(source.read(outer, plane))
        part = (x0 - outer.x0, y0 - outer.y0, x1 - outer.x0, y1 - outer.y0)
        height, width = box.shape
        file = io.BytesIO()
        picture.resize((width, height), Image.Resampling.BILINEAR, part).save(file, "jpeg", quality=QUALITY, subsampling=0)
        return file.getvalue()

    def _side(self, level: int) -> float:
        """Return the side of a pixel of a level of `grid`, in pixels of the class map."""
        return self._class_map_yx[0] / self.grid.shape_at(level)[0]

    def _source_for(self, level: int) -> Source:
        enough = [source for source in self._sources if source.pixel_yx[0] <= FINE_ENOUGH * self._side(level)]
        return enough[-1] if enough else self._sources[0]

    def _reads(self, level: int) -> float:
        return TILE * self._side(level) / min(self._source_for(level).pixel_yx)

    def _place(self, box: Box, level: int, source: Source) -> tuple[float, float, float, float]:
        """Return the part of a source that a tile shows, in the source's pixels: at least one, and inside it."""
        parts = ((box.y0, box.y1), (box.x0, box.x1))
        edges = [
            _inside(low * side / shown / pixel, high * side / shown / pixel, length)
            for (low, high), side, shown, pixel, length in zip(
                parts, self._class_map_yx, self.grid.shape_at(level), source.pixel_yx, source.shape_yx, strict=True
            )
        ]
        (y0, y1), (x0, x1) = edges
        return y0, x0, y1, x1


def _inside(low: float, high: float, length: int) -> tuple[float, float]:
    """Return a stretch of at least a pixel that ends where the image does, which may be a part of a pixel short."""
    start = min(low, length - 1.0)
    return start, min(max(high, start + 1.0), float(length))


def mixed(pixels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Return red, green and blue, (y, x, 3) uint8, of channels (y, x, c) uint8 that shine in ``colors`` (c, 3)."""
    if colors.shape == (RGB, RGB) and (colors == np.eye(RGB)).all():
        return np.ascontiguousarray(pixels)
    shone: np.ndarray = np.clip(np.rint(pixels.astype(np.float32) @ colors), 0, 255)
    return shone.astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Picture:
    """What there is of the slide."""

    layer: PictureLayer | None
    """Draws it; None where there is nothing."""
    notice: str | None
    """Why there is less than one would like; None where all is there."""
    slide: Slide | None
    """The open slide; the one who asked closes it."""

    def close(self) -> None:
        """Release the slide's file."""
        if self.slide is not None:
            self.slide.close()


def picture_of(result: Result, cache: Cache) -> Picture:
    """Find the slide of a result: the image it carries, and the slide's file where that shows more and is still the same.

    Raises:
        ResultError: if the result's own image is damaged.
    """
    class_map_yx = levels_of(result.url, SEGMENTATION)[0].shape_yx
    image = read_image_record(open_store(result.url, read_only=True))
    sources: list[Source] = list(_carried(result, cache, image))
    slide, notice = None, None
    if not sources or max(sources[0].pixel_yx) > FULL:
        slide, notice = _slide_of(result)
    if slide is not None:
        sources += _of_slide(slide, result, image)
    return Picture(PictureLayer(sources, class_map_yx) if sources else None, notice, slide)


def _carried(result: Result, cache: Cache, image: ImageRecord | None) -> list[CarriedSource]:
    levels = levels_of(result.url, "", partial(CachedReader, cache), optional=True)
    if not levels:
        return []
    if image is None:
        raise ResultError(explain("the description of array 0 is damaged", try_="slideseg verify --repair"))
    height, width = image.pixel_yx
    colors = _colors(levels[0].plan.channels or 1, result.record.slide.channels, rgb=image.rgb)
    return [CarriedSource(level, (height * 2**n, width * 2**n), colors) for n, level in enumerate(levels)]


def _of_slide(slide: Slide, result: Result, image: ImageRecord | None) -> list[SlideSource]:
    tall, wide = result.level_0_scale
    kept = None if image is None else image.window
    window = None if slide.dtype == np.uint8 else kept or display_window(slide)
    colors = _colors(slide.shape[-1], slide.channels, rgb=slide.is_rgb and slide.shape[-1] == RGB)
    return [
        SlideSource(slide, n, (level.scale[0] / tall, level.scale[1] / wide), colors, window)
        for n, level in enumerate(slide.levels)
    ]


def _slide_of(result: Result) -> tuple[Slide | None, str | None]:
    """Open the slide that the result was made of; where that can't be, say why."""
    path = result.record.slide.path
    try:
        if result.record.slide.fingerprint != fingerprint(path):
            return None, f"{path} is another file than the one that was segmented"
        slide = open_in_run(path, result.record.run.selection)
    except SlideError as error:
        return None, str(error)
    if not slide.direct:
        slide.close()
        return None, f"{path} has no tiles to read it by (try slideseg convert)"
    return slide, None


def _colors(channels: int, known: Sequence[Channel], *, rgb: bool) -> np.ndarray:
    named = omero_metadata(channels, rgb=rgb, known=known)["channels"]
    return np.array([rgb_of(channel["color"]) for channel in named], np.float32) / 255
