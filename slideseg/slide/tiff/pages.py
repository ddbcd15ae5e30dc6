"""The pages of one level, by plane and channel, each checked against the file before anything is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.raw import RawImage
from slideseg.slide.tiff.decode import decoder_of
from slideseg.slide.tiff.preflight import Segments, check_segments, check_table
from slideseg.slide.tiff.segments import CodedPage, LargeSegments, chunk_of
from slideseg.slide.tiff.series import MAX_PLANES, side_of

if TYPE_CHECKING:
    from slideseg.space.box import Box

    Page = CodedPage | tuple[RawImage, ...]
    """One page; raw images are by separate sample."""

_LARGE = 32 << 20
"""Decoded bytes from which on a strip is kept until the next one is needed."""
_SPARSE_TAGS = (42112, 42113, 33550, 33922, 34264)
"""GDAL's and GeoTIFF's tags: their writers leave out empty tiles on purpose."""


@dataclass(frozen=True, slots=True)
class LevelPages:
    """One level: its pages by plane and channel."""

    shape: tuple[int, int]
    """Rows and columns as stored."""
    pages: tuple[tuple[Page, ...], ...]
    """By plane, then by channel page."""
    chunk: tuple[int, int] | None
    """Rows and columns that are decoded at once; None where nothing is decoded."""

    def read(self, file: int, box: Box, plane: int) -> np.ndarray:
        """Return the stored samples (y, x, samples) of ``box``."""
        pages = [part for page in self.pages[plane] for part in ([page] if isinstance(page, CodedPage) else page)]
        if len(pages) == 1 and isinstance(pages[0], RawImage):
            return pages[0].read(file, box)
        ends = list(accumulate(page.samples for page in pages))
        out = np.empty((*box.shape, ends[-1]), pages[0].dtype)
        for page, end in zip(pages, ends, strict=True):
            target = out[..., end - page.samples : end]
            if isinstance(page, CodedPage):
                page.read(file, box, target)
            else:
                target[...] = page.read(file, box)
        return out


def pages_of(path: str, series: Any, leading: dict[str, int], size: int, owner: int) -> LevelPages:
    """Return the pages of one level, their tile tables checked against the file's ``size``; ``owner`` is its number in caches.

    Raises:
        SlideError: if pages are missing, too many, or leave the file.
    """
    planes = math.prod(count for axis, count in leading.items() if axis != "C")
    pages = _pages(path, series, planes * leading.get("C", 1), size, owner)
    grid: np.ndarray = np.empty(len(pages), object)
    grid[:] = pages
    grid = grid.reshape(tuple(leading.values()))
    if "C" in leading:
        grid = np.moveaxis(grid, list(leading).index("C"), -1)
    by_plane = tuple(tuple(row) for row in grid.reshape(planes, -1))
    raw = all(not isinstance(page, CodedPage) for page in pages)
    return LevelPages(side_of(series), by_plane, None if raw else chunk_of(series.keyframe))


def _pages(path: str, series: Any, wanted: int, size: int, owner: int) -> list[Page]:
    keyframe = series.keyframe
    start = series.dataoffset
    if wanted > MAX_PLANES:
        raise SlideError(explain(f"{path}: too many planes", got=wanted, want=f"at most {MAX_PLANES}", try_="a zarr array"))
    check_table(path, keyframe, _segments_in(keyframe))
    if start is not None and keyframe.is_final:
        return [_raw(path, keyframe, start + index * keyframe.nbytes, size) for index in range(wanted)]
    pages = list(series)
    if len(pages) != wanted or any(page is None for page in pages):
        got = sum(page is not None for page in pages)
        raise SlideError(explain(f"{path}: pages are missing, or in other files", got=got, want=wanted))
    large = LargeSegments()
    return [_page(path, page, size, owner, large) for page in pages]


def _page(path: str, page: Any, size: int, owner: int, large: LargeSegments) -> Page:
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
        sparse=_may_be_sparse(keyframe),
    )
    check_segments(path, table, size)
    return CodedPage(page, decoder_of(page), owner, large if table.full_bytes > _LARGE else None)


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


def _may_be_sparse(page: Any) -> bool:
    """Tell whether the file's writer documents that it leaves out empty tiles: GDAL and tifffile do, scanners don't."""
    return any(tag in page.tags for tag in _SPARSE_TAGS) or str(page.software).startswith("tifffile")
