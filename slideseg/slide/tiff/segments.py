"""One page in tiles or strips, which are fetched and decoded one at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.slide.raw import read_bytes
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable

_JPEG = (6, 7)


class LargeSegments:
    """Keeps the last large strip that was decoded: its neighbouring boxes need it again, and it took long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[int, int] | None = None
        self._pixels: np.ndarray | None = None

    def get(self, key: tuple[int, int], decode: Callable[[], np.ndarray | None]) -> np.ndarray | None:
        """Return what ``decode`` returns for ``key``; one thread decodes, the others wait for it."""
        with self._lock:
            if self._key != key:
                self._key = self._pixels = None  # frees the old one first
                self._key, self._pixels = key, decode()
            return self._pixels


@dataclass(frozen=True, slots=True)
class CodedPage:
    """One page in tiles or strips that are decoded one at a time."""

    page: Any
    """The tifffile page (or frame) whose table and codec are used."""
    tables: bytes | None
    """JPEG tables that its tiles share."""
    large: LargeSegments | None
    """Shared by all pages; None where tiles are so small that decoding one again costs nothing."""

    def read(self, file: int, box: Box) -> np.ndarray:
        """Return the pixels (y, x, samples) of ``box`` as the page stores them."""
        separate, _, rows, columns, contiguous = self.page.shaped
        height, width = chunk_of(self.page.keyframe)
        across, down = -(-columns // width), -(-rows // height)
        out = np.empty((*box.shape, separate * contiguous), self.page.dtype.newbyteorder("="))
        for y in range(box.y0 // height, -(-box.y1 // height)):
            for x in range(box.x0 // width, -(-box.x1 // width)):
                for sample in range(separate):
                    data = self._cached(file, (sample * down + y) * across + x)
                    segment = Box(y * height, x * width, min((y + 1) * height, rows), min((x + 1) * width, columns))
                    part = segment.intersect(box)
                    target = out[part.relative_to(box).slices]
                    where = slice(sample, sample + 1) if separate > 1 else slice(None)
                    target[..., where] = 0 if data is None else data[part.relative_to(segment).slices]
        return out

    def _cached(self, file: int, index: int) -> np.ndarray | None:
        if self.large is None:
            return self._segment(file, index)
        return self.large.get((self.page.offset, index), partial(self._segment, file, index))

    def _segment(self, file: int, index: int) -> np.ndarray | None:
        """Return tile or strip ``index`` decoded (y, x, samples); None for one that was left out on purpose."""
        length = self.page.databytecounts[index]
        if not length:
            return None
        data = read_bytes(file, self.page.dataoffsets[index], length)
        # libjpeg fills what is missing of a cut-off stream with grey and says nothing
        if self.page.keyframe.compression in _JPEG and data.rfind(b"\xff\xd9", max(0, length - 64)) < 0:
            msg = f"tile {index} is cut off"
            raise ValueError(msg)
        decoded: np.ndarray = self.page.decode(data, index, jpegtables=self.tables)[0][0]
        if decoded.dtype.newbyteorder("=") != self.page.dtype.newbyteorder("="):
            msg = f"tile {index} holds {decoded.dtype}"
            raise TypeError(msg)
        return decoded


def chunk_of(page: Any) -> tuple[int, int]:
    """Return rows and columns of a page's tiles, or of its strips."""
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    rows, columns = page.shaped[2], page.shaped[3]
    return max(1, min(int(page.rowsperstrip), rows)), columns
