"""Views: what is seen, and that it is brought back to where it belongs."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from slideseg.model.together.use import SCALES
from slideseg.model.together.views import VIEWS, resized, without


def image(height: int = 8, width: int = 12) -> torch.Tensor:
    return torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("tta", SCALES)
def test_each_augmentation_has_as_many_views_as_sizes_and_none_twice(tta):
    views = VIEWS[tta]
    assert tuple(view.scale for view in views) == SCALES[tta]
    assert len({tuple(view.see(image(60, 60)).flatten().tolist()) for view in views}) == len(views)


@pytest.mark.parametrize("view", VIEWS["d4"])
def test_what_is_turned_and_flipped_comes_back(view):
    assert torch.equal(view.back(view.see(image())), image())


def test_the_eight_ways_are_those_of_a_square():
    square = image(8, 8)[0]
    ways = [torch.rot90(one, turns, (1, 2)) for one in (square, square.flip(2)) for turns in range(4)]
    seen = [view.see(square[None])[0] for view in VIEWS["d4"]]
    assert all(any(torch.equal(one, way) for one in seen) for way in ways)


@given(
    st.sampled_from([Fraction(3, 4), Fraction(5, 4), Fraction(4, 3), Fraction(4, 5), Fraction(2), Fraction(1, 2)]),
    st.integers(1, 3),
)
def test_sizes_change_as_pytorch_s_linear_interpolation_does(scale, cells):
    x = image(cells * scale.denominator, 2 * scale.denominator)
    want = F.interpolate(x, size=[int(side * scale) for side in x.shape[2:]], mode="bilinear", align_corners=False)
    torch.testing.assert_close(resized(x, scale), want)


def test_a_part_of_an_image_has_the_bits_of_the_whole():
    x = torch.rand((1, 1, 40, 80), generator=torch.Generator().manual_seed(1))
    for scale in (Fraction(3, 4), Fraction(5, 4)):
        whole, part = resized(x, scale), resized(x[..., 8:32, 20:60], scale)
        cut = slice(1, -1)
        y, x0 = int(8 * scale), int(20 * scale)
        assert torch.equal(whole[..., y : y + int(24 * scale), x0 : x0 + int(40 * scale)][..., cut, cut], part[..., cut, cut])


def test_margins_are_cut_away_or_filled_with_zeros():
    assert torch.equal(without(image(), 2), image()[..., 2:-2, 2:-2])
    assert torch.equal(without(without(image(), -2), 2), image())
    assert torch.equal(without(image(), 0), image())
