"""The U-Net that is trained: its two forms, and its arguments."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from slideseg.model.config import UNetConfig
from slideseg.model.network import unet
from slideseg.model.network.unet import UNet, bilinear_twice, without_weights

EXACT = ("conv", "bilinear")


def made(**kwargs):
    torch.manual_seed(0)
    return UNet(UNetConfig(**{"in_channels": 2, "out_channels": 3, "base_channels": 4, "depth": 2} | kwargs)).eval()


@pytest.mark.parametrize(("upsampling", "depth"), list(itertools.product(EXACT, (1, 3))))
def test_both_forms_compute_the_same(upsampling, depth):
    """To rounding; what runs does so to the bit (test_engine.py)."""
    net = made(upsampling=upsampling, depth=depth)
    cell, reach = net.config.stride, net.margins.reach
    around = -(-reach // cell)
    whole = torch.randn(1, 2, (2 * around + 3) * cell, (2 * around + 2) * cell)
    y, x = (around + 1) * cell, around * cell
    with torch.no_grad():
        want = net(whole)[..., y : y + 2 * cell, x : x + 2 * cell]
        got = net.forward_valid(whole[..., y - reach : y + 2 * cell + reach, x - reach : x + 2 * cell + reach])
    assert torch.allclose(got, want, atol=1e-5)


def test_sides_off_the_stride_are_refused():
    with pytest.raises(ValueError, match=r"multiples of the stride 4 \(got \(8, 10\)\)"):
        made()(torch.zeros(1, 2, 8, 10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"in_channels": 0}, "in_channels must be a whole number from 1"),
        ({"out_channels": 1.0}, "out_channels must be a whole number"),
        ({"base_channels": True}, "base_channels must be a whole number"),
        ({"base_channels": 10**9}, "base_channels must be a whole number from 1 to 65536"),
        ({"depth": 0}, "depth must be a whole number"),
        ({"depth": 9}, "depth must be at most 8"),
        ({"upsampling": "nearest"}, "upsampling must be conv"),
        ({"init": "zeros"}, "init must be he"),
        ({"dropout": 1.0}, "dropout must be in"),
        ({"dropout": float("nan")}, "dropout must be in"),
        ({"batch_norm": "yes"}, "batch_norm must be true or false"),
    ],
)
def test_arguments_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        UNetConfig(**change)


def test_arguments_survive_json():
    config = UNetConfig(1, 5, 8, 3, "bilinear", batch_norm=False, dropout=0.5, init="xavier")
    assert UNetConfig(**json.loads(json.dumps(config.to_dict()))) == config


def test_the_papers_network_has_the_papers_size():
    """31,030,593 weights of the paper's form with padded convolutions, biases and one output, counted by hand."""

    def pair(c_in, c_out):
        return c_in * c_out * 9 + c_out + c_out * c_out * 9 + c_out

    widths = [64, 128, 256, 512, 1024]
    down = sum(pair(a, b) for a, b in zip([1, *widths], widths, strict=False))
    up = sum(2 * w * w * 4 + w + pair(2 * w, w) for w in widths[:-1])
    with torch.device("meta"):
        net = UNet(UNetConfig(1, 1, 64, 4, batch_norm=False))
    assert sum(p.numel() for p in net.parameters()) == down + up + 64 + 1


@pytest.mark.parametrize("init", ["he", "xavier", "normal", "orthogonal"])
def test_fresh_weights_differ_and_biases_are_zero(init):
    torch.manual_seed(0)
    net = UNet(UNetConfig(2, 3, 4, 2, batch_norm=False, init=init))
    kernels = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert all(float(m.weight.detach().std()) > 0 for m in kernels)
    assert all(not m.bias.detach().any() for m in kernels)
    he = (2 / (4 * 9)) ** 0.5
    if init == "he":
        assert float(net.encoder[0].conv2.weight.detach().std()) == pytest.approx(he, rel=0.25)


def test_it_learns():
    """A gradient reaches every weight, and a few steps fit a simple picture."""
    torch.manual_seed(0)
    net = UNet(UNetConfig(1, 1, 4, 2, dropout=0.1))
    x = torch.randn(2, 1, 16, 16)
    target = (x > 0).float()
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = F.binary_cross_entropy_with_logits(net(x), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())
    assert losses[-1] < 0.5 * losses[0]


@given(st.integers(2, 9), st.integers(2, 9))
def test_bilinear_twice_is_bilinear_interpolation(height, width):
    x = torch.randn(1, 2, height, width)
    want = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)[..., 1:-1, 1:-1]
    assert torch.allclose(bilinear_twice(x), want, atol=1e-6)


def test_a_network_for_the_weights_of_a_file_has_shapes_and_nothing_is_drawn(monkeypatch):
    config = UNetConfig(2, 3, 4, 2)
    want = {name: (tensor.shape, tensor.dtype) for name, tensor in UNet(config).state_dict().items()}
    monkeypatch.setattr(unet, "_initialise", lambda *_: pytest.fail("PyTorch would import its compiler to draw nothing"))
    before = torch.random.get_rng_state()
    net = without_weights(config)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in net.state_dict().items()} == want
    assert all(tensor.is_meta for tensor in net.state_dict().values())
