"""What a map of blocks says of boxes, and how a mask becomes one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideseg.errors import ConfigError
from slideseg.slide.array import ArraySlide
from slideseg.slide.tissue.blocks import BLOCK, TissueMap, blocks_of, map_of_mask, map_of_mask_slide
from slideseg.space.box import Box


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.data())
def test_boxes_count_the_pixels_of_empty_blocks(blocks_yx, draw):
    blocks = np.array(draw.draw(st.lists(st.booleans(), min_size=(n := blocks_yx[0] * blocks_yx[1]), max_size=n)))
    shape = tuple(draw.draw(st.integers((n - 1) * BLOCK + 1, n * BLOCK)) for n in blocks_yx)
    tissue = TissueMap(shape, blocks.reshape(blocks_yx))
    stride = draw.draw(st.sampled_from([1, 16, 256, 512, 1024]))
    cell = max(stride, BLOCK)
    corner = [draw.draw(st.integers(0, (length - 1) // cell)) * cell for length in shape]
    box = Box(*corner, min(shape[0], corner[0] + 4 * BLOCK), min(shape[1], corner[1] + 4 * BLOCK))
    pixels = np.kron(tissue.blocks, np.ones((BLOCK, BLOCK), bool))[: shape[0], : shape[1]][box.slices]

    assert tissue.empty_pixels(box) == (~pixels).sum()
    covered = np.zeros(pixels.shape, int)
    for piece in tissue.pieces(box, 94, stride):
        assert box.contains(piece)
        assert piece.y0 % stride == piece.x0 % stride == 0
        covered[piece.relative_to(box).slices] += 1
    assert covered.max() <= 1
    assert (covered[pixels] == 1).all()
    assert pixels.any() or not covered.any()


def test_a_mask_of_any_resolution_but_the_same_proportions_is_taken():
    mask = np.zeros((100, 150), bool)
    mask[0, 0] = mask[99, 149] = True
    tissue = map_of_mask(mask, (10_000, 15_000))

    assert tissue.blocks[0, 0]
    assert tissue.blocks[-1, -1]
    assert tissue.blocks.sum() <= 5
    with pytest.raises(ConfigError, match="other proportions"):
        map_of_mask(mask, (15_000, 10_000))
    with pytest.raises(ConfigError, match="other proportions"):
        map_of_mask_slide(ArraySlide(np.ones((50, 50, 1), np.uint8)), (10_000, 15_000))


def test_a_mask_has_the_slide_s_proportions_where_pixels_are_no_squares():
    mask = np.zeros((100, 100), bool)
    mask[50:, :10] = True
    tissue = map_of_mask(mask, (1000, 2000), slide_yx=(1000, 1000))

    there = np.kron(mask, np.ones((10, 20), bool))
    assert tissue.blocks.tolist() == [
        [bool(there[y : y + BLOCK, x : x + BLOCK].any()) for x in range(0, 2000, BLOCK)] for y in range(0, 1000, BLOCK)
    ]


def test_a_block_holds_tissue_where_any_pixel_over_it_does():
    mask = np.zeros((64, 96), bool)
    mask[BLOCK // 8 - 1, 2 * BLOCK // 8] = True

    assert np.argwhere(blocks_of(mask, (8.0, 8.0), (512, 768)).blocks).tolist() == [[0, 2]]
    assert np.argwhere(blocks_of(mask, (9.0, 8.0), (576, 768)).blocks).tolist() == [[1, 2]]


@given(st.tuples(st.integers(1, 30), st.integers(1, 30)), st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(0, 99))
def test_a_block_holds_tissue_only_where_some_pixel_over_it_does(mask_yx, scale, seed):
    mask = np.random.default_rng(seed).random(mask_yx) < 0.1
    there = np.kron(mask, np.ones(scale, bool))
    rows, columns = (range(0, side, BLOCK) for side in there.shape)

    found = blocks_of(mask, (float(scale[0]), float(scale[1])), there.shape).blocks
    assert found.tolist() == [[bool(there[y : y + BLOCK, x : x + BLOCK].any()) for x in columns] for y in rows]


def test_digests_tell_maps_apart():
    one = TissueMap((300, 300), np.array([[True, False], [True, True]]))

    assert one.digest() == TissueMap((300, 300), one.blocks.copy()).digest()
    assert one.digest() != TissueMap((300, 300), ~one.blocks).digest()
    assert one.digest() != TissueMap((300, 300), one.blocks.reshape(1, 4)).digest()
