"""The demonstration's slide: three pieces of real tissue on glass, with a pyramid, as a scanner would write it.

The folder ``tissue`` has tiles of H&E of three patients of the TNBC set (its NOTICE says whose); the bundled model never learnt
from them. Each piece is sewn together from copies of one patient's tiles, turned and mirrored by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from slideseg.space.box import Box
from slideseg.testing.slides import write_pyramid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SIDE = 8192
"""Pixels a side of the slide."""
MPP = 0.25
"""Microns per pixel of the tiles."""
TISSUE = Path(__file__).with_name("tissue")
"""Folder of the tiles, square ones of one size, named patient_number."""
OVERLAP = 80
"""Pixels by which neighbouring tiles overlap and fade into each other, so that the seams don't catch the eye."""
CELL = 64
"""Pixels a side of the squares that are all glass, all tissue, or looked at pixel by pixel."""
TILE = 512
"""Pixels a side of the TIFF's tiles."""
GLASS = 243
"""Brightness of bare glass."""
SEED = 5
"""Of chance; with this one there are many nuclei in the slide's middle, which the picture shows enlarged."""
SOFT = 24 / SIDE
"""Width of the edge of a piece."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of tissue. Lengths are shares of the slide's side."""

    patient: str
    y: float
    x: float
    radius: float
    shape: float
    """A number that shapes the outline."""

    def box(self, side: int) -> Box:
        """Return the pixels that it lies in, of a slide of ``side`` pixels a side."""
        reach = 1.3 * self.radius
        edges = (np.clip(middle + sign * reach, 0, 1) for sign in (-1, 1) for middle in (self.y, self.x))
        return Box(*(CELL * round(edge * side / CELL) for edge in edges))

    def coverage(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of tissue, 0 to 1, at points."""
        angle = np.arctan2(y - self.y, x - self.x)
        waves = 0.16 * np.sin(2 * angle + self.shape) + 0.08 * np.sin(5 * angle + 2 * self.shape) + 0.03 * np.sin(13 * angle)
        inside = self.radius * (1 + waves) - np.hypot(y - self.y, x - self.x)
        share: NDArray[np.float64] = np.clip(inside / SOFT, 0, 1)
        return share


PIECES = (Piece("09", 0.27, 0.31, 0.22, 1.0), Piece("11", 0.66, 0.62, 0.27, 2.0), Piece("10", 0.22, 0.80, 0.13, 3.0))


def write_slide(path: Path, side: int = SIDE) -> None:
    """Write the slide, a pyramidal tiled TIFF of ``side`` pixels a side."""
    plane = np.full((side, side, 3), GLASS, np.uint8)
    for piece in PIECES:
        lay(plane, piece)
    write_pyramid(path, plane, tile=TILE, levels=4, mpp=MPP)


def lay(plane: NDArray[np.uint8], piece: Piece) -> None:
    """Lay a piece of tissue on the slide."""
    side, box = len(plane), piece.box(len(plane))
    sewn = quilt(tiles_of(piece.patient), box.shape)
    ys, xs = ((np.arange(start, stop, CELL) + CELL / 2) / side for start, stop in ((box.y0, box.y1), (box.x0, box.x1)))
    roughly = piece.coverage(ys[:, None], xs[None, :])
    inside, outside = minimum_filter(roughly, 3) == 1, maximum_filter(roughly, 3) == 0
    for cell in box.split(CELL, CELL):
        near = cell.relative_to(box)
        at = near.y0 // CELL, near.x0 // CELL
        if inside[at]:
            plane[cell.slices] = sewn[near.slices]
        elif not outside[at]:
            y, x = np.ogrid[cell.slices]
            share = piece.coverage((y + 0.5) / side, (x + 0.5) / side)[..., None]
            plane[cell.slices] = (share * sewn[near.slices] + (1 - share) * plane[cell.slices]).round()


def tiles_of(patient: str) -> list[NDArray[np.uint8]]:
    """Return a patient's tiles (y, x, 3)."""
    return [np.asarray(Image.open(path)) for path in sorted(TISSUE.glob(f"{patient}_*.jpg"))]


def quilt(tiles: Sequence[NDArray[np.uint8]], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return pixels (y, x, 3) sewn together from square tiles, which are chosen, turned and mirrored by chance."""
    random = np.random.default_rng(SEED)
    plane = np.empty((*shape, 3), np.uint8)
    length = len(tiles[0])
    seams = ((slice(OVERLAP), slice(None)), (slice(None), slice(OVERLAP)))
    ramp, flat = np.clip(np.arange(length, dtype=np.float32) / OVERLAP, 0, 1), np.ones(length, np.float32)
    for y in range(0, shape[0], length - OVERLAP):
        for x in range(0, shape[1], length - OVERLAP):
            under = plane[y : y + length, x : x + length]
            tile = tiles[int(random.integers(len(tiles)))]
            turned = np.rot90(tile, int(random.integers(4)))[:, :: int(random.choice((-1, 1)))]
            weight = np.minimum.outer(ramp if y else flat, ramp if x else flat)[..., None]
            weight, turned = weight[: len(under), : under.shape[1]], turned[: len(under), : under.shape[1]]
            blended = [(weight[part] * turned[part] + (1 - weight[part]) * under[part]).round() for part in seams]
            under[:] = turned
            for part, pixels in zip(seams, blended, strict=True):
                under[part] = pixels
    return plane
