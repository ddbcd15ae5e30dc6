"""Shards and tiles: every pixel is written exactly once, and every tile lies on the pooling grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideseg.model.network import halo
from slideseg.space.box import Box
from slideseg.space.grid import CHUNK, SHARD_SIDES, ShardGrid, shard_side, split_evenly, tiles_of

shapes = st.tuples(st.integers(1, 300), st.integers(1, 300))


@given(shapes, st.integers(1, 4), st.sampled_from([16, 64, 256]))
def test_shards_own_every_pixel_of_every_plane_once(shape, planes, side):
    written = np.zeros((planes, *shape), int)
    grid = ShardGrid(shape, planes, side)
    for shard in grid:
        written[shard.plane][shard.write_box.slices] += 1

    assert (written == 1).all()
    assert [shard.index for shard in grid] == list(range(len(grid)))


@given(shapes, st.sampled_from([2, 4, 8, 16]), st.integers(1, 12), st.integers(0, 20))
def test_cores_own_every_pixel_once_and_lie_on_the_grid(shape, stride, cells, reach):
    box = Box(3 * stride, 5 * stride, 3 * stride + shape[0], 5 * stride + shape[1])
    written = np.zeros(box.round_out(stride).shape, int)
    for tile in tiles_of(box, cells * stride, stride, reach):
        written[tile.write_box.relative_to(box).slices] += 1

        assert tile.read_box == tile.write_box.grow(reach)
        assert max(tile.write_box.shape) <= cells * stride
        corners = (tile.write_box.y0, tile.write_box.x0, tile.write_box.y1, tile.write_box.x1)
        assert all(corner % stride == 0 for corner in corners)
    assert (written == 1).all()


@given(st.integers(1, 5000), st.integers(1, 40), st.sampled_from([1, 2, 16]))
def test_parts_are_few_and_even(length, cells, stride):
    parts = split_evenly(length, cells * stride, stride)

    assert sum(parts) == -(-length // stride) * stride
    assert max(parts) <= cells * stride
    assert max(parts) - min(parts) <= stride
    assert len(parts) == -(-length // (cells * stride))


def test_shards_are_cut_by_the_size_of_the_slide_alone():
    assert shard_side((8192, 8192)) == 2048
    assert shard_side((100, 100_000)) == 2048
    assert shard_side((4000, 4000)) == 1024
    assert all(side % CHUNK == 0 for side in SHARD_SIDES)
    assert CHUNK % halo.stride(8) == 0


def test_a_shard_outside_the_grid_is_refused():
    with pytest.raises(IndexError, match="no shard 9"):
        ShardGrid((3000, 3000), 1, 1024)[9]
