"""Which arrays are levels of the slide, and at which scales."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from slideseg.slide.open import open_slide
from slideseg.slide.resampled import block_mean
from tests.unit.slide.zarr.made import image, multiscale


def picture(shape, seed=0):
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, 2)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 250 + 1).astype(np.uint8)


FULL = picture((401, 603))
HALF, QUARTER = (block_mean(FULL[..., None], factor)[..., 0] for factor in (2, 4))


def levels(tmp_path, arrays, scales, **more):
    path = image(
        tmp_path / "x.zarr", arrays, multiscale("yx", [(s, s) if isinstance(s, int | float) else s for s in scales], **more)
    )
    with open_slide(path) as slide:
        return slide.levels, slide.notes


def check_places(path):
    """Each level's pixels lie where its scale says, in the far corner too."""
    with open_slide(path) as slide:
        whole = slide.read((0, 0, *slide.levels[0].shape))[..., 0].astype(float)
        for number, level in enumerate(slide.levels[1:], 1):
            by = round(level.downsample)
            rows, columns = (side // by for side in FULL.shape)
            for y, x in ((0, 0), (rows - 40, columns - 40), (0, columns - 40), (rows // 2, columns // 2)):
                small = slide.read((y, x, y + 40, x + 40), number)[..., 0]
                there = block_mean(whole[y * by : (y + 40) * by, x * by : (x + 40) * by, None], by)
                assert np.abs(small - there[..., 0]).mean() < 1


def test_scales_are_those_declared_and_not_ratios_of_rounded_sizes(tmp_path):
    found, notes = levels(tmp_path, [FULL, HALF, QUARTER], [0.5, 1, 2])
    assert [level.scale for level in found] == [(1, 1), (2, 2), (4, 4)]
    assert [level.shape for level in found] == [FULL.shape, HALF.shape, QUARTER.shape]
    assert notes == ()
    check_places(tmp_path / "x.zarr")


@pytest.mark.parametrize("scales", [[1, 1, 1], [1, 3, 9], [1, (2, 4), 4], [1, 0.5, 0.25]])
def test_scales_that_don_t_fit_are_found_by_size_and_pixels(tmp_path, scales):
    found, notes = levels(tmp_path, [FULL, HALF, QUARTER], scales)
    assert [level.scale for level in found] == [(1, 1), (2, 2), (4, 4)]
    assert "level 1: its scale doesn't fit its size; by its pixels it is 2 times smaller" in notes
    check_places(tmp_path / "x.zarr")


def test_a_padded_level_is_cut(tmp_path):
    padded = np.zeros((256, 512), np.uint8)
    padded[: HALF.shape[0], : HALF.shape[1]] = HALF
    found, _ = levels(tmp_path, [FULL, padded], [1, 2])
    assert [(level.shape, level.scale) for level in found] == [(FULL.shape, (1, 1)), ((201, 302), (2, 2))]
    check_places(tmp_path / "x.zarr")


def test_a_level_reduced_along_one_axis_has_two_scales(tmp_path):
    found, notes = levels(tmp_path, [FULL, FULL[:, ::3]], [(1, 1), (1, 3)])
    assert ([level.scale for level in found], notes) == ([(1, 1), (1, 3)], ())


@pytest.mark.parametrize(
    "other",
    [picture((201, 302), 1), picture((301, 302), 1), HALF.astype(np.uint16), HALF.T],
    ids=["another picture", "another aspect", "another type", "on its side"],
)
def test_a_level_that_is_another_picture_is_not_used(tmp_path, other):
    found, notes = levels(tmp_path, [FULL, other, QUARTER], [1, 3, 4])
    assert [level.scale for level in found] == [(1, 1), (4, 4)]
    assert notes == (f"level 1 ({other.shape[0]} x {other.shape[1]}) is not the same picture as the finest one, and not used",)


def test_the_finest_level_need_not_be_listed_first(tmp_path):
    found, notes = levels(tmp_path, [QUARTER, FULL, HALF], [4, 1, 2])
    assert [level.shape for level in found] == [FULL.shape, HALF.shape, QUARTER.shape]
    assert notes == ("the finest level is 1, not 0, which is listed first",)
    with open_slide(tmp_path / "x.zarr") as slide:
        assert slide.mpp == 1


def test_levels_that_are_reduced_along_z_alone_are_none(tmp_path):
    stack = np.stack([FULL] * 4)
    scale = multiscale("zyx", [(1, 1, 1), (2, 1, 1), (2, 2, 2)])
    with open_slide(image(tmp_path / "x.zarr", [stack, stack[::2], stack[::2, ::2, ::2]], scale)) as slide:
        assert (len(slide.levels), slide.notes) == (1, ())
