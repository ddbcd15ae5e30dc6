"""Tissue in the dark: none is lost, and what is dark all over or not sure to be dark is told apart."""

import numpy as np
import pytest
from scipy import ndimage

from slideseg.slide.open import open_slide
from slideseg.slide.tissue.darkfield import background_of
from slideseg.slide.tissue.detect import detect_tissue
from slideseg.space.box import Box
from tests.unit.slide.tissue.made import SHAPE, dots, inside, jpeg, kept, look, mask_of

NUCLEI = dots(SHAPE, inside())
RNG = np.random.default_rng(7)
NOISE = RNG.normal(0, 8, SHAPE)
GLOW = inside() * (1 + 0.3 * ndimage.gaussian_filter(RNG.normal(0, 1, SHAPE), 8) * 16)


def counts(*channels):
    """Channels of a camera of 16 bits."""
    return np.clip(np.stack(channels, axis=-1), 0, 65535).astype(np.uint16)


def blue(values):
    image = np.zeros((*SHAPE, 3))
    image[..., 2] = values
    return image


SLIDES = {
    "16 bits above a camera's offset": lambda: counts(100 + 2500 * NUCLEI + NOISE),
    "nuclei and a glow in another channel": lambda: counts(100 + 2500 * NUCLEI + NOISE, 110 + 600 * GLOW + NOISE),
    "an empty channel": lambda: counts(100 + 2500 * NUCLEI + NOISE, 110 + NOISE),
    "8 bits, grey": lambda: np.clip(255 * NUCLEI, 0, 255).astype(np.uint8)[..., None],
    "8 bits, blue, JPEG": lambda: jpeg(blue(255 * NUCLEI + 3), 60),
    "8 bits, grey as RGB, JPEG": lambda: jpeg((255 * NUCLEI)[..., None].repeat(3, 2)),
    "floating point": lambda: ((100 + 2500 * NUCLEI + NOISE) / 4096).astype(np.float32)[..., None],
}


@pytest.mark.parametrize("kind", SLIDES)
def test_every_nucleus_is_kept_and_the_dark_is_not(kind):
    found = look(SLIDES[kind]())

    assert found.kind == "dark field"
    assert found.matters
    assert kept(found)[NUCLEI > 0].all()
    assert not kept(found)[:, 1280:].any()
    assert mask_of(found)[inside()].mean() > 0.9
    assert mask_of(found)[~inside()].mean() < 0.05


def test_dim_nuclei_beside_bright_ones_are_kept():
    faint = np.where(np.arange(SHAPE[1]) > 500, 0.05, 1.0) * NUCLEI

    assert kept(look(counts(100 + 2500 * faint + NOISE)))[NUCLEI > 0].all()


FEW = dots(SHAPE, inside((slice(400, 560), slice(300, 460))))
EVERYWHERE = dots(SHAPE, np.ones(SHAPE, bool))
DIRT = (slice(1000, None), slice(1500, None))


def with_dirt(values, side, brightness=60000):
    """A speck beside the tissue, brighter than all else."""
    values = np.array(values)
    values[DIRT][:side, :side] = brightness
    return values


@pytest.mark.parametrize("side", [20, 100, 260])
@pytest.mark.parametrize("amplitude", [20, 60, 2500])
@pytest.mark.parametrize("nuclei", [NUCLEI, FEW, EVERYWHERE])
def test_dirt_of_any_brightness_takes_no_nucleus_away(side, amplitude, nuclei):
    found = look(counts(with_dirt(100 + amplitude * nuclei + NOISE, side)))

    assert found is None or kept(found)[nuclei > 0].all()


@pytest.mark.parametrize("scale", [1, 1 / 65535])
def test_dim_nuclei_on_clean_black_beside_dirt_are_kept(scale):
    image = with_dirt(60 * NUCLEI, 100)[..., None]
    found = look(image.astype(np.uint16) if scale == 1 else (image * scale).astype(np.float32))

    assert kept(found)[NUCLEI > 0].all()
    assert not kept(found)[:768, 1280:].any()


def test_much_dimmer_nuclei_than_others_are_kept():
    faint = np.where(np.arange(SHAPE[1]) > 500, 1 / 200, 1.0) * NUCLEI

    assert kept(look(counts(100 + 12000 * faint + NOISE)))[NUCLEI > 0].all()


def test_dirt_in_a_channel_that_shows_tissue_everywhere_does_not_make_it_empty():
    everywhere = 700 + 200 * ndimage.gaussian_filter(RNG.normal(0, 1, SHAPE), 8) * 16

    assert look(counts(100 + 2500 * NUCLEI + NOISE, with_dirt(everywhere, 100))) is None


@pytest.mark.parametrize("texture", [0, 20, 90])
@pytest.mark.parametrize("kind", ["8 bits", "16 bits"])
def test_a_scale_bar_does_not_make_a_micrograph_dark(texture, kind):
    grey = 100 + texture * ndimage.gaussian_filter(RNG.normal(0, 1, SHAPE), 4) + RNG.normal(0, 20, SHAPE)
    grey[1200:1240, 1300:1600] = 255
    image = np.clip(grey, 0, 255)[..., None]

    assert look(image.astype(np.uint8) if kind == "8 bits" else (image * 257).astype(np.uint16)) is None


def test_faint_noise_in_the_dark_is_no_tissue_but_the_faint_edge_of_tissue_is():
    image = np.full((*SHAPE, 1), 2.0)
    image[..., 0] += 250 * NUCLEI
    image[700:900, 800:832, 0] += 3
    image[::256, 1300:1700, 0] = image[1100:1180, 1400:1480, 0] = 5
    found = look(image.clip(0, 255).astype(np.uint8))

    assert mask_of(found)[728:872, 800:816].all()
    assert not kept(found)[:, 1280:].any()


def test_a_strip_that_was_not_scanned_is_empty_and_does_not_pass_for_the_background():
    image = counts(400 + 2500 * NUCLEI + NOISE)
    image[:, 1100:] = 0
    found = look(image)

    assert kept(found)[NUCLEI > 0].all()
    assert not kept(found)[:, 1280:].any()
    assert mask_of(found)[~inside()].mean() < 0.05


@pytest.mark.parametrize("change", [lambda x: x * 4, lambda x: x + 300, np.fliplr, np.flipud])
def test_gain_offset_and_place_change_nothing(change):
    image = counts(100 + 2500 * NUCLEI + NOISE, 110 + 600 * GLOW + NOISE)
    turned = change if change in (np.fliplr, np.flipud) else lambda mask: mask

    assert (look(change(image)).mask == turned(look(image).mask)).all()


@pytest.mark.parametrize("light", [1.0, np.linspace(1, 1.4, SHAPE[1]), np.linspace(1, 3, SHAPE[0])[:, None]])
@pytest.mark.parametrize("nuclei", [dots(SHAPE, np.ones(SHAPE, bool)), NUCLEI])
def test_nuclei_all_over_or_in_uneven_light_are_all_kept(light, nuclei):
    found = look(counts((100 + 2500 * nuclei + NOISE) * light))

    assert found is None or kept(found)[nuclei > 0].all()


UNSURE = {
    "a channel that shows tissue everywhere": lambda: counts(
        100 + 2500 * NUCLEI + NOISE, 700 + 200 * ndimage.gaussian_filter(RNG.normal(0, 1, SHAPE), 8) * 16
    ),
    "an electron micrograph": lambda: np.clip(130 + 40 * ndimage.gaussian_filter(RNG.normal(0, 1, SHAPE), 4) * 12, 0, 255)
    .astype(np.uint8)[..., None],
    "noise alone": lambda: counts(100 + NOISE),
    "one value": lambda: np.full((*SHAPE, 1), 7, np.uint16),
    "nothing at all": lambda: np.zeros((*SHAPE, 3), np.uint8),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNSURE)
def test_where_the_picture_does_not_show_it_nothing_is_said(kind):
    assert look(UNSURE[kind]()) is None


def test_black_around_a_micrograph_is_empty():
    image = np.zeros((*SHAPE, 1), np.uint8)
    image[256:1024, 512:1536] = UNSURE["an electron micrograph"]()[256:1024, 512:1536]
    found = look(image)

    assert found.kind == "border"
    assert found.matters
    assert kept(found)[256:1024, 512:1536].all()
    assert kept(found).sum() == 768 * 1024


def background(dark, bright, share):
    """Dark above, bright below."""
    plane = np.where(np.arange(100)[:, None] < 100 * share, dark, bright)
    return background_of(plane, np.ones(plane.shape, bool), 0.0)


@pytest.mark.parametrize("share", [0.95, 0.5, 0.2])
def test_a_background_is_dark_even_and_far_below_the_rest(share):
    rng = np.random.default_rng(8)
    dark, bright = rng.normal(100, 0.5, (100, 200)), rng.uniform(130, 400, (100, 200))
    known = background(dark, bright, share)

    assert known.level == pytest.approx(100, abs=1)
    assert 0.3 < known.spread < 2
    assert background(bright, bright, share) is None
    assert background(dark, dark, share) is None
    assert background(rng.normal(100, 20, (100, 200)), bright * 10, share) is None
    assert background(dark, np.minimum(bright, 112), share) is None


@pytest.mark.parametrize("share", [0.95, 0.5, 0.2])
def test_the_spread_of_a_background_is_that_of_its_noise(share):
    rng = np.random.default_rng(8)
    dark, bright = rng.normal(100, 0.5, (100, 200)), rng.uniform(130, 40000, (100, 200))
    known = background(dark, bright, share)

    assert known.level == pytest.approx(100, abs=0.3)
    assert known.spread == pytest.approx(0.5, rel=0.3)


def test_dark_spots_all_over_tissue_are_no_background():
    rng = np.random.default_rng(9)
    plane = rng.uniform(200, 4000, (100, 200))
    plane[rng.random((100, 200)) < 0.3] = 100

    assert background(plane, plane, 0.5) is None


@pytest.mark.parametrize("name", ["test3-DAPI-2-387.ndpi", "test3-TRITC-2-560.ndpi"])
def test_real_fluorescence_keeps_what_shines_and_leaves_out_the_black_strip(data, name):
    with open_slide(data / "wsi" / "ndpi" / name) as opened:
        shape = opened.levels[0].shape
        found = detect_tissue(opened, shape)
        image = opened.read(Box(0, 0, *shape))
    bright = ndimage.binary_opening(image.max(axis=2) > 60, np.ones((8, 8)))

    assert found.kind == "dark field"
    assert kept(found)[bright].all()
    if "DAPI" in name:
        assert not mask_of(found)[4720:].any()


@pytest.mark.parametrize("name", ["isbi2012/train-volume.tif", "wsi/em_mosaic_temca2/1/60/140.jpg"])
def test_electron_micrographs_are_segmented_whole(data, name):
    with open_slide(data / name) as opened:
        image = opened.read(Box(0, 0, *opened.levels[0].shape))
    found = look(np.tile(image, (3, 3, 1)))

    assert found is None or not found.matters
