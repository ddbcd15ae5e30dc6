"""Which parts of a slide are segmented: by what the picture shows, by a word, or by a mask."""

import numpy as np
import pytest
from PIL import Image

from slideseg.errors import ConfigError, SlideError, UnreachableError
from slideseg.prediction.choices.tissue import find_tissue
from slideseg.slide.array import ArraySlide
from slideseg.slide.open import open_slide
from slideseg.slide.tissue.blocks import BLOCK

SHAPE = (1280, 1792)


def a_slide(glass=1000):
    """Rough pink, and glass from a column on."""
    image = np.array((165, 110, 140)) + np.random.default_rng(0).integers(0, 60, (*SHAPE, 3))
    image[:, glass:] = 243
    return image.astype(np.uint8)


def find(image, wanted=""):
    return find_tissue(ArraySlide(image), image.shape[:2], wanted)


def test_by_default_the_picture_decides():
    half, whole = find(a_slide()), find(a_slide(SHAPE[1]))

    assert half.said == "auto"
    assert half.blocks.blocks.tolist() == [[True] * (1024 // BLOCK) + [False] * (768 // BLOCK)] * (1280 // BLOCK)
    assert half.pixels == pytest.approx(SHAPE[0] * 1000, rel=0.02)
    assert (whole.said, whole.blocks, whole.pixels, whole.notes) == ("none", None, None, ())


def test_a_bucket_that_fails_is_no_slide_without_glass():
    """Damage fails the shard that it lies in; a plan must not depend on the network."""

    class Failing(ArraySlide):
        def _read(self, *_):
            raise fault("no answer")

    fault = SlideError
    assert find_tissue(Failing(a_slide()), SHAPE, "").said == "none"
    fault = UnreachableError
    with pytest.raises(UnreachableError):
        find_tissue(Failing(a_slide()), SHAPE, "")


def test_size_does_not_matter_and_none_is_none():
    huge = np.broadcast_to(np.uint8(90), (5000, 4500, 3))

    assert find(a_slide(), "none").blocks is None
    assert find(np.ascontiguousarray(huge)).said == "none"


def test_what_is_not_known_is_said_only_to_who_asked():
    micrograph = np.random.default_rng(1).integers(60, 200, (600, 600, 1)).astype(np.uint8)
    asked = find(micrograph, "auto")

    assert find(micrograph).notes == ()
    assert (asked.said, asked.blocks, asked.pixels) == ("auto", None, None)
    assert len(asked.notes) == 1
    assert "does not show for sure" in asked.notes[0]
    assert "\n" not in asked.notes[0]


def test_sixteen_bits_and_several_channels_are_looked_at():
    image = np.random.default_rng(2).normal(100, 8, (*SHAPE, 2))
    image[300:900:20, 200:700:20] += 4000
    image[300:900, 200:700, 1] += 500
    found = find(image.astype(np.uint16), "auto")

    assert found.blocks.blocks[256 // BLOCK : 768 // BLOCK, 256 // BLOCK : 512 // BLOCK].all()
    assert not found.blocks.blocks[:, 1024 // BLOCK :].any()
    assert found.notes == ()


def test_of_a_stack_all_is_segmented_and_asking_for_tissue_is_refused():
    stack = ArraySlide(np.zeros((2, 300, 300, 1), np.uint8))

    assert find_tissue(stack, (300, 300), "").said == "none"
    with pytest.raises(ConfigError, match="stacks"):
        find_tissue(stack, (300, 300), "auto")


def test_of_a_mask_s_blocks_the_area_is_the_tissue_in_them(tmp_path):
    mask = np.zeros((128, 179), np.uint8)
    mask[:60, 60:] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    found = find(a_slide(), str(tmp_path / "m.png"))
    whole = find(a_slide(SHAPE[1]), str(tmp_path / "m.png"))

    assert found.said == whole.said == str(tmp_path / "m.png")
    assert (found.blocks.blocks == whole.blocks.blocks).all()
    there = np.kron(mask > 0, np.ones((10, 10), bool))  # a pixel more on the right where 1,792 is no multiple of 10
    assert found.blocks.blocks.tolist() == [
        [bool(there[y : y + BLOCK, x : x + BLOCK].any()) for x in range(0, SHAPE[1], BLOCK)] for y in range(0, SHAPE[0], BLOCK)
    ]
    assert found.pixels == pytest.approx(-(-600 // BLOCK) * BLOCK * (1000 - 600 // BLOCK * BLOCK), rel=0.03)
    assert whole.pixels is None


@pytest.mark.parametrize("wanted", ["", "auto", "mask"])
def test_that_nothing_is_segmented_is_said(wanted, tmp_path):
    Image.fromarray(np.zeros((128, 179), np.uint8)).save(tmp_path / "mask.png")
    said = str(tmp_path / "mask.png") if wanted == "mask" else wanted
    found = find(a_slide(glass=0), said)

    assert not found.blocks.blocks.any()
    assert found.notes == (f"no tissue, so nothing is segmented (got --tissue {said or 'auto'}; try --tissue none)",)


@pytest.mark.parametrize("name", ["wsi/aperio/CMU-1-Small-Region.svs", "reported/c30_bright.mrxs"])
def test_real_slides_are_decided_by_their_glass(data, name):
    with open_slide(data / name) as slide:
        found = find_tissue(slide, slide.levels[0].shape, "")

    assert found.said == "auto"
    assert 0 < found.pixels < found.blocks.blocks.sum() * BLOCK * BLOCK
