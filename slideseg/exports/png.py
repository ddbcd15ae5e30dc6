"""A picture as PNG, written from top to bottom, so that its size does not matter to memory."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TRUE_COLOR = struct.pack(">BBBBB", 8, 2, 0, 0, 0)
"""Eight bits a channel, red green blue, and the only methods that PNG has."""
UP = 2
"""Number of the filter that keeps the difference from the pixel above."""
LEVEL = 6


def write_png(path: Path, shape_yx: tuple[int, int], bands: Iterable[np.ndarray]) -> None:
    """Write bands (y, x, 3) uint8 of a picture of ``shape_yx``, the first on top."""
    packer = zlib.compressobj(LEVEL)
    above = np.zeros((1, 3 * shape_yx[1]), np.uint8)
    with path.open("wb") as file:
        file.write(SIGNATURE)
        _chunk(file, b"IHDR", struct.pack(">II", shape_yx[1], shape_yx[0]) + TRUE_COLOR)
        for band in bands:
            rows = band.reshape(len(band), -1)
            filtered = np.full((len(band), rows.shape[1] + 1), UP, np.uint8)
            np.subtract(rows, np.concatenate([above, rows[:-1]]), out=filtered[:, 1:])
            _chunk(file, b"IDAT", packer.compress(filtered.tobytes()))
            above = rows[-1:].copy()
        _chunk(file, b"IDAT", packer.flush())
        _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, name: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))
