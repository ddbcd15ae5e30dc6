"""Write a large tiled, pyramidal TIFF of real content in little memory: one image, mirrored and repeated.

python benchmarks/make_tiff.py big.tif --side 40000
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from skimage import data

if TYPE_CHECKING:
    from collections.abc import Iterator

TILE = 512
STEPS = (1, 4, 16)
"""Downsampling of the levels. The content repeats every 1024 px, so a level's period divides the tile or is twice as long."""
MPP = 0.5


def content() -> np.ndarray:
    """Return the pattern (1024, 1024, 3) uint8: it meets itself without a seam on all sides."""
    image = data.immunohistochemistry()
    return np.block([[[image], [image[:, ::-1]]], [[image[::-1]], [image[::-1, ::-1]]]])


def tiles(pattern: np.ndarray, side: int) -> Iterator[np.ndarray]:
    """Yield the tiles of a plane of ``side`` pixels filled with the pattern, row by row."""
    period = max(len(pattern), TILE)
    pattern = np.tile(pattern, (period // len(pattern), period // len(pattern), 1))
    count = -(-side // TILE)
    for row in range(count):
        for column in range(count):
            y, x = row * TILE % period, column * TILE % period
            yield np.ascontiguousarray(pattern[y : y + TILE, x : x + TILE])


def make(path: Path, side: int, compression: str = "jpeg") -> Path:
    """Write the slide; memory does not depend on ``side``."""
    pattern = content().astype(np.float32)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level, step in enumerate(STEPS):
            small = pattern.reshape(1024 // step, step, 1024 // step, step, 3).mean((1, 3)).round().astype(np.uint8)
            pixels_a_cm = 1e4 / (MPP * step)
            file.write(
                tiles(small, side // step),
                shape=(side // step, side // step, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="rgb",
                compression=compression,
                compressionargs={"level": 80} if compression == "jpeg" else None,
                subifds=len(STEPS) - 1 if level == 0 else None,
                subfiletype=0 if level == 0 else 1,
                resolution=(pixels_a_cm, pixels_a_cm),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--side", type=int, default=40_000, help="pixels a side (default 40000)")
    parser.add_argument("--compression", choices=["jpeg", "deflate"], default="jpeg")
    given = parser.parse_args()
    make(given.path, given.side, given.compression)
