"""Boxes of an image put together from its frames; where there is none, the background stays."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.cache import memory_for, tile_cache
from slideseg.slide.dicom.parsing import FAULTS
from slideseg.space.box import Box
from slideseg.tasks.share import share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.slide.dicom.instance import Instance
    from slideseg.slide.dicom.tiles import Tiles

_GOOD, _BAD = 1, 2


class Painter:
    """Reads boxes from several threads at once; no frame is decoded that has no pixel in the box."""

    def __init__(self, fill: int, *, keeps_going: bool) -> None:
        """Take ``fill`` for the samples of what was not scanned, and for damaged frames if it ``keeps_going``."""
        self._fill, self._keeps_going = fill, keeps_going
        self._states: dict[str, np.ndarray] = {}
        self._lock = threading.Lock()

    def pixels(self, tiles: Tiles, box: Box) -> np.ndarray:
        """Return the pixels (y, x, samples) of ``box``.

        Raises:
            SlideError: if a frame is damaged.
        """
        codec = tiles.parts[0].codec
        shape = (*box.shape, codec.samples)
        covered = tiles.is_whole and not self._keeps_going
        out = np.empty(shape, codec.dtype) if covered else np.full(shape, self._fill, codec.dtype)

        def paint(piece: tuple[Box, Instance, int]) -> None:
            tile, file, frame = piece
            part = tile.intersect(box)
            target = out[part.relative_to(box).slices]
            whole = part == tile and tiles.apart  # of what overlaps, a damaged one leaves the others' pixels as they are
            memory = memory_for(target, (codec.rows, codec.columns, codec.samples)) if whole else None
            decoded = self._decoded(file, frame, cut=part != tile, memory=memory)
            if decoded is None and memory is target:
                target[...] = self._fill  # what was decoded until the damage
            elif decoded is not None and decoded is not target:
                target[...] = decoded[part.relative_to(tile).slices]

        if tiles.apart:
            share(paint, _touching(tiles, box))
        else:
            for piece in _touching(tiles, box):
                paint(piece)
        return out

    def scanned(self, tiles: Tiles, box: Box) -> np.ndarray:
        """Return which pixels (y, x) of ``box`` a frame shows.

        Raises:
            SlideError: if a frame is damaged.
        """
        out = np.zeros(box.shape, bool)
        for tile, file, frame in _touching(tiles, box):
            if self._is_there(file, frame):
                out[tile.intersect(box).relative_to(box).slices] = True
        return out

    def damaged(self, tiles: Tiles, box: Box) -> list[Box]:
        """Return the places of the damaged frames that ``box`` has pixels of."""
        return [
            tile
            for tile, file, frame in _touching(tiles, box)
            if not self._is_there(file, frame) and self._state_of(file)[frame] == _BAD
        ]

    def _is_there(self, file: Instance, frame: int) -> bool:
        assert file.frames is not None
        if file.frames.is_empty(frame):
            return False
        if not self._keeps_going:
            return True
        if not self._state_of(file)[frame]:
            self._decoded(file, frame, cut=True)
        return bool(self._state_of(file)[frame] == _GOOD)

    def _state_of(self, file: Instance) -> np.ndarray:
        """Return of each frame of a file whether it was decoded, or could not be."""
        with self._lock:
            return self._states.setdefault(file.path, np.zeros(len(file.frames or ()), np.uint8))

    def _decoded(self, file: Instance, frame: int, *, cut: bool, memory: np.ndarray | None = None) -> np.ndarray | None:
        """Return the pixels of a frame; None if it was left out, or is damaged and that is no error.

        They may be in ``memory``. One that is ``cut`` by the box is kept for the neighbouring box.
        """
        frames = file.frames
        assert frames is not None
        if frames.is_empty(frame):
            return None

        def decode() -> np.ndarray:
            return file.codec.decode(frames.get(frame), memory)

        try:
            pixels = tile_cache().get((file.owner, 0, frame), decode) if cut else decode()
        except FAULTS as fault:
            if not self._keeps_going:
                got = f"{type(fault).__name__}: {fault}"[:200]
                raise SlideError(explain(f"{file.path}: frame {frame + 1} is damaged", got=got)) from fault
            self._state_of(file)[frame] = _BAD
            return None
        if self._keeps_going:
            self._state_of(file)[frame] = _GOOD
        return pixels


def _touching(tiles: Tiles, box: Box) -> Iterator[tuple[Box, Instance, int]]:
    """Yield box, file and number of the frames that have pixels in ``box``."""
    codec = tiles.parts[0].codec
    for y, x, file, frame in tiles.touching(box):
        yield Box(y, x, y + codec.rows, x + codec.columns), file, frame
