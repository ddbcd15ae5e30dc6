"""Tissue on brightfield slides: none is lost, and glass, black, ink and dirt are no tissue."""

import numpy as np
import pytest
from scipy import ndimage

from slideseg.slide.open import open_slide
from slideseg.slide.tissue.detect import detect_tissue
from slideseg.space.box import Box
from tests.unit.slide.tissue.made import (
    PALE,
    PLACE,
    SHAPE,
    dots,
    glass,
    inked,
    inside,
    jpeg,
    kept,
    look,
    mask_of,
    slide,
    tissue,
    to_bytes,
)

STAINS = {
    "pink with purple nuclei": {},
    "nearly all purple": {"ground": (130, 90, 165), "nuclei": (80, 45, 130)},
    "as blue as ink": {"ground": (90, 95, 175), "nuclei": (50, 55, 140)},
    "pale": {"ground": PALE, "nuclei": (190, 170, 195), "grain": 6.0},
    "pale without nuclei": {"ground": PALE, "nuclei": PALE, "grain": 6.0},
    "brown and blue": {"ground": (215, 205, 200), "nuclei": (120, 75, 40)},
    "green and red, a trichrome": {"ground": (120, 190, 150), "nuclei": (170, 40, 60)},
    "dark": {"ground": (120, 40, 80), "nuclei": (60, 20, 60)},
    "grey": {"ground": (190, 190, 190), "nuclei": (90, 90, 90)},
}


@pytest.mark.parametrize("stain", STAINS)
@pytest.mark.parametrize("quality", [60, None])
def test_no_tissue_is_lost_whatever_its_stain(stain, quality):
    image = slide(**STAINS[stain])
    found = look(to_bytes(image) if quality is None else jpeg(image, quality))

    assert found.kind == "brightfield"
    assert found.matters
    assert mask_of(found)[inside()].mean() > 0.99
    assert kept(found)[inside()].all()
    assert not kept(found)[:, 1280:].any()


@pytest.mark.parametrize("stain", STAINS)
def test_where_tissue_fills_the_picture_nothing_is_empty(stain):
    found = look(jpeg(tissue((1024, 1024), **STAINS[stain])))

    assert found is None or (not found.matters and found.blocks.blocks.all())


def test_a_tint_is_enough_and_so_is_a_shadow_of_the_glass_s_own_colour():
    image = glass()
    image[PLACE] -= (2, 14, 6)
    image[200:300, 1300:1500] -= 20

    found = look(to_bytes(image))

    assert mask_of(found)[inside()].mean() > 0.99
    assert mask_of(found)[200:300, 1300:1500].mean() > 0.99


def test_fat_is_tissue_though_it_is_mostly_empty():
    image = glass()
    rng = np.random.default_rng(4)
    fat = np.zeros((500, 600), np.int32)
    fat[rng.integers(0, 500, 60), rng.integers(0, 600, 60)] = np.arange(1, 61)
    cells = fat[tuple(ndimage.distance_transform_edt(fat == 0, return_distances=False, return_indices=True))]
    membranes = ndimage.maximum_filter(cells, 3) != ndimage.minimum_filter(cells, 3)
    image[PLACE][membranes] = (215, 175, 205)

    assert kept(look(jpeg(image)))[inside()].all()


@pytest.mark.parametrize("radius", [7, 12])
def test_single_cells_are_tissue(radius):
    cells = dots(SHAPE, inside(), radius=radius)[..., None] > 0
    found = look(jpeg(np.where(cells, np.array((110, 75, 150)), glass())))

    assert kept(found)[cells[..., 0]].all()


@pytest.mark.parametrize("light", [(1.0, 0.96, 0.86), (0.7, 0.7, 0.7), (0.96, 0.97, 1.0), (1.04, 1.04, 1.04)])
def test_the_light_may_have_another_colour_and_strength(light):
    image = slide()
    usual, other = look(jpeg(image)), look(jpeg(image * light))

    assert other.matters
    assert kept(other)[inside()].all()
    assert (usual.mask ^ other.mask).mean() < 0.01


@pytest.mark.parametrize("turned", [np.fliplr, np.flipud, lambda image: np.swapaxes(image, 0, 1)])
def test_it_does_not_matter_how_a_slide_lies(turned):
    image, _ = inked(slide(), (20, 130, 80))
    image[:256] = 0
    image = to_bytes(image)

    assert (look(turned(image)).mask == turned(look(image).mask)).all()


def test_black_borders_are_empty_whatever_noise_is_in_them():
    rng = np.random.default_rng(5)
    for dark in (0.0, rng.normal(6, 6, (SHAPE[0], 600, 3)), rng.integers(0, 25, (SHAPE[0], 600, 1))):
        image = slide()
        image[:, 1192:] = dark
        image[:200] = 0
        found = look(jpeg(image, 50))

        assert found.matters
        assert kept(found)[inside()].all()
        assert not kept(found)[:, 1280:].any()
        assert not mask_of(found)[:200].any()


def test_black_around_tissue_that_fills_the_rest_is_empty():
    image = np.zeros((2048, 2048, 3))
    image[512:1536, 512:1536] = tissue((1024, 1024))
    found = look(jpeg(image))

    assert found.matters
    assert kept(found)[512:1536, 512:1536].all()
    assert mask_of(found).mean() < 0.25


def test_what_was_scanned_and_what_is_plain_white_are_both_glass():
    image = glass(colour=(240, 235, 238))
    image[PLACE] = tissue((500, 600))
    image[:, 1300:] = 255
    found = look(jpeg(image))

    assert kept(found)[inside()].all()
    assert not mask_of(found)[:350].any()
    assert not mask_of(found)[:, 900:].any()


@pytest.mark.parametrize("colour", [(20, 130, 80), (120, 190, 150), (10, 80, 45), (25, 25, 30), (60, 58, 62)])
def test_green_and_black_ink_is_no_tissue(colour):
    image, ink = inked(slide(), colour)
    found = look(jpeg(image))

    assert kept(found)[inside()].all()
    assert mask_of(found)[ink].mean() < 0.02
    assert kept(found)[ink].mean() < 0.1


@pytest.mark.parametrize("colour", [(40, 60, 160), (90, 50, 130), (180, 30, 50)])
def test_ink_in_the_colours_of_stains_stays_rather_than_tissue_be_lost(colour):
    image, ink = inked(slide(), colour)

    assert kept(look(jpeg(image)))[ink].all()


def test_where_tissue_has_the_ink_s_colour_nothing_is_taken_for_ink():
    """A trichrome: muscle is red, collagen green, in large fields and in thin strands; and grey tissue beside black ink."""
    image = slide(ground=(180, 60, 90), nuclei=(90, 40, 80))
    green = tissue((500, 600), ground=(110, 185, 140), nuclei=(90, 40, 80))
    strands = (np.arange(500) % 60 < 16)[:, None] | (abs(np.arange(600) - 300) < 80)
    image[PLACE][strands] = green[strands]
    grey, _ = inked(slide(**STAINS["grey"]), (30, 30, 30))

    assert kept(look(jpeg(inked(image, (20, 130, 80))[0])))[inside()].all()
    assert mask_of(look(jpeg(image)))[inside()].mean() > 0.99
    assert kept(look(jpeg(grey)))[inside()].all()


def test_dust_and_dirt_are_no_tissue_but_a_scrap_of_it_is():
    image = slide()
    for number in range(6):
        y, x, side = 1050 + 30 * number, 1700 - 120 * number, 4 + 4 * number
        image[y : y + side, x : x + side] = 60 + 8 * number
    teal = tissue((60, 60), ground=(120, 170, 175), nuclei=(150, 110, 150))
    image[200:260, 1100:1160] = teal
    image[300:350, 1500:1550] = tissue((50, 50))
    found = look(jpeg(image))

    assert not kept(found)[1024:, 1024:].any()
    assert not kept(found)[200:260, 1100:1160].any()
    assert kept(found)[300:350, 1500:1550].all()


def test_shade_at_the_edge_is_no_tissue_but_tissue_in_the_shade_is():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    round_field = np.clip((1.2 - np.hypot(y / SHAPE[0] - 0.5, x / SHAPE[1] - 0.5) * 2) / 0.25, 0, 1)[..., None]
    corner = np.clip(1 - np.hypot(y - SHAPE[0], x - SHAPE[1]) / 600, 0, 1)[..., None] * 90
    at_the_edge = inside((slice(800, 1280), slice(200, 600)))
    image = slide(place=(slice(800, 1280), slice(200, 600)))
    for shaded in (image * round_field, image - corner):
        found = look(jpeg(shaded))
        visible = shaded.max(axis=2) > 60

        assert kept(found)[at_the_edge & visible].all()
        assert not mask_of(found)[:, 900:].any()


def test_bare_glass_is_all_empty_and_a_white_shape_on_black_nobody_knows():
    found = look(to_bytes(glass()))
    shape = np.zeros((2048, 2048, 3), np.uint8)
    shape[400:900, 500:1200] = 255

    assert found.matters
    assert not found.blocks.blocks.any()
    assert look(shape).kind == "border"
    assert kept(look(shape))[400:900, 500:1200].all()


def test_real_tissue_is_kept_whole_and_glass_is_found(data):
    """No nucleus may be lost: every clearly stained spot of 4 x 4 pixels (2 um; nuclei have 5 to 10) lies in a kept block."""
    with open_slide(data / "wsi" / "aperio" / "CMU-1-Small-Region.svs") as opened:
        shape = opened.levels[0].shape
        found = detect_tissue(opened, shape)
        image = opened.read(Box(0, 0, *shape))
    spots = ndimage.binary_opening(np.ptp(image.astype(int), axis=2) > 60, np.ones((4, 4)))
    spots[560:680, 2000:2200] = False  # a flake without nuclei, which breaks the light
    away = ~kept(found)

    assert found.matters
    assert spots.sum() > 100_000
    assert not (spots & away).any()
    assert 0.25 < away.mean() < 0.5
    assert away[560:680, 2060:2180].all()


def test_unscanned_white_around_a_frozen_section_is_empty(data):
    with open_slide(data / "wsi" / "aperio" / "tcga-cr-7395-01a-01-ts1.svs") as opened:
        shape = opened.levels[0].shape
        found = detect_tissue(opened, shape)
        image = opened.read(Box(0, 0, *shape))

    assert found.matters
    assert not ((np.ptp(image.astype(int), axis=2) > 60) & ~kept(found)).any()
    assert 0.2 < (~kept(found)).mean() < 0.3


@pytest.mark.parametrize("folder", ["nuclei_monuseg", "nuclei_tnbc", "he_points_brca_m2c"])
def test_tiles_that_are_tissue_all_over_are_segmented_whole(data, folder):
    for path in sorted((data / folder / "images").iterdir()):
        with open_slide(path) as opened:
            found = detect_tissue(opened, opened.levels[0].shape)

        assert found is None or not found.matters, path.name


def test_nuclei_in_fat_and_pale_tissue_lie_in_kept_blocks(data):
    """Every nucleus outlined by pathologists on 50 tiles, pale and fatty ones among them."""
    for path in sorted((data / "nuclei_tnbc" / "images").iterdir()):
        with open_slide(path) as opened, open_slide(data / "nuclei_tnbc" / "labels" / f"{path.stem}.tif") as labels:
            found = detect_tissue(opened, opened.levels[0].shape)
            nuclei = labels.read(Box(0, 0, *labels.levels[0].shape))[..., 0] > 0

        assert found is None or kept(found)[nuclei].all(), path.name
