"""Other people's layers in one order of sums: the same numbers as PyTorch's, and the same bits whatever the tile."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from slideseg.model.network.call import Call
from slideseg.model.network.steady import STEADY, Steady

KINDS = ["first", "grouped", "depthwise", "strided", "dilated", "kernel and padding apart", "without bias", "transposed"]


def layer(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return {
        "first": lambda: nn.Conv2d(1, 8, 3, padding=1),
        "grouped": lambda: nn.Conv2d(8, 8, 3, padding=1, groups=2),
        "depthwise": lambda: nn.Conv2d(8, 8, 5, padding=2, groups=8),
        "strided": lambda: nn.Conv2d(8, 16, 3, padding=1, stride=2),
        "dilated": lambda: nn.Conv2d(8, 4, 3, padding=2, dilation=2),
        "kernel and padding apart": lambda: nn.Conv2d(8, 4, (1, 3), padding=(0, 1)),
        "without bias": lambda: nn.Conv2d(8, 4, 3, padding=1, bias=False),
        "transposed": lambda: nn.ConvTranspose2d(8, 5, 2, stride=2),
    }[kind]()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(height=st.integers(4, 40), width=st.integers(4, 90), seed=st.integers(0, 9))
def test_layers_give_what_pytorch_gives(kind, height, width, seed):
    net = layer(kind)
    x = torch.randn((2, 1 if kind == "first" else 8, height, width), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        with Steady():
            found = net(x)
        torch.testing.assert_close(found, net(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(y=st.integers(1, 20), x=st.integers(1, 20), height=st.integers(4, 20), width=st.integers(4, 20))
def test_a_part_of_an_image_has_the_bits_of_the_whole(kind, y, x, height, width):
    net, step = layer(kind), 2
    image = torch.randn((1, 1 if kind == "first" else 8, 96, 96), generator=torch.Generator().manual_seed(0))
    y, x, height, width = (step * number for number in (y, x, height, width))
    margin = 4
    with torch.no_grad(), Steady():
        whole, part = net(image), net(image[..., y - 2 : y - 2 + height + 2 * margin, x - 2 : x - 2 + width + 2 * margin])
    up, down = (2, 1) if kind == "transposed" else (1, 2) if kind == "strided" else (1, 1)
    top, left, rim = (number * up // down for number in (y - 2, x - 2, margin))
    inside = part[..., rim:-rim, rim:-rim]
    want = whole[..., top + rim : top + rim + inside.shape[-2], left + rim : left + rim + inside.shape[-1]]
    assert torch.equal(inside[..., : want.shape[-2], : want.shape[-1]], want)


@pytest.mark.parametrize(
    "how",
    [
        {"scale_factor": 2},
        {"scale_factor": 4.0},
        {"scale_factor": 0.5},
        {"size": (40, 60)},
        {"size": (10, 15)},
        {"scale_factor": (2, 2), "align_corners": False},
    ],
)
def test_bilinear_sizes_are_those_of_pytorch_in_the_same_bits_everywhere(how):
    x = torch.randn((1, 3, 20, 30), generator=torch.Generator().manual_seed(0))
    with Steady():
        found = F.interpolate(x, mode="bilinear", **how)
    torch.testing.assert_close(found, F.interpolate(x, mode="bilinear", **how), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
        lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", antialias=True),
        lambda x: F.interpolate(x, scale_factor=(1, 2), mode="bilinear"),
        lambda x: F.interpolate(x, scale_factor=1.37, mode="bilinear"),
        lambda x: F.interpolate(x, size=(41, 61), mode="bilinear"),
        lambda x: F.conv2d(x, torch.ones(3, 3, 3, 3), padding="same"),
        lambda x: F.conv2d(x[0], torch.ones(3, 3, 3, 3)),
        lambda x: F.conv_transpose2d(x, torch.ones(3, 3, 3, 3), stride=2, padding=1, output_padding=1),
        lambda x: F.conv_transpose2d(x, torch.ones(3, 3, 2, 2), stride=2, groups=1, dilation=2),
        lambda x: F.conv2d(x.double(), torch.ones(3, 3, 3, 3).double()),
    ],
)
def test_what_there_is_no_other_way_for_is_left_to_pytorch(call):
    x = torch.randn((1, 3, 20, 30), generator=torch.Generator().manual_seed(0))
    with Steady():
        found = call(x)
    assert torch.equal(found, call(x))


def test_all_that_is_replaced_is_called_by_that_name():
    assert {Call(func, (), {}).name for func in (torch.conv2d, F.conv2d, F.conv_transpose2d, F.interpolate)} == set(STEADY)
