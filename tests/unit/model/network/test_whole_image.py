"""The whole image in 'same' form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from slideseg.model.config import UNetConfig
from slideseg.model.network.engine import Engine
from slideseg.model.network.unet import UNet
from slideseg.model.network.whole_image import WholeImage


def made(**kwargs):
    torch.manual_seed(0)
    net = UNet(UNetConfig(**{"in_channels": 1, "out_channels": 2, "base_channels": 4, "depth": 2} | kwargs))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.3, 3)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return net


def mirrored(image, before, after_y, after_x):
    return np.pad(image, ((before, after_y), (before, after_x)), "reflect")


def as_input(array):
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None, None]


@pytest.mark.parametrize(("upsampling", "depth"), [("conv", 1), ("conv", 3), ("bilinear", 1), ("bilinear", 3)])
@settings(max_examples=8)
@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 99))
def test_any_size_gets_the_logits_of_a_larger_padded_image(upsampling, depth, height, width, seed):
    """An image of any size, mirrored by the halo: its own pixels don't depend on how much more mirror there is.

    At these depths some of them see beyond the halo, where `WholeImage` goes on with the mirror.
    """
    net = Engine(made(upsampling=upsampling, depth=depth))
    margin, cell = net.config.halo, net.config.stride
    image = np.random.default_rng(seed).standard_normal((height, width))
    more_y, more_x = -height % cell + 2 * cell, -width % cell + 3 * cell
    with torch.no_grad():
        got = WholeImage(net, margin, cell)(as_input(mirrored(image, margin, margin, margin)))
        want = net(as_input(mirrored(image, margin, margin + more_y, margin + more_x)))
    assert got.shape[-2:] == (height + 2 * margin, width + 2 * margin)
    inner = (..., slice(margin, margin + height), slice(margin, margin + width))
    assert torch.equal(got[inner], want[inner])


def test_sides_on_the_stride_are_taken_as_they_are():
    net = Engine(made())
    x = torch.randn(2, 1, 48, 64).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        assert torch.equal(WholeImage(net, net.config.halo, net.config.stride)(x), net(x))


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (17, 16)])
def test_images_without_a_margin_are_completed_too(shape):
    net = Engine(made())
    with torch.no_grad():
        logits = WholeImage(net, net.config.halo, net.config.stride)(torch.randn(1, 1, *shape))
    assert logits.shape == (1, 2, *shape)
    assert bool(torch.isfinite(logits).all())
