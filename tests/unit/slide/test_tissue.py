"""What counts as tissue, and what a map of blocks says of boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from slideseg.errors import ConfigError
from slideseg.slide.array import ArraySlide
from slideseg.slide.open import open_slide
from slideseg.slide.tissue import BLOCK, TissueMap, can_detect, detect_tissue, map_of_mask, map_of_mask_slide
from slideseg.space.box import Box

GLASS, PINK = (242, 241, 243), (225, 170, 200)


def glass(rows, columns, seed=0):
    noise = np.random.default_rng(seed).integers(-2, 3, (rows, columns, 3))
    return np.clip(np.array(GLASS) + noise, 0, 255).astype(np.uint8)


def test_stained_and_dark_regions_are_found_and_glass_is_not():
    image = glass(2000, 3000)
    image[700:900, 100:350] = PINK
    image[1500:1600, 2600:2700] = 60

    found = detect_tissue(ArraySlide(image), (2000, 3000)).blocks

    assert found[700 // BLOCK : 900 // BLOCK + 1, : 350 // BLOCK + 1].all()
    assert found[1550 // BLOCK, 2650 // BLOCK]
    assert found.sum() <= 8


def test_an_empty_slide_has_no_tissue_and_a_full_one_nothing_else():
    assert not detect_tissue(ArraySlide(np.full((900, 900, 3), 240, np.uint8)), (900, 900)).blocks.any()
    full = np.random.default_rng(1).integers(0, 60, (900, 900, 3)) + np.array(PINK) - 60
    assert detect_tissue(ArraySlide(full.astype(np.uint8)), (900, 900)).blocks.all()


def test_real_tissue_is_kept_whole(data):
    """No nucleus may be lost: every clearly stained spot of 4 x 4 pixels (2 um; nuclei have 5 to 10) lies in a kept block."""
    with open_slide(data / "wsi" / "aperio" / "CMU-1-Small-Region.svs") as slide:
        shape = slide.levels[0].shape
        tissue = detect_tissue(slide, shape)
        image = slide.read(Box(0, 0, *shape))
    stained = ndimage.binary_opening(np.ptp(image.astype(int), axis=2) > 60, np.ones((4, 4)))
    kept = np.kron(tissue.blocks, np.ones((BLOCK, BLOCK), bool))[: shape[0], : shape[1]]

    assert stained.sum() > 100_000
    assert not (stained & ~kept).any()
    assert 0.1 < (~kept).mean() < 0.6


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.data())
def test_boxes_count_the_pixels_of_empty_blocks(blocks_yx, draw):
    blocks = np.array(draw.draw(st.lists(st.booleans(), min_size=(n := blocks_yx[0] * blocks_yx[1]), max_size=n)))
    shape = tuple(draw.draw(st.integers((n - 1) * BLOCK + 1, n * BLOCK)) for n in blocks_yx)
    tissue = TissueMap(shape, blocks.reshape(blocks_yx))
    corner = [draw.draw(st.integers(0, n - 1)) * BLOCK for n in blocks_yx]
    box = Box(*corner, min(shape[0], corner[0] + 4 * BLOCK), min(shape[1], corner[1] + 4 * BLOCK))
    pixels = np.kron(tissue.blocks, np.ones((BLOCK, BLOCK), bool))[: shape[0], : shape[1]][box.slices]

    assert tissue.empty_pixels(box) == (~pixels).sum()
    bounding = tissue.bounding_box(box)
    if bounding is None:
        assert not pixels.any()
    else:
        assert box.contains(bounding)
        assert pixels[bounding.relative_to(box).slices].sum() == pixels.sum()


def test_a_mask_of_any_resolution_but_the_same_proportions_is_taken():
    mask = np.zeros((100, 150), bool)
    mask[0, 0] = mask[99, 149] = True
    tissue = map_of_mask(mask, (10_000, 15_000))

    assert tissue.blocks[0, 0]
    assert tissue.blocks[-1, -1]
    assert tissue.blocks.sum() <= 5
    with pytest.raises(ConfigError, match="another shape"):
        map_of_mask(mask, (15_000, 10_000))
    with pytest.raises(ConfigError, match="another shape"):
        map_of_mask_slide(ArraySlide(np.ones((50, 50, 1), np.uint8)), (10_000, 15_000))


def test_only_rgb_bytes_can_be_looked_at():
    grey = ArraySlide(np.zeros((9, 9), np.uint8))

    assert not can_detect(grey)
    with pytest.raises(ConfigError, match="--tissue none"):
        detect_tissue(grey, (9, 9))


def test_digests_tell_maps_apart():
    one = TissueMap((300, 300), np.array([[True, False], [True, True]]))

    assert one.digest() == TissueMap((300, 300), one.blocks.copy()).digest()
    assert one.digest() != TissueMap((300, 300), ~one.blocks).digest()
    assert one.digest() != TissueMap((300, 300), one.blocks.reshape(1, 4)).digest()
