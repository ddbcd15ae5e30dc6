"""One page in tiles or strips: those that a box touches are fetched and decoded, in several threads.

Where a box takes a tile as a whole it is decoded next to its place and copied there; one that the box cuts goes through the
process's cache, because the neighbouring box wants the other part.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.slide.cache import memory_for, tile_cache, tile_memory
from slideseg.slide.tiff.decoding.streams import is_whole
from slideseg.slide.tiff.decoding.strips import BoxReader, LargeStrips, RowsOfStrip, WholeStrip, comes_in_rows
from slideseg.space.box import Box
from slideseg.tasks.share import share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.slide.raw import ByteFile, Bytes
    from slideseg.slide.tiff.decoding.decode import SegmentDecoder

_FETCHED = 64 << 10
"""Bytes that are read in one call where tiles or strips follow each other in the file."""
_UNDECODABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What codecs raise on damaged bytes."""


class DamagedTileError(ValueError):
    """A tile or strip that can't be decoded; the message names it and its place."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A tile or strip that a box touches."""

    index: int
    """Its number in the page's tables."""
    extent: Box
    """Its pixels that lie in the image."""
    sample: slice
    """The samples that it holds."""


@dataclass(frozen=True, slots=True)
class CodedPage:
    """One page in tiles or strips that are decoded one at a time."""

    page: Any
    """The tifffile page (or frame) whose table is used."""
    decoder: SegmentDecoder
    """Decodes one."""
    owner: int
    """The opened file, in the cache's numbers."""
    large: LargeStrips | None
    """Shared by all pages; None where tiles are of a usual size."""
    stored: np.ndarray | None
    """Whether each has data, by separate sample, row and column of tiles; None where all have."""

    def read(self, file: ByteFile, box: Box, out: np.ndarray, bad: list[Box] | None = None) -> None:
        """Write what the page stores of ``box`` into ``out`` (y, x, samples); where it stores nothing that stays as it is.

        Where ``bad`` is given, the places of tiles that can't be decoded are added to it, and their pixels are 0.

        Raises:
            DamagedTileError: if a tile can't be decoded.
        """

        def place(segment: Segment, put: Callable[[Segment, Box, np.ndarray], None]) -> None:
            try:
                put(segment, box, out)
            except _UNDECODABLE as fault:
                if bad is None:
                    raise self._damaged(segment, fault) from fault
                bad.append(segment.extent)
                out[segment.extent.intersect(box).relative_to(box).slices] = 0

        if self.large is None:
            self._share(file, self._runs(self._touched(box)), place)
        else:
            for segment in self._touched(box):
                place(segment, partial(self._place_large, self.large, file))

    def _share(self, file: ByteFile, runs: list[list[Segment]], place: Callable[[Segment, Any], None]) -> None:
        """Have some threads fetch and place the segments of ``runs``, which lie next to each other in the file."""

        def work(near: Bytes, run: list[Segment]) -> None:
            for segment, data in zip(run, self._fetched(near, run), strict=True):
                place(segment, partial(self._place, data))

        for some, near in file.ahead([self._extent(run) for run in runs]):
            share(partial(work, near), [runs[number] for number in some])

    def holds(self, box: Box) -> bool:
        """Tell whether the page stores anything of ``box``."""
        return self.stored is None or bool(self._grid(self.stored, box).any())

    def there(self, box: Box) -> np.ndarray:
        """Return which samples (y, x, samples) of ``box`` the page stores, as booleans."""
        there = np.ones((*box.shape, self.samples), bool)
        if self.stored is None:
            return there
        grid = self._grid(self.stored, box)
        if grid.all():
            return there
        spans = ((box.y0, box.y1), (box.x0, box.x1))
        for axis, ((start, end), side) in enumerate(zip(spans, chunk_of(self.page.keyframe), strict=True), 1):
            edges = np.clip(np.arange(start // side, -(-end // side) + 1) * side, start, end)
            grid = np.repeat(grid, np.diff(edges), axis=axis)
        there[...] = np.moveaxis(grid, 0, -1)
        return there

    def gaps(self, sample: int) -> Iterator[Box]:
        """Yield the places of the tiles of a separate sample that have no data."""
        if self.stored is None:
            return
        height, width = chunk_of(self.page.keyframe)
        rows, columns = self.page.shaped[2:4]
        for y, x in np.argwhere(~self.stored[sample]).tolist():
            yield Box(y * height, x * width, min((y + 1) * height, rows), min((x + 1) * width, columns))

    def extents(self, box: Box) -> list[tuple[int, int]]:
        """Return where in the file (offset, length) lies what ``box`` is decoded from."""
        return [self._extent(run) for run in self._runs(self._touched(box))]

    def _grid(self, stored: np.ndarray, box: Box) -> np.ndarray:
        height, width = chunk_of(self.page.keyframe)
        return stored[:, box.y0 // height : -(-box.y1 // height), box.x0 // width : -(-box.x1 // width)]

    def _damaged(self, segment: Segment, fault: Exception) -> DamagedTileError:
        kind, place = "tile" if self.page.keyframe.is_tiled else "strip", segment.extent
        where = f"rows {place.y0} to {place.y1}, columns {place.x0} to {place.x1}"
        return DamagedTileError(f"{kind} {segment.index} ({where}): {str(fault) or type(fault).__name__}"[:200])

    @property
    def samples(self) -> int:
        """Samples of a pixel."""
        separate, _, _, _, contiguous = self.page.shaped
        return int(separate * contiguous)

    @property
    def dtype(self) -> np.dtype:
        """Type of a sample, in the machine's byte order."""
        native: np.dtype = self.page.dtype.newbyteorder("=")
        return native

    def _touched(self, box: Box) -> Iterator[Segment]:
        """Yield the tiles or strips with data that touch ``box``."""
        separate, _, rows, columns, _ = self.page.shaped
        height, width = chunk_of(self.page.keyframe)
        across, down = -(-columns // width), -(-rows // height)
        for sample in range(separate):
            held = slice(sample, sample + 1) if separate > 1 else slice(None)
            for y in range(box.y0 // height, -(-box.y1 // height)):
                for x in range(box.x0 // width, -(-box.x1 // width)):
                    if self.stored is not None and not self.stored[sample, y, x]:
                        continue
                    extent = Box(y * height, x * width, min((y + 1) * height, rows), min((x + 1) * width, columns))
                    yield Segment((sample * down + y) * across + x, extent, held)

    def _runs(self, segments: Iterator[Segment]) -> list[list[Segment]]:
        """Return the segments in order, in runs that lie next to each other in the file and are read in one call."""
        offsets, counts = self.page.dataoffsets, self.page.databytecounts
        runs: list[list[Segment]] = []
        end = room = -1
        for segment in segments:
            offset, count = offsets[segment.index], counts[segment.index]
            if offset == end and count <= room:
                runs[-1].append(segment)
            else:
                runs.append([segment])
                room = _FETCHED
            end, room = offset + count, room - count
        return runs

    def _extent(self, run: list[Segment]) -> tuple[int, int]:
        """Return the first byte of a run, and how many it has."""
        offsets, counts = self.page.dataoffsets, self.page.databytecounts
        return int(offsets[run[0].index]), int(sum(counts[segment.index] for segment in run))

    def _fetched(self, file: Bytes, run: list[Segment]) -> Iterator[bytes]:
        offsets, counts = self.page.dataoffsets, self.page.databytecounts
        start, length = self._extent(run)
        data = file.read(start, length)
        for segment in run:
            begin = offsets[segment.index] - start
            yield data[begin : begin + counts[segment.index]]

    def _place(self, data: bytes, segment: Segment, box: Box, out: np.ndarray) -> None:
        """Decode one segment and write what ``box`` has of it to its place in ``out``."""
        part = segment.extent.intersect(box)
        target = out[part.relative_to(box).slices][..., segment.sample]
        if part == segment.extent:
            height, width = part.shape
            memory = memory_for(target, self._form(segment))
            pixels = self._decode(data, segment.index, memory)
            if pixels is not target:
                target[...] = pixels[:height, :width]
        else:
            target[...] = self._kept(segment, data)[part.relative_to(segment.extent).slices]

    def _form(self, segment: Segment) -> tuple[int, int, int]:
        """Return rows, columns and samples of a decoded segment; tiles at the edge are as large as the others."""
        height, width = chunk_of(self.page.keyframe)
        return height if self.page.keyframe.is_tiled else segment.extent.shape[0], width, int(self.page.shaped[4])

    def _kept(self, segment: Segment, data: bytes) -> np.ndarray:
        def decode() -> np.ndarray:
            return self._decode(data, segment.index, tile_memory(self._form(segment), self.dtype))

        return tile_cache().get((self.owner, int(self.page.offset), segment.index), decode)

    def _place_large(self, large: LargeStrips, file: ByteFile, segment: Segment, box: Box, out: np.ndarray) -> None:
        """Write what ``box`` has of a segment that is too large to be decoded for each box."""
        part = segment.extent.intersect(box)
        target = out[part.relative_to(box).slices][..., segment.sample]
        key = (self.owner, int(self.page.offset), segment.index)
        large.read(key, lambda: self._reader(file, segment), part.relative_to(segment.extent), target)

    def _reader(self, file: ByteFile, segment: Segment) -> BoxReader:
        if not comes_in_rows(self.page):
            return WholeStrip(self._decode(next(self._fetched(file, [segment])), segment.index))
        return RowsOfStrip(file.again(), self.page, segment.index, self._form(segment))

    def _decode(self, data: bytes, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Return tile or strip ``index`` decoded (y, x, samples), in the memory of ``out`` where its codec can."""
        if not is_whole(int(self.page.keyframe.compression), data):
            msg = "it is cut off"
            raise ValueError(msg)
        return self.decoder(data, index, out)


def chunk_of(page: Any) -> tuple[int, int]:
    """Return rows and columns of a page's tiles, or of its strips."""
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    rows, columns = page.shaped[2], page.shaped[3]
    return max(1, min(int(page.rowsperstrip), rows)), columns
