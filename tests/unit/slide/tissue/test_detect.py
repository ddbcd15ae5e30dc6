"""What is said of a slide's tissue as a whole: whether it matters, how much there is, and of which slides nothing is."""

import numpy as np
import pytest

from slideseg.errors import ConfigError
from slideseg.slide.array import ArraySlide
from slideseg.slide.facts import Facts, make_levels
from slideseg.slide.open import open_slide
from slideseg.slide.reader import Reader
from slideseg.slide.tissue.blocks import BLOCK, TissueMap
from slideseg.slide.tissue.detect import Found, detect_tissue
from tests.unit.slide.tissue.made import SHAPE, glass, inside, kept, look, slide, tissue, to_bytes


class WithGaps(Reader):
    """A tile of tissue of which the file says that a corner was not scanned; there it is as pink as elsewhere."""

    def __init__(self, channels=3):
        shape = (768, 1024, channels)
        kind = {"axes": "yxc", "dtype": np.dtype(np.uint8), "is_rgb": channels == 3, "direct": True}
        super().__init__(Facts(path="x", shape=shape, levels=make_levels([shape[:2]]), **kind))
        self._pixels = to_bytes(tissue((768, 1024)))[..., :channels]

    def _read(self, box, level, plane):
        return self._pixels[box.slices].copy()

    def _scanned(self, box, level, plane):
        there = np.ones((768, 1024), bool)
        there[:256, 512:] = False
        return there[box.slices]


@pytest.mark.parametrize("channels", [1, 3])
def test_where_nothing_was_scanned_is_no_tissue_and_always_matters(channels):
    found = detect_tissue(WithGaps(channels), (768, 1024))

    assert found.matters
    assert not kept(found)[:256, 768:].any()
    assert kept(found)[256:].all()
    assert found.pixels_in(found.blocks) == 768 * 1024 - 256 * 512


def test_a_gap_in_the_tissue_of_a_tile_does_not_matter_but_half_a_slide_of_glass_does():
    tile = tissue((1000, 1000))
    tile[:, 700:] = glass((1000, 300))
    wide = tissue((1000, 2000))
    wide[:, 700:] = glass((1000, 1300))

    assert not look(to_bytes(tile)).matters
    assert look(to_bytes(wide)).matters


def test_tissue_proper_is_counted_without_the_glass_in_its_blocks():
    found = look(to_bytes(slide()))
    area = inside().sum()

    assert area * 0.99 <= found.pixels_in(found.blocks) <= area * 1.1
    assert kept(found).sum() > area * 1.3
    assert found.pixels_in(TissueMap(SHAPE, np.zeros_like(found.blocks.blocks))) == 0


def test_areas_are_of_the_working_resolution():
    image = ArraySlide(to_bytes(slide()))
    full, half = (detect_tissue(image, (SHAPE[0] // n, SHAPE[1] // n)) for n in (1, 2))

    assert half.pixels_in(half.blocks) == pytest.approx(full.pixels_in(full.blocks) / 4, rel=1e-6)
    assert half.blocks.blocks.shape == (640 // BLOCK, 896 // BLOCK)
    assert kept(half)[inside()[::2, ::2]].all()


def test_a_whole_picture_of_odd_size_counts_every_pixel():
    found = Found("border", np.ones((4, 5), bool), False, (8.0, 8.0), (30, 37))

    assert found.pixels_in(found.blocks) == 30 * 37


def test_no_tissue_is_looked_for_in_stacks():
    with pytest.raises(ConfigError, match=r"stacks .*--tissue none"):
        detect_tissue(ArraySlide(np.zeros((3, 9, 9, 1), np.uint8)), (9, 9))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (17, 5), (9, 2000)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_slides_of_any_size_and_type_are_looked_at(shape, dtype):
    for channels in (1, 3, 5):
        for value in (0, 1, 250):
            flat = ArraySlide(np.full((1, *shape, channels), value, dtype)[0]) if channels < 5 else None
            found = None if flat is None else detect_tissue(flat, shape)

            assert found is None or found.blocks.blocks.shape == (-(-shape[0] // BLOCK), -(-shape[1] // BLOCK))


def test_bounds_in_a_wide_black_or_white_frame(data):
    with open_slide(data / "reported" / "c30_bright.mrxs") as opened:
        found = detect_tissue(opened, opened.levels[0].shape)

    assert found.matters
    assert (~kept(found)).mean() > 0.6
