"""Read files by places, and boxes of uncompressed images straight from them: no decoding, no mapping, memory for the box alone.

A memory map would do the same, but every page it touches counts as the process's memory, and a file that is cut
short while it is read ends the process instead of raising.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.space.box import Box

_WHOLE_ROWS = 0.5
"""Share of a row from which on reading whole rows in one call beats one call a row."""


class Bytes(Protocol):
    """Bytes by their places; several threads may read them."""

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``.

        Raises:
            EOFError: if the file ends before them.
        """
        ...

    def fill(self, out: memoryview, offset: int) -> None:
        """Read as many bytes from ``offset`` as ``out`` has room for.

        Raises:
            EOFError: if the file ends before them.
        """
        ...


class ByteFile(Bytes, Protocol):
    """An open file: `LocalFile`, or one of `slideseg.storage.remote`."""

    @property
    def size(self) -> int:
        """Bytes of it."""
        ...

    def ahead(self, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[Sequence[int], Bytes]]:
        """Yield the numbers of some of the ranges (offset, length) that are wanted, and what has them, until all were."""
        ...

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Be told of ranges (offset, length) that are read next, one after the other."""
        ...

    def again(self) -> ByteFile:
        """Return it opened once more, to be closed by itself."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class LocalFile:
    """A file on a disk."""

    def __init__(self, descriptor: int) -> None:
        """Take over an open file descriptor."""
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: str) -> LocalFile:
        """Open the file at ``path``.

        Raises:
            OSError: if it can't be opened.
        """
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    @property
    def size(self) -> int:
        """Bytes of it."""
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``.

        Raises:
            EOFError: if the file ends before them.
        """
        return read_bytes(self._descriptor, offset, length)

    def fill(self, out: memoryview, offset: int) -> None:
        """Read as many bytes from ``offset`` as ``out`` has room for.

        Raises:
            EOFError: if the file ends before them.
        """
        done = 0
        while done < len(out):
            # one call moves at most 2 GiB
            got = os.preadv(self._descriptor, [out[done : done + (1 << 30)]], offset + done)
            if not got:
                msg = f"the file ends at {offset + done}, {len(out) - done} bytes too early"
                raise EOFError(msg)
            done += got

    def ahead(self, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[Sequence[int], LocalFile]]:
        """Yield all at once: a disk is asked when it is."""
        yield range(len(ranges)), self

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Do nothing: the system reads ahead."""

    def again(self) -> LocalFile:
        """Return it opened once more."""
        return LocalFile(os.dup(self._descriptor))

    def close(self) -> None:
        """Release it; whoever reads it afterwards gets an OSError."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


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

    def read(self, file: ByteFile, box: Box) -> np.ndarray:
        """Return the pixels (y, x, c) of ``box`` from an open file.

        Raises:
            EOFError: if the file ends before them.
        """
        rows, columns = box.shape
        pixel = self.shape[2] * self.dtype.itemsize
        stride = self.shape[1] * pixel
        start = self.offset + box.y0 * stride
        if columns == self.shape[1] or (columns > _WHOLE_ROWS * self.shape[1] and rows * stride < 1 << 26):
            whole = np.empty((rows, self.shape[1], self.shape[2]), self.dtype)
            file.fill(_memory(whole), start)
            return whole[:, box.x0 : box.x1]
        out = np.empty((rows, columns, self.shape[2]), self.dtype)
        ranges = [(start + row * stride + box.x0 * pixel, columns * pixel) for row in range(rows)]
        for some, near in file.ahead(ranges):
            for row in some:
                near.fill(_memory(out[row]), ranges[row][0])
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


def _memory(array: np.ndarray) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8).data)
