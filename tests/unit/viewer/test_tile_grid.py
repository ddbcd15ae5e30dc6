"""Which tiles there are, and what they show."""

import pytest

from slideseg.space.box import Box
from slideseg.viewer.tile_grid import TILE, TileGrid


def test_tiles_cover_every_level_once():
    grid = TileGrid((1300, 700), 3)
    for level in range(3):
        rows, columns = grid.shape_at(level)
        boxes = [grid.box(level, row, column) for row in range(5) for column in range(5)]
        there = [box for box in boxes if box is not None]
        assert sum(box.area for box in there) == rows * columns
        assert all(box.intersect(Box.of_shape((rows, columns))) == box for box in there)


@pytest.mark.parametrize("place", [(0, 0, 3), (0, 3, 0), (3, 0, 0), (-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_there_is_no_tile_outside(place):
    assert TileGrid((1300, 1300), 3).box(*place) is None


@pytest.mark.parametrize(("side", "levels"), [(1, 1), (TILE, 1), (TILE + 1, 2), (4 * TILE, 3), (4 * TILE + 1, 4), (100_000, 9)])
def test_the_last_level_fits_into_a_tile(side, levels):
    grid = TileGrid.down_to_one_tile((7, side))
    assert grid.levels == levels
    assert grid.shape_at(levels - 1)[1] <= TILE
    assert levels == 1 or grid.shape_at(levels - 2)[1] > TILE
