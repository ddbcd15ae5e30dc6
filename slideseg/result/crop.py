"""A piece of a result in memory: image, classes and objects of a box, to look at and to count in a notebook."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.shards import array_attributes, plan_of
from slideseg.errors import ConfigError, ResultError, explain
from slideseg.result.image import Image, find_image
from slideseg.result.layout import OBJECTS, SEGMENTATION
from slideseg.result.table import read_rows
from slideseg.space.box import Box

if TYPE_CHECKING:
    import pyarrow

    from slideseg.result.layout import ResultLayout
    from slideseg.result.record import RunRecord
    from slideseg.storage.store import Store


@dataclass(frozen=True, slots=True)
class Crop:
    """What lies in a box of a result, all at the resolution of the class map."""

    box: Box
    """The box, in pixels of the class map."""
    image: np.ndarray | None
    """The slide's own pixels (y, x, c); None where it can't be had."""
    segmentation: np.ndarray
    """Class ids (y, x)."""
    objects: np.ndarray | None
    """Instance ids (y, x), 0 is none; None without objects."""
    table: pyarrow.Table | None
    """The rows of the objects that have a pixel in the box, in the order of the ids; None without objects."""
    notice: str | None = None
    """Why there is no image."""


class Cropper:
    """Reads boxes of one result."""

    def __init__(self, store: Store, record: RunRecord, layout: ResultLayout) -> None:
        self._store, self._record, self._layout = store, record, layout

    def crop(self, box: Box, plane: int) -> Crop:
        """Return what lies in a box of a plane. Memory: the box, and the chunks of one shard.

        Raises:
            ConfigError: if the box leaves the class map or is empty, or there is no such plane.
            ResultError: if the result is damaged there.
        """
        self._check(box, plane)
        found = find_image(self._store, self._record, self._layout)
        objects = self._read(OBJECTS, box, plane) if self._has_objects else None
        return Crop(
            box=box,
            image=self._pixels(found, box, plane) if isinstance(found, Image) else None,
            segmentation=self._read(SEGMENTATION, box, plane),
            objects=objects,
            table=None if objects is None else self._rows_of(objects),
            notice=None if isinstance(found, Image) else found,
        )

    def rows(self, box: Box, plane: int) -> pyarrow.Table:
        """Return the rows of the objects that have a pixel in a box of a plane, in the order of their ids.

        Raises:
            ConfigError: if the box leaves the class map or is empty, or there is no such plane.
            ResultError: if there are no objects, or they or their table are damaged.
        """
        self._check(box, plane)
        if not self._has_objects:
            raise ResultError(explain("the result has no objects", try_="slideseg objects"))
        return self._rows_of(self._read(OBJECTS, box, plane))

    @property
    def _has_objects(self) -> bool:
        return "ome" in array_attributes(self._store, OBJECTS)

    def _check(self, box: Box, plane: int) -> None:
        grid = self._layout.grid
        whole = Box.of_shape(grid.shape_yx)
        if not box.area or box.intersect(whole) != box:
            got, want = (box.y0, box.x0, box.y1, box.x1), f"rows 0 to {whole.y1}, columns 0 to {whole.x1}: (y0, x0, y1, x1)"
            raise ConfigError(explain("the box is not in the class map", got=got, want=want))
        if plane not in range(grid.planes):
            raise ConfigError(explain("no such plane", got=plane, want=f"0 to {grid.planes - 1}"))

    def _read(self, group: str, box: Box, plane: int) -> np.ndarray:
        return BoxReader(self._store, plan_of(self._store, f"{group}/0")).read(box, plane)

    def _rows_of(self, objects: np.ndarray) -> pyarrow.Table:
        ids = np.unique(objects)
        return read_rows(self._store, ids[ids > 0])

    def _pixels(self, image: Image, box: Box, plane: int) -> np.ndarray:
        """Return the pixels (y, x, c) of a box of the image."""
        with closing(image.open(self._store)) as reader:
            return reader.read(box, plane)
