"""Read boxes of an uncompressed image straight from a file: no decoding, no mapping, memory for the box alone.

A memory map would do the same, but every page it touches counts as the process's memory, and a file that is cut
short while it is read ends the process instead of raising.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from slideseg.space.box import Box

_WHOLE_ROWS = 0.5
"""Share of a row from which on reading whole rows in one call beats one call a row."""


@dataclass(frozen=True, slots=True)
class RawImage:
    """An image (y, x, c) in C order somewhere in a file."""

    offset: int
    """Byte of its first pixel."""
    shape: tuple[int, int, int]
    """Rows, columns, channels."""
    dtype: np.dtype
    """As stored: in the file's byte order."""

    @property
    def samples(self) -> int:
        """Samples of a pixel."""
        return self.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole image."""
        return self.shape[0] * self.shape[1] * self.shape[2] * self.dtype.itemsize

    def read(self, file: int, box: Box) -> np.ndarray:
        """Return the pixels (y, x, c) of ``box`` from the open file descriptor ``file``.

        Raises:
            EOFError: if the file ends before them.
        """
        rows, columns = box.shape
        pixel = self.shape[2] * self.dtype.itemsize
        stride = self.shape[1] * pixel
        start = self.offset + box.y0 * stride
        if columns == self.shape[1] or (columns > _WHOLE_ROWS * self.shape[1] and rows * stride < 1 << 26):
            whole = np.empty((rows, self.shape[1], self.shape[2]), self.dtype)
            _fill(file, whole, start)
            return whole[:, box.x0 : box.x1]
        out = np.empty((rows, columns, self.shape[2]), self.dtype)
        for index, row in enumerate(out):
            _fill(file, row, start + index * stride + box.x0 * pixel)
        return out


def read_bytes(file: int, offset: int, length: int) -> bytes:
    """Return ``length`` bytes from ``offset`` of the open file descriptor ``file``; safe in several threads.

    Raises:
        EOFError: if the file ends before them.
    """
    data = os.pread(file, length, offset)
    if len(data) != length:
        msg = f"the file ends at {offset + len(data)}, {length - len(data)} bytes too early"
        raise EOFError(msg)
    return data


def _fill(file: int, out: np.ndarray, offset: int) -> None:
    view = memoryview(out.reshape(-1).view(np.uint8).data)
    done = 0
    while done < len(view):
        # one call moves at most 2 GiB
        got = os.preadv(file, [view[done : done + (1 << 30)]], offset + done)
        if not got:
            msg = f"the file ends at {offset + done}, {len(view) - done} bytes too early"
            raise EOFError(msg)
        done += got
