"""Read OME-Zarr images (0.1 to 0.6), bare zarr arrays (v2, v3) and the copies that `chunk_slide` makes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import zarr

from slideseg.errors import ResultError, SlideError, explain
from slideseg.slide.reader import DTYPES, LABEL_TYPES, Reader, over
from slideseg.slide.zarr.converted import HALF
from slideseg.slide.zarr.layout import ome_of
from slideseg.slide.zarr.picture import facts_of, picture_of, pixels_of
from slideseg.slide.zarr.place import FAULTS, damage, open_place, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.arrays.boxes import BoxReader
    from slideseg.slide.zarr.picture import Layer
    from slideseg.space.box import Box

_TRY = "another copy, or --on-bad-tile background"


class ZarrSlide(Reader):
    """An image in a zarr hierarchy, read in place."""

    def __init__(self, path: str, types: tuple[str, ...] = DTYPES, series: int | None = None) -> None:
        """Open the zarr at ``path``, a folder, a zip or an address, whose pixels are of one of ``types``.

        ``series`` is the image's number in a file that has several. Of label images, which may be empty nearly everywhere, not
        as many chunks have to be stored.

        Raises:
            SlideError: if it is damaged, no image, has unsupported axes, or lacks nearly all of its chunks.
        """
        self._place = None
        try:
            self._place = open_place(path)
            picture = picture_of(path, self._place, series, sparse=types == LABEL_TYPES)
            self._layers, self._letters = picture.layers, picture.letters
            self._says_where = picture.background is not None
            self._alpha = picture.alpha
            self._one = 1 if types == LABEL_TYPES else 255
            super().__init__(facts_of(path, picture), types)
        except SlideError:
            self.close()
            raise
        except FAULTS as fault:
            self.close()
            raise SlideError(explain(f"{path}: missing, damaged or unsupported zarr", got=short(fault))) from fault

    def close(self) -> None:
        """Release the file."""
        if self._place is not None:
            self._place.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        layer = self._layers[level]
        if layer.own is not None:
            return self._read_own(layer.own, box, plane)
        stored = self._stored(box, level, plane)
        pixels = stored[..., : self.shape[-1]]
        if self._alpha:
            alpha, behind = self._opacity(stored, box, level, plane), self.background or ()
            pixels = over(pixels, alpha, int(np.iinfo(self.dtype).max), behind, multiplied=False)
        bits = pixels.dtype == np.bool_
        return np.ascontiguousarray(pixels * np.uint8(self._one) if bits else pixels, self.dtype)

    def _stored(self, box: Box, level: int, plane: int) -> np.ndarray:
        """Return what a level's array has in ``box`` (y, x, c)."""
        return self._pixels(self._layers[level], self._letters, box, plane)

    def _pixels(self, layer: Layer, letters: Sequence[str], box: Box, plane: int) -> np.ndarray:
        try:
            return pixels_of(layer.array, letters, box, self._at(plane))
        except FAULTS as fault:
            raise damage(self.path, box, fault, _TRY) from fault

    def _read_own(self, reader: BoxReader, box: Box, plane: int) -> np.ndarray:
        """Read what slideseg wrote, (y, x, c)."""
        try:
            pixels = reader.read(box, plane)
        except ResultError as fault:
            what, _, _ = str(fault).partition(" (")
            try_ = "slideseg convert it anew; of a result, slideseg verify --repair"
            raise SlideError(explain(f"{self.path}: damaged zarr in {box}", got=what, try_=try_)) from fault
        return np.ascontiguousarray(np.moveaxis(pixels.reshape(-1, *box.shape), 0, -1))

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:
        if (known := self._layers[level].scanned) is not None:
            there = self._in_map(known, box, plane)[..., 0] >= HALF
            return None if there.all() else np.asarray(there)
        if self._says_where:
            return np.asarray(self._stored(box, level, plane)[..., -1] != 0)
        if self._alpha:
            shown = self._opacity(self._stored(box, level, plane), box, level, plane) != 0
            return None if shown.all() else np.asarray(shown)
        return self._in_chunks(box, level, plane)

    def _in_map(self, known: Layer, box: Box, plane: int) -> np.ndarray:
        """Return what a map of what was scanned has in ``box`` (y, x, 1)."""
        if known.own is not None:
            return self._read_own(known.own, box, plane)
        letters = [letter for letter in self._letters if letter != "c"]
        return self._pixels(known, letters, box, plane)

    def _opacity(self, stored: np.ndarray, box: Box, level: int, plane: int) -> np.ndarray:
        """Return alpha (y, x) of pixels with it; 0 where no chunk is stored, whatever the fill value."""
        there = self._in_chunks(box, level, plane)
        return stored[..., -1] if there is None else np.where(there, stored[..., -1], 0)

    def _in_chunks(self, box: Box, level: int, plane: int) -> np.ndarray | None:
        """Return which pixels (y, x) lie in chunks that are stored; None if all do."""
        chunks = self._layers[level].chunks
        if chunks is None:
            return None
        try:
            return chunks.stored_in(box, self._at(plane))
        except FAULTS as fault:
            raise damage(self.path, box, fault) from fault

    def _at(self, plane: int) -> dict[str, int]:
        """Return the index of a plane along each axis of the stack."""
        stack = self.axes[:-3]
        return dict(zip(stack, map(int, np.unravel_index(plane, self.shape[:-3])), strict=True)) if stack else {}


def labels_in(path: str) -> list[str]:
    """Return the names of the label images in the OME-Zarr at ``path``: each is opened as ``path/labels/NAME``.

    Raises:
        SlideError: if the zarr is missing or damaged.
    """
    try:
        with closing(open_place(path)) as place:
            group = place.node.get("labels") if isinstance(place.node, zarr.Group) else None
            listed = ome_of(f"{path}/labels", group).get("labels") if isinstance(group, zarr.Group) else None
            return [] if listed is None else [name.text() for name in listed.items()]
    except SlideError:
        raise
    except FAULTS as fault:
        raise SlideError(explain(f"{path}: missing, damaged or unsupported zarr", got=short(fault))) from fault
