"""What a slide looks like: only what is sure, so that no H&E slide is ever told to look like something else."""

import csv

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from slideseg.slide.array import ArraySlide
from slideseg.slide.open import open_slide
from slideseg.slide.tissue.detect import look_at, look_over
from slideseg.slide.tissue.look import Look
from tests.unit.slide.tissue.made import PLACE, SHAPE, glass, jpeg, slide, tissue, to_bytes

H_AND_E = Look("bright", color=True)
FOLDERS = ("nuclei_monuseg", "nuclei_tnbc", "he_points_brca_m2c")
STAINED = ("aperio/*.svs", "tiles/*", "generic/libvips-sample.tif", "ome/qupath-cells.tif")


def look(image):
    return look_at(ArraySlide(to_bytes(image)))


def shining(shape=SHAPE, ground=12.0, noise=2.0, nuclei=150.0, share=0.02):
    """Nuclei that shine on a dark ground, grey."""
    rng = np.random.default_rng(3)
    dots = ndimage.gaussian_filter((rng.random(shape) < share / 100).astype(float), 6)
    return ground + rng.normal(0, noise, shape) + nuclei * np.minimum(1, dots / 0.002)


@pytest.mark.parametrize(
    "image",
    [
        slide(), tissue(SHAPE), tissue((256, 256)), jpeg(slide(ground=(226, 214, 221), nuclei=(190, 170, 195), grain=6.0)),
        slide(ground=(120, 40, 80), nuclei=(60, 20, 60)), slide(ground=(215, 205, 200), nuclei=(120, 75, 40)),
        jpeg(tissue(SHAPE, ground=(235, 225, 235), nuclei=(120, 90, 180)), 40),
    ],
    ids=["pink", "no glass", "small", "pale", "dark", "brown", "haematoxylin alone"],
)  # fmt: skip
def test_what_is_stained_is_bright_and_coloured(image):
    assert look(image) == H_AND_E


@pytest.mark.parametrize("factor", [0.8, 0.5, 0.3])
def test_what_is_badly_lit_is_not_told_to_be_dark(factor):
    assert look(slide() * factor) in (H_AND_E, Look(None, color=True))
    assert look(tissue(SHAPE) * factor) in (H_AND_E, Look(None, color=True))


def test_a_small_piece_of_tissue_on_much_glass_has_colours():
    image = glass((3000, 4000))
    image[1000:1200, 2000:2200] = tissue((200, 200))

    assert look(image) == H_AND_E


@pytest.mark.parametrize("image", [glass(), glass(colour=(235, 222, 180)), np.zeros((*SHAPE, 3))])
def test_of_what_shows_nothing_nothing_is_said(image):
    assert look(image) == Look()


def test_black_all_around_is_not_the_dark():
    image = np.zeros((3000, 4000, 3))
    image[1000:1600, 1000:1800] = tissue((600, 800))

    assert look(image) == H_AND_E


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_fluorescence_is_dark_and_grey(dtype):
    image = shining()[..., None]
    scaled = {np.uint8: to_bytes(image), np.uint16: (image * 9 + 400).astype(np.uint16), np.float32: image.astype(np.float32)}

    assert look_at(ArraySlide(scaled[dtype])) == Look("dark", color=False)


@pytest.mark.parametrize(("tint", "color"), [((1, 1, 1), False), ((0.1, 0.2, 1), True), ((0, 1, 0), True)])
def test_fluorescence_may_be_a_picture_in_colours(tint, color):
    assert look(jpeg(shining()[..., None] * np.array(tint))) == Look("dark", color=color)


def test_a_stack_is_judged_by_its_first_plane():
    stack = np.stack([to_bytes(shining()[..., None])] * 3)

    assert look_at(ArraySlide(stack)) == Look("dark", color=False)


@pytest.mark.parametrize("grey", [1, 3])
def test_phase_contrast_is_bright_and_grey(grey):
    image = glass(noise=1.0).mean(axis=2, keepdims=True)
    image[PLACE] = tissue(image[PLACE].shape[:2]).mean(axis=2, keepdims=True)

    assert look(np.repeat(image, grey, axis=2)) == Look("bright", color=False)


def test_a_tint_is_neither_grey_nor_colour():
    grey = glass(noise=1.0).mean(axis=2, keepdims=True)
    grey[PLACE] = tissue(grey[PLACE].shape[:2]).mean(axis=2, keepdims=True)

    assert look(grey * np.array([1.0, 0.98, 0.96])) == Look("bright", color=None)


def test_grey_all_over_may_be_either_light():
    assert look(np.random.default_rng(4).normal(120, 25, (*SHAPE, 1))) == Look(None, color=False)


def test_black_around_a_grey_picture_is_not_the_dark():
    image = np.zeros((3000, 4000, 1))
    image[1000 : 1000 + SHAPE[0], 1000 : 1000 + SHAPE[1]] = glass(noise=1.0).mean(axis=2, keepdims=True)
    image[1400:1900, 1400:1900] = tissue((500, 500)).mean(axis=2, keepdims=True)

    assert look(image) == Look("bright", color=False)


def test_what_is_found_of_tissue_does_not_depend_on_it():
    found, seen = look_over(ArraySlide(to_bytes(slide())), SHAPE)

    assert found.kind == "brightfield"
    assert seen == H_AND_E


def of_file(path):
    opened = open_slide(path)
    try:
        return look_at(opened)
    finally:
        opened.close()


def test_real_h_and_e_is_never_taken_for_anything_else(data):
    paths = [path for folder in FOLDERS for path in sorted((data / folder / "images").glob("*"))]
    paths += [path for pattern in STAINED for path in sorted((data / "wsi").glob(pattern))]
    if not paths:
        pytest.skip("no real H&E")

    assert {path.name: look for path in paths if (look := of_file(path)) != H_AND_E} == {}


def test_of_real_images_of_the_data_science_bowl_those_of_the_dark_are_told(data):
    folder = data / "nuclei_dsb2018"
    if not folder.is_dir():
        pytest.skip("no images of the 2018 Data Science Bowl")
    with (folder / "index.csv").open(newline="") as file:
        kinds = {row["id"]: row["kind"] for row in csv.DictReader(file) if row["split"] == "val"}
    looks = {name: of_file(folder / "images" / f"{name}.png") for name in kinds}
    of = {kind: [looks[name] for name in kinds if kinds[name] == kind] for kind in set(kinds.values())}

    assert set(of["purple_on_purple"]) | set(of["purple_on_white"]) == {H_AND_E}
    assert set(of["brightfield_grey_cytology"]) == {Look("bright", color=False)}
    assert set(of["fluorescence"]) <= {Look("dark", color=False), Look(None, color=False)}
    assert sum(look.light == "dark" for look in of["fluorescence"]) >= 0.98 * len(of["fluorescence"])


def test_a_picture_of_the_bowl_that_became_a_jpeg_in_colours_is_dark_too(data, tmp_path):
    folder = data / "nuclei_dsb2018" / "images"
    if not folder.is_dir():
        pytest.skip("no images of the 2018 Data Science Bowl")
    path = next(path for path in sorted(folder.glob("*.png")) if Image.open(path).mode == "L")
    Image.open(path).convert("RGB").save(tmp_path / "p.jpg", quality=80)

    assert of_file(tmp_path / "p.jpg") == Look("dark", color=False)
