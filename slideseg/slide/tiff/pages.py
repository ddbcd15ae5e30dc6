"""The pages of one level, by plane and channel, each checked against the file before anything is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.raw import RawImage
from slideseg.slide.tiff.decoding.decode import decoder_of
from slideseg.slide.tiff.decoding.segments import CodedPage, chunk_of
from slideseg.slide.tiff.decoding.strips import LargeStrips, comes_in_rows
from slideseg.slide.tiff.images.series import MAX_PLANES, side_of
from slideseg.slide.tiff.preflight import Segments, check_segments, check_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.slide.tiff.files import Files
    from slideseg.space.box import Box

    Page = CodedPage | tuple[RawImage, ...]
    """One page; raw images are by separate sample."""

_LARGE = 32 << 20
"""Decoded bytes from which on a strip is read row by row, or kept until the next one is needed."""


@dataclass(frozen=True, slots=True)
class LevelPages:
    """One level: its pages by plane and channel."""

    shape: tuple[int, int]
    """Rows and columns as stored."""
    pages: tuple[tuple[Page, ...], ...]
    """By plane, then by channel page."""
    files: tuple[tuple[int, ...], ...]
    """The number of the file that each page is in."""
    chunk: tuple[int, int] | None
    """Rows and columns that are decoded at once; None where nothing is decoded."""

    def read(self, files: Files, box: Box, plane: int, bad: list[Box] | None = None) -> np.ndarray:
        """Return the stored samples (y, x, samples) of ``box``; 0 where there are none.

        Where ``bad`` is given, the places of tiles that can't be decoded are added to it; without it they are an error.
        """
        parts = self._parts(plane)
        if len(parts) == 1 and isinstance(raw := parts[0][0], RawImage):
            with files.use(parts[0][1]) as file:
                return raw.read(file, box)
        ends = list(accumulate(part.samples for part, _ in parts))
        out = (np.zeros if self._has_gaps(plane) else np.empty)((*box.shape, ends[-1]), parts[0][0].dtype)
        for (part, number), end in zip(parts, ends, strict=True):
            target = out[..., end - part.samples : end]
            with files.use(number) as file:
                if isinstance(part, CodedPage):
                    part.read(file, box, target, bad)
                else:
                    target[...] = part.read(file, box)
        return out

    def expect(self, files: Files, boxes: Sequence[Box]) -> None:
        """Have the tiles of some boxes of the first plane at hand, which are read one after the other."""
        for part, number in self._parts(0):
            if isinstance(part, CodedPage) and part.large is None:
                with files.use(number) as file:
                    file.expect([extent for box in boxes for extent in part.extents(box)])

    def close(self) -> None:
        """Release what is kept of large strips."""
        for page in self._coded():
            if page.large is not None:
                page.large.close()

    @property
    def has_gaps(self) -> bool:
        """Whether tiles were left out."""
        return any(page.stored is not None for page in self._coded())

    def holds(self, box: Box, plane: int) -> bool:
        """Tell whether the file stores anything of ``box``."""
        return any(not isinstance(page, CodedPage) or page.holds(box) for page in self.pages[plane])

    def stored(self, box: Box, plane: int) -> np.ndarray | None:
        """Return which samples (y, x, samples) of ``box`` the file stores, as booleans; None where it stores all."""
        if not self._has_gaps(plane):
            return None
        parts = [part for part, _ in self._parts(plane)]
        return np.concatenate([_there(part, box) for part in parts], axis=2)

    def gaps(self, plane: int) -> Iterator[tuple[slice, Iterator[Box]]]:
        """Yield the samples of a plane that are stored together, with the places where tiles of theirs were left out."""
        end = 0
        for part, _ in self._parts(plane):
            start, end = end, end + part.samples
            if not isinstance(part, CodedPage) or part.stored is None:
                continue
            if len(part.stored) > 1:
                yield from ((slice(start + n, start + n + 1), part.gaps(n)) for n in range(len(part.stored)))
            else:
                yield slice(None) if len(self.pages[plane]) == 1 else slice(start, end), part.gaps(0)

    def missing(self) -> tuple[int, int]:
        """Return how many tiles or strips were left out, and of how many."""
        stored = [page.stored for page in self._coded() if page.stored is not None]
        number = sum(len(page.page.databytecounts) for page in self._coded())
        return sum(int((~one).sum()) for one in stored), number

    def _has_gaps(self, plane: int) -> bool:
        return any(page.stored is not None for page in self.pages[plane] if isinstance(page, CodedPage))

    def _coded(self) -> Iterator[CodedPage]:
        return (page for pages in self.pages for page in pages if isinstance(page, CodedPage))

    def _parts(self, plane: int) -> list[tuple[CodedPage | RawImage, int]]:
        """Return the pages of a plane, raw ones by sample, with the numbers of their files."""
        pairs = zip(self.pages[plane], self.files[plane], strict=True)
        return [(part, number) for page, number in pairs for part in ([page] if isinstance(page, CodedPage) else page)]


def _there(part: CodedPage | RawImage, box: Box) -> np.ndarray:
    return part.there(box) if isinstance(part, CodedPage) else np.ones((*box.shape, part.samples), bool)


def pages_of(path: str, series: Any, leading: dict[str, int], files: Files, owners: Sequence[int]) -> LevelPages:
    """Return the pages of one level, their tile tables checked against the sizes of ``files``.

    ``leading`` are the axes in front of a page's own; planes run over t, then z. ``owners`` are the files' numbers in caches.

    Raises:
        SlideError: if pages are missing, too many, or leave the file.
    """
    stack = [axis for axis in sorted(leading, key="TZC".find) if axis != "C"]
    planes = math.prod(leading[axis] for axis in stack)
    pages = _pages(path, series, leading, files, owners)
    grid: np.ndarray = np.empty(len(pages), object)
    grid[:] = pages
    order = [list(leading).index(axis) for axis in (*stack, *(["C"] if "C" in leading else []))]
    grid = grid.reshape(tuple(leading.values())).transpose(order).reshape(planes, -1)
    by_plane = tuple(tuple(page for page, _ in row) for row in grid)
    numbers = tuple(tuple(number for _, number in row) for row in grid)
    raw = all(not isinstance(page, CodedPage) for page, _ in pages)
    return LevelPages(side_of(series), by_plane, numbers, None if raw else chunk_of(series.keyframe))


def _pages(path: str, series: Any, leading: dict[str, int], files: Files, owners: Sequence[int]) -> list[tuple[Page, int]]:
    keyframe, wanted = series.keyframe, math.prod(leading.values())
    start = series.dataoffset
    if wanted > MAX_PLANES:
        raise SlideError(explain(f"{path}: too many planes", got=wanted, want=f"at most {MAX_PLANES}", try_="a zarr array"))
    check_table(path, keyframe, _segments_in(keyframe))
    if start is not None and keyframe.is_final and not series.is_multifile:
        size = files.size(0)
        return [(_raw(path, keyframe, start + index * keyframe.nbytes, size), 0) for index in range(wanted)]
    pages = list(series)
    if len(pages) != wanted or any(page is None for page in pages):
        got = sum(page is not None for page in pages)
        raise SlideError(explain(f"{path}: pages are missing, or in other files", got=got, want=wanted))
    large = LargeStrips(keyframe.shaped[0] * leading.get("C", 1) if comes_in_rows(keyframe) else 1)
    numbers = {name: number for number, name in enumerate(files.paths)} if series.is_multifile else {}
    found = []
    for page in pages:
        number = numbers[page.parent.filehandle.path] if numbers else 0
        found.append((_page(files.paths[number], page, files.size(number), owners[number], large), number))
    return found


def _page(path: str, page: Any, size: int, owner: int, large: LargeStrips) -> Page:
    check_table(path, page, _segments_in(page))
    if page.is_final and _runs_on(page):
        return _raw(path, page, page.dataoffsets[0], size)
    separate, _, rows, columns, contiguous = page.shaped
    keyframe = page.keyframe
    height, width = chunk_of(keyframe)
    down, across = -(-rows // height), -(-columns // width)
    itemsize = page.dtype.itemsize
    last = height if keyframe.is_tiled else rows - (down - 1) * height
    table = Segments(
        offsets=page.dataoffsets,
        counts=page.databytecounts,
        expected=separate * down * across,
        full_bytes=height * width * contiguous * itemsize,
        last_bytes=last * width * contiguous * keyframe.bitspersample // 8,
        compression=int(keyframe.compression),
        stored_bytes=0 if keyframe.is_subsampled else height * ((width * contiguous * keyframe.bitspersample + 7) // 8),
        whole=keyframe.is_tiled or not comes_in_rows(keyframe),  # nobody writes one tile of such a size but to do harm
    )
    check_segments(path, table, size)
    stored = np.asarray(page.databytecounts).reshape(separate, down, across) != 0
    shared = large if table.full_bytes > _LARGE else None
    return CodedPage(page, decoder_of(page), owner, shared, None if stored.all() else stored)


def _segments_in(page: Any) -> int:
    """Return how many tiles or strips a page of such a size has."""
    separate, _, rows, columns, _ = page.shaped
    height, width = chunk_of(page.keyframe)
    return int(separate * -(-rows // height) * -(-columns // width))


def _runs_on(page: Any) -> bool:
    """Tell whether a page's strips follow each other without a gap, and are as long as its pixels."""
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    return (
        bool(ends)
        and all(a == b for a, b in zip(ends[:-1], page.dataoffsets[1:], strict=True))
        and sum(page.databytecounts) == page.keyframe.nbytes
    )


def _raw(path: str, page: Any, offset: int, size: int) -> tuple[RawImage, ...]:
    separate, _, rows, columns, contiguous = page.shaped
    image = RawImage(offset, (rows, columns, contiguous), page.dtype.newbyteorder(page.parent.byteorder))
    if offset < 8 or offset + separate * image.nbytes > size:
        want = f"{offset + separate * image.nbytes} bytes"
        raise SlideError(
            explain(f"{path}: the file is cut off or damaged", got=f"{size} bytes", want=want, try_="another copy")
        )
    return tuple(replace(image, offset=offset + index * image.nbytes) for index in range(separate))
