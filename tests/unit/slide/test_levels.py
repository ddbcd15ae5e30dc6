from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from slideseg.slide.facts import Level
from slideseg.slide.levels import lacks, level_of, possible_levels, same_pixels, shows_another
from slideseg.space.box import Box


@pytest.mark.parametrize(
    ("stored", "full", "scale"),
    [
        ((500, 600), (1000, 1200), 2),
        ((501, 600), (1001, 1200), 2),
        ((500, 601), (1001, 1201), 2),
        ((1783, 2221), (3567, 4443), 2),
        ((13, 17), (850, 1100), 64),
        ((333, 400), (1000, 1200), 3),
        ((1, 1), (2, 2), 2),
        ((1, 300), (1, 600), 2),
    ],
)
def test_a_rounded_level_has_a_whole_factor(stored, full, scale):
    assert level_of(stored, full) == Level(stored, (scale, scale))


def test_a_level_of_the_same_aspect_has_the_ratio_of_the_sizes():
    assert level_of((400, 480), (1000, 1200)) == Level((400, 480), (2.5, 2.5))


@pytest.mark.parametrize(
    ("stored", "full"),
    [
        ((431, 1280), (480, 640)),
        ((600, 60), (1000, 1200)),
        ((1000, 1200), (1000, 1200)),
        ((0, 9), (9, 9)),
        ((1200, 1000), (600, 500)),
    ],
)
def test_what_has_another_aspect_is_no_level(stored, full):
    assert level_of(stored, full) is None
    assert level_of(stored, full, tile=(256, 256)) is None


def test_a_padded_level_is_cut_to_the_slide_and_has_its_true_scale():
    assert level_of((768, 1024), (1100, 1800), tile=(256, 256)) == Level((550, 900), (2, 2))
    assert level_of((512, 1024), (2600, 7190), tile=(512, 512)) == Level((325, 899), (8, 8))


def test_what_the_file_declares_counts_where_the_size_bears_it_out():
    seven_by_size = (1024, 1024), (7168, 7168)
    assert level_of(*seven_by_size).scale == (7, 7)
    assert level_of(*seven_by_size, declared=(8.001, 8.0), tile=(512, 512)) == Level((896, 896), (8, 8))
    assert level_of((500, 600), (1000, 1200), declared=(4, 4), tile=(256, 256)) == Level((500, 600), (2, 2))
    assert level_of((500, 1200), (1000, 1200), declared=(2, 1)) == Level((500, 1200), (2, 1))
    assert level_of((500, 600), (1000, 1200), declared=(float("nan"), 0)) == Level((500, 600), (2, 2))


def test_what_can_be_several_levels_is_looked_at():
    scales = [level.scale for level in possible_levels((256, 256), (400, 200), tile=(256, 256))]
    assert scales[:2] == [(2, 2), (4, 4)]
    assert [level.shape for level in possible_levels((256, 384), (400, 600), tile=(128, 128))] == [(200, 300), (256, 384)]
    assert possible_levels((50, 90), (100, 100)) == [Level((50, 90), (2, 100 / 90))]
    assert len(possible_levels((50, 60), (100, 120), tile=(10, 10))) == 1
    for nothing in ((100, 120), (0, 4), (101, 3)):
        assert possible_levels(nothing, (100, 120)) == []


def picture(shape: tuple[int, int], seed: int) -> np.ndarray:
    """A texture of blobs: two of them have nothing in common."""
    texture = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 6)
    return np.clip(128 + 40 * texture / texture.std(), 0, 255)[..., None].astype(np.uint8)


def same(coarse: np.ndarray, fine: np.ndarray) -> bool:
    return same_pixels(lambda box: coarse[box.slices], coarse.shape[:2], lambda box: fine[box.slices], fine.shape[:2])


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_the_same_picture_has_the_same_pixels(factor):
    for seed in range(4):
        one, other = picture((601, 700), seed), picture((601, 700), seed + 10)
        assert same(one[::factor, ::factor], one)
        assert not same(other[::factor, ::factor], one)


def test_flat_pictures_are_the_same_where_their_values_are():
    white, grey = np.full((64, 64, 3), 255, np.uint8), np.full((32, 32, 3), 128, np.uint8)
    assert same(white[:32, :32], white)
    assert not same(grey, white)


def another(coarse: np.ndarray, fine: np.ndarray) -> bool:
    return shows_another(lambda box: coarse[box.slices], coarse.shape[:2], lambda box: fine[box.slices], fine.shape[:2])


@pytest.mark.parametrize("factor", [2, 4])
def test_a_level_is_another_picture_only_if_it_is_clearly_so(factor):
    grain = np.random.default_rng(8).normal(0, 12, (600, 700, 1))
    for seed in range(4):
        one, other = picture((600, 700), seed), picture((600, 700), seed + 10)
        dim = one / 8 + 40
        for level in (other, other / 8 + 40, 255 - one, np.full_like(one, 200)):
            assert another(level[::factor, ::factor], one)
        assert not another(np.roll(one, (2, 2), (0, 1))[::factor, ::factor], one)
        assert not another((dim + grain)[::factor, ::factor], dim + grain)


def test_flat_and_tiny_pictures_are_no_other():
    glass = np.random.default_rng(8).normal(240, 2, (640, 640, 3))
    assert not another(glass[:320, :320], glass)
    assert not another(np.arange(15.0).reshape(5, 3, 1), np.zeros((10, 6, 1)))


def test_a_level_with_a_gap_where_the_finer_one_shows_something_lacks_it():
    asked = []

    def shows(box: Box) -> bool | None:
        asked.append(box)
        return {(0, 0): None, (20, 40): False}.get((box.y0, box.x0), True)

    full, half = Level((100, 90)), Level((50, 45), (2.0, 2.0))
    gaps = [Box(0, 0, 10, 20), Box(10, 20, 20, 40), Box(40, 40, 60, 60)]
    assert not lacks(gaps[:2], half, full, shows)
    assert lacks(gaps, half, full, shows)
    assert asked[2:] == [Box(0, 0, 20, 40), Box(20, 40, 40, 80), Box(80, 80, 100, 90)]
    assert not lacks([gaps[1]] * 40 + [gaps[2]], half, full, shows)  # there is a limit to looks in vain
    assert lacks([gaps[0]] * 40 + [gaps[2]], half, full, shows)
