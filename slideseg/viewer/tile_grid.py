"""Which tiles a layer has, and which part of the layer each shows. Whole numbers only."""

from __future__ import annotations

from dataclasses import dataclass

from slideseg.space.box import Box

TILE = 512
"""Pixels a side of a tile."""


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The tiles of one layer. Level 0 is the finest; each further level has half the rows and columns, rounded up."""

    shape_yx: tuple[int, int]
    """Rows and columns of level 0."""
    levels: int
    """Number of levels."""

    @classmethod
    def down_to_one_tile(cls, shape_yx: tuple[int, int]) -> TileGrid:
        """Return the grid whose last level is the first one that fits into a tile.

        >>> TileGrid.down_to_one_tile((512, 2049)).levels
        4
        """
        return cls(shape_yx, 1 + max(0, -(-max(shape_yx) // TILE) - 1).bit_length())

    def shape_at(self, level: int) -> tuple[int, int]:
        """Return rows and columns of a level.

        >>> TileGrid((5, 9), 3).shape_at(1)
        (3, 5)
        """
        rows, columns = self.shape_yx
        return -(-rows >> level), -(-columns >> level)

    def box(self, level: int, row: int, column: int) -> Box | None:
        """Return the pixels of a tile, in those of its level; None where there is no such tile."""
        if not 0 <= level < self.levels or row < 0 or column < 0:
            return None
        rows, columns = self.shape_at(level)
        y0, x0 = row * TILE, column * TILE
        if y0 >= rows or x0 >= columns:
            return None
        return Box(y0, x0, min(y0 + TILE, rows), min(x0 + TILE, columns))
