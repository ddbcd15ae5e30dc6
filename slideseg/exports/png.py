"""A picture as PNG, written from top to bottom, so that its size does not matter to memory."""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from slideseg.result.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from slideseg.exports.job import Job

SIZE, OPACITY = 2048, 0.5
"""Of a picture, unless others are wanted."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
TRUE_COLOR = struct.pack(">BBBBB", 8, 2, 0, 0, 0)
"""Eight bits a channel, red green blue, and the only methods that PNG has."""
UP = 2
"""Number of the filter that keeps the difference from the pixel above."""
LEVEL = 6


def export(job: Job, partial: Path, _name: str) -> dict[str, int]:
    """Write the image under the colours of classes or objects."""
    opacity = OPACITY if job.options.opacity is None else job.options.opacity
    size = SIZE if job.options.size is None else job.options.size
    overlay = Overlay(job.result, size, opacity=opacity, plane=job.options.plane or 0, of_objects=job.of_objects)
    write_png(partial, overlay.shape_yx, _watched(overlay, job.watch(math.prod(overlay.shape_yx))))
    return {}


def _watched(overlay: Overlay, watch: Callable[[int], None]) -> Iterator[np.ndarray]:
    for band in overlay.bands():
        yield band
        watch(band.shape[0] * band.shape[1])


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
