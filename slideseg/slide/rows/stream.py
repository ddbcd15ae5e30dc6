"""Boxes of an image that can only be decoded from its top: a stream of rows that goes forward, or begins anew."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from slideseg.space.box import Box

BAND_BYTES = 32 << 20
"""Pixels that are decoded, kept and copied at once."""
MOST_ROWS, FEWEST_ROWS = 1024, 16
"""Of a band."""


class RowStream(Protocol):
    """Rows of an image, from its top."""

    def read(self, count: int) -> np.ndarray:
        """Return the next ``count`` rows (y, x, samples); memory is for these alone.

        Raises:
            EOFError: if there are fewer.
        """
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


class RowReader:
    """Boxes of an image by a stream of its rows. Serves several threads, one at a time.

    It keeps one band of rows. A box above the kept band has the stream begin anew, so boxes are best read from the top.
    """

    def __init__(self, begin: Callable[[], RowStream], rows: int, row_bytes: int) -> None:
        """Read an image of ``rows`` rows of ``row_bytes``; ``begin`` opens it at its top."""
        self._begin, self._rows, self._band = begin, rows, band_rows(row_bytes)
        self._lock = Lock()
        self._stream: RowStream | None = None
        self._at = 0
        self._kept: np.ndarray | None = None

    def read(self, box: Box, out: np.ndarray) -> None:
        """Write the pixels (y, x, samples) of ``box`` into ``out``."""
        for number in range(box.y0 // self._band, -(-box.y1 // self._band)):
            top = number * self._band
            with self._lock:
                pixels = self._decoded(number)
            first, last = max(box.y0, top), min(box.y1, top + len(pixels))
            out[first - box.y0 : last - box.y0] = pixels[first - top : last - top, box.x0 : box.x1, : out.shape[2]]

    def close(self) -> None:
        """Release the stream; a later read begins anew."""
        with self._lock:
            self._end()

    def _decoded(self, number: int) -> np.ndarray:
        """Return band ``number``, which is the kept one or lies ahead; else begin anew."""
        if self._kept is not None and self._at == number + 1:
            return self._kept
        if self._stream is None or self._at > number:
            self._end()
            self._stream = self._begin()
        try:
            while self._kept is None or self._at <= number:
                self._kept = None  # frees it first
                self._kept = self._stream.read(min(self._band, self._rows - self._at * self._band))
                self._at += 1
        except BaseException:
            self._end()
            raise
        return self._kept

    def _end(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream, self._at, self._kept = None, 0, None


def band_rows(row_bytes: int) -> int:
    """Return how many rows of ``row_bytes`` make a band: a power of two.

    >>> band_rows(3 * 30_000), band_rows(600), band_rows(1 << 30)
    (256, 1024, 16)
    """
    rows = MOST_ROWS
    while rows > FEWEST_ROWS and rows * row_bytes > BAND_BYTES:
        rows //= 2
    return rows
