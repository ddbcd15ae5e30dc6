"""What a result looks like: the image it carries under the colours of its classes, at any size, band by band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from slideseg.arrays.boxes import BoxReader, levels_of
from slideseg.colors import color_table, object_colors
from slideseg.errors import ConfigError, ResultError, explain
from slideseg.result.layout import OBJECTS, SEGMENTATION
from slideseg.result.record import read_image_record
from slideseg.slide.resampled import weights
from slideseg.space.box import Box
from slideseg.storage.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.model.info import ModelClass

BAND_BYTES = 128 * 2**20
"""What a band of the picture and its sources may take, about."""
PIXEL_BYTES = 48
"""What a pixel of a source takes while a band is made."""
LEAST_ROWS = 16
"""Rows of a band where a single one takes more than a part of `BAND_BYTES`."""
MOST_SIDE = 1_000_000
"""Pixels of a picture's longer side."""
WHITE = 255
RGB = 3


@dataclass(frozen=True, slots=True)
class _Layer:
    """One pyramid, and how many of level 0's pixels the working resolution has along each side."""

    levels: list[BoxReader]
    extent_yx: tuple[float, float]
    """Rows and columns of level 0 that the class map covers; the image may reach a little further."""

    def level_for(self, shape_yx: tuple[int, int]) -> tuple[BoxReader, tuple[float, float]]:
        """Return the coarsest level that has the pixels for a picture of ``shape_yx``, and its part that is shown."""
        chosen, extent = self.levels[0], self.extent_yx
        for number, level in enumerate(self.levels):
            shown = (self.extent_yx[0] / 2**number, self.extent_yx[1] / 2**number)
            if number == 0 or (shown[0] >= shape_yx[0] and shown[1] >= shape_yx[1]):
                chosen, extent = level, shown
        return chosen, extent


class Finished(Protocol):
    """What is looked at of a finished result."""

    @property
    def url(self) -> str:
        """Where it lies."""
        ...

    @property
    def classes(self) -> tuple[ModelClass, ...]:
        """All classes."""
        ...


class Overlay:
    """A picture of one plane of a result, (y, x, 3) uint8.

    Memory: a band of the picture and what it is made from, about `BAND_BYTES`, or a few rows of it where that is more.
    """

    def __init__(
        self,
        result: Finished,
        size: int,
        *,
        opacity: float = 0.5,
        plane: int = 0,
        of_objects: bool = False,
        pixel_yx: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        """Show ``result`` at ``size`` pixels along its longer side, classes or objects with ``opacity`` from 0 to 1.

        ``pixel_yx`` is the form of the class map's pixels in the picture: their sides, in any unit.

        Raises:
            ConfigError: if a number is out of range.
            ResultError: if the result has no objects.
        """
        labels = levels_of(result.url, OBJECTS if of_objects else SEGMENTATION, optional=of_objects)
        if not labels:
            raise ResultError(explain(f"{result.url} has no objects", try_="slideseg objects"))
        _check("size", size, 1, MOST_SIDE)
        _check("opacity", opacity, 0, 1)
        _check("plane", plane, 0, labels[0].plan.grid.planes - 1)
        rows, columns = labels[0].shape_yx
        height, width = rows * pixel_yx[0], columns * pixel_yx[1]
        scale = size / max(height, width)
        self.shape_yx = (max(1, round(height * scale)), max(1, round(width * scale)))
        """Rows and columns of the picture."""
        self._plane, self._opacity = plane, opacity
        self._colors = None if of_objects else color_table(result.classes).astype(np.float32)
        self._labels = _Layer(labels, (float(rows), float(columns)))
        image = levels_of(result.url, "", optional=True)
        self._image = _Layer(image, _image_extent(result, (rows, columns))) if image else None

    @property
    def band_rows(self) -> int:
        """Rows of a band."""
        used = [layer.level_for(self.shape_yx) for layer in (self._labels, self._image) if layer is not None]
        source = sum(reader.shape_yx[1] * max(1.0, extent[0] / self.shape_yx[0]) for reader, extent in used)
        row_bytes = PIXEL_BYTES * (source + self.shape_yx[1])
        return min(self.shape_yx[0], max(LEAST_ROWS, int(BAND_BYTES / row_bytes)))

    def bands(self) -> Iterator[np.ndarray]:
        """Yield the picture from top to bottom.

        Raises:
            ResultError: if a shard is missing or damaged.
        """
        step = self.band_rows
        for y in range(0, self.shape_yx[0], step):
            yield self._band(y, min(y + step, self.shape_yx[0]))

    def picture(self) -> np.ndarray:
        """Return all of it."""
        return np.concatenate(list(self.bands()))

    def _band(self, y0: int, y1: int) -> np.ndarray:
        base = self._base(y0, y1)
        reader, extent = self._labels.level_for(self.shape_yx)
        if extent[0] <= self.shape_yx[0]:
            mixed = self._tinted(self._nearest(reader, extent, y0, y1))
        else:  # colours times opacity: what is not covered weighs nothing where several pixels become one
            mixed = self._resampled(reader, extent, (y0, y1), self._tinted)
        picture: np.ndarray = np.rint(base * (1 - mixed[..., RGB:]) + mixed[..., :RGB])
        return picture.clip(0, WHITE).astype(np.uint8)

    def _nearest(self, reader: BoxReader, extent: tuple[float, float], y0: int, y1: int) -> np.ndarray:
        """Return the labels under the centres of the pixels of rows ``y0 .. y1 - 1``."""
        ranges = ((y0, y1), (0, self.shape_yx[1]))
        rows, columns = (
            np.minimum((np.arange(*part) + 0.5) * covered / shown, side - 1).astype(np.int64)
            for part, covered, shown, side in zip(ranges, extent, self.shape_yx, reader.shape_yx, strict=True)
        )
        labels = reader.read(Box(int(rows[0]), 0, int(rows[-1]) + 1, reader.shape_yx[1]), self._plane)
        picked: np.ndarray = labels[rows - rows[0]][:, columns]
        return picked

    def _resampled(
        self,
        reader: BoxReader,
        extent: tuple[float, float],
        part: tuple[int, int],
        look: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """Return rows of the picture, (y, x, c) float32, made from what ``look`` makes of a reader's pixels.

        A pixel's weights follow from its own place, so it does not depend on the band.
        """
        factors = [covered / shown for covered, shown in zip(extent, self.shape_yx, strict=True)]
        y0, y1, rows = weights(*part, reader.shape_yx[0], factors[0])
        x0, x1, columns = weights(0, self.shape_yx[1], reader.shape_yx[1], factors[1])
        pixels = look(reader.read(Box(y0, x0, y1, x1), self._plane))
        height, width, channels = pixels.shape
        tall = (rows.astype(np.float32) @ pixels.reshape(height, -1)).reshape(-1, width, channels).transpose(1, 0, 2)
        wide: np.ndarray = columns.astype(np.float32) @ tall.reshape(width, -1)
        return wide.reshape(self.shape_yx[1], -1, channels).transpose(1, 0, 2)

    def _tinted(self, labels: np.ndarray) -> np.ndarray:
        """Return colours times opacity, and the opacity, (y, x, 4) float32."""
        colors = object_colors(labels) if self._colors is None else self._colors[labels]
        alpha = self._opacity * (labels > 0).astype(np.float32)
        return np.concatenate([colors * alpha[..., None], alpha[..., None]], axis=-1).astype(np.float32)

    def _base(self, y0: int, y1: int) -> np.ndarray:
        """Return the image without classes, (y, x, 3) float32; white where the result carries none."""
        if self._image is None:
            return np.full((y1 - y0, self.shape_yx[1], RGB), WHITE, np.float32)
        return self._resampled(*self._image.level_for(self.shape_yx), (y0, y1), _rgb)


def _check(name: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(explain(f"the picture's {name} is out of range", got=value, want=f"{low} to {high}"))


def _rgb(image: np.ndarray) -> np.ndarray:
    """Return an image (c, y, x) as (y, x, 3) float32; one that is not of red, green and blue is grey by its first channel."""
    shown = image if len(image) == RGB else np.repeat(image[:1], RGB, axis=0)
    return np.moveaxis(shown, 0, -1).astype(np.float32)


def _image_extent(result: Finished, shape_yx: tuple[int, int]) -> tuple[float, float]:
    """Return the rows and columns of the image's level 0 that the class map covers."""
    image = read_image_record(open_store(result.url, read_only=True))
    if image is None:
        raise ResultError(explain("the description of array 0 is damaged", try_="slideseg verify --repair"))
    return shape_yx[0] / image.pixel_yx[0], shape_yx[1] / image.pixel_yx[1]
