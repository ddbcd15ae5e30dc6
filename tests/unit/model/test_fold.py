"""Folding batch norm, and the whole image in 'same' form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from slideseg.model.config import UNetConfig
from slideseg.model.fold import WholeImage, fold
from slideseg.model.unet import UNet


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


@pytest.mark.parametrize("upsampling", ["conv", "bilinear", "bilinear-corners"])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("depth", [1, 3])
def test_folded_is_unfolded(upsampling, batch_norm, depth):
    net = made(upsampling=upsampling, batch_norm=batch_norm, depth=depth).eval()
    x = torch.randn(2, 1, 24, 32)
    with torch.no_grad():
        want = net(x)
        got = fold(net)(x)
    assert float(want.std()) > 0.01
    assert float((got - want).abs().max()) < 1e-5 * max(1.0, float(want.abs().max()))


def test_a_folded_network_has_no_norm_no_gradient_and_does_not_train():
    net = fold(made(dropout=0.5))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert not any(p.requires_grad for p in net.parameters())
    assert not any(module.training for module in net.modules() if isinstance(module, nn.Dropout | UNet))
    assert net.encoder[1].conv2.weight.is_contiguous(memory_format=torch.channels_last)


def test_folding_twice_changes_nothing():
    once = fold(made())
    x = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        want = once(x)
        assert torch.equal(fold(once)(x), want)


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
    net = fold(made(upsampling=upsampling, depth=depth))
    margin, cell = net.config.halo, net.config.stride
    image = np.random.default_rng(seed).standard_normal((height, width))
    more_y, more_x = -height % cell + 2 * cell, -width % cell + 3 * cell
    with torch.no_grad():
        got = WholeImage(net, margin)(as_input(mirrored(image, margin, margin, margin)))
        want = net(as_input(mirrored(image, margin, margin + more_y, margin + more_x)))
    assert got.shape[-2:] == (height + 2 * margin, width + 2 * margin)
    inner = (..., slice(margin, margin + height), slice(margin, margin + width))
    assert torch.equal(got[inner], want[inner])


def test_sides_on_the_stride_are_taken_as_they_are():
    net = fold(made())
    x = torch.randn(2, 1, 48, 64).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        assert torch.equal(WholeImage(net, net.config.halo)(x), net(x))


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (17, 16)])
def test_images_without_a_margin_are_completed_too(shape):
    net = fold(made())
    with torch.no_grad():
        logits = WholeImage(net, net.config.halo)(torch.randn(1, 1, *shape))
    assert logits.shape == (1, 2, *shape)
    assert bool(torch.isfinite(logits).all())
