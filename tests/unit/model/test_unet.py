"""The U-Net: both forms compute the same bits, and its arguments are checked."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from slideseg.model import unet
from slideseg.model.config import UNetConfig
from slideseg.model.convolve import convolve, up_convolve
from slideseg.model.fold import fold
from slideseg.model.unet import UNet, bilinear_twice, without_weights

EXACT = ("conv", "bilinear")


def made(seed=0, **kwargs):
    """A folded network whose batch norms have seen something."""
    torch.manual_seed(seed)
    net = UNet(UNetConfig(**{"in_channels": 2, "out_channels": 3, "base_channels": 4, "depth": 2} | kwargs))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return fold(net)


def image(net, rows, columns, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, net.config.in_channels, rows * net.config.stride, columns * net.config.stride, generator=generator)
    return x.contiguous(memory_format=torch.channels_last)


def core_of(net, whole, y, x, rows, columns):
    """Return the valid form's logits of a core (in cells of the grid) that lies in ``whole`` with all it sees."""
    cell, reach = net.config.stride, net.margins.reach
    seen = whole[..., y * cell - reach : (y + rows) * cell + reach, x * cell - reach : (x + columns) * cell + reach]
    return net.forward_valid(seen.contiguous(memory_format=torch.channels_last))


def assert_valid_is_same(net, *, rows, columns, y, x):
    """Hold the valid form of a core against the 'same' form of an image that reaches beyond it on all sides, to the bit."""
    cell = net.config.stride
    around = -(-net.margins.reach // cell)
    whole = image(net, 2 * around + y + rows + 1, 2 * around + x + columns)
    y, x = y + around, x + around
    with torch.no_grad():
        want = net(whole)[..., y * cell : (y + rows) * cell, x * cell : (x + columns) * cell]
        got = core_of(net, whole, y, x, rows, columns)
    assert got.shape == want.shape == (1, net.config.out_channels, rows * cell, columns * cell)
    assert torch.equal(got, want)


@pytest.mark.parametrize(
    ("upsampling", "depth", "batch_norm", "outputs"), list(itertools.product(EXACT, (1, 2, 3), (True, False), (1, 3)))
)
def test_valid_form_is_same_form_to_the_bit(upsampling, depth, batch_norm, outputs):
    net = made(upsampling=upsampling, depth=depth, batch_norm=batch_norm, out_channels=outputs)
    assert_valid_is_same(net, rows=2, columns=3, y=0, x=1)


@pytest.mark.parametrize("upsampling", EXACT)
def test_valid_form_is_same_form_at_four_poolings(upsampling):
    assert_valid_is_same(made(upsampling=upsampling, depth=4), rows=1, columns=2, y=1, x=0)


@settings(max_examples=25)
@given(
    upsampling=st.sampled_from(EXACT),
    depth=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9)),
    batch_norm=st.booleans(),
    core=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3)),
    seed=st.integers(0, 9),
)
def test_valid_form_is_same_form_for_any_network_and_core(upsampling, depth, channels, batch_norm, core, seed):
    c_in, c_out, base = channels
    config = {"in_channels": c_in, "out_channels": c_out, "base_channels": base}
    net = made(seed, upsampling=upsampling, depth=depth, batch_norm=batch_norm, **config)
    rows, columns, y, x = core
    assert_valid_is_same(net, rows=rows, columns=columns, y=y, x=x)


@pytest.mark.parametrize("upsampling", EXACT)
def test_a_core_one_pixel_off_the_grid_is_not_the_same(upsampling):
    """The condition of the valid form is needed, and the comparison above can fail."""
    net = made(upsampling=upsampling)
    whole = image(net, 20, 20)
    with torch.no_grad():
        want = net(whole)[..., 33:49, 32:48]
        reach = net.margins.reach
        got = net.forward_valid(whole[..., 33 - reach : 49 + reach, 32 - reach : 48 + reach])
    assert not torch.allclose(got, want, atol=1e-3)


def test_valid_form_of_a_batch_is_that_of_its_images():
    net = made()
    x = torch.cat([image(net, 14, 14, seed) for seed in range(3)])
    with torch.no_grad():
        alone = torch.cat([net.forward_valid(one[None]) for one in x])
        assert torch.equal(net.forward_valid(x), alone)


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


@pytest.mark.parametrize("shape", [(3, 3), (4, 7), (1, 1), (16, 5)])
@pytest.mark.parametrize("padding", [0, 1])
def test_convolve_is_the_convolution(shape, padding):
    x, weight, bias = torch.randn(2, 3, 6 + shape[0], 6 + shape[1]), torch.randn(5, 3, 3, 3), torch.randn(5)
    with torch.no_grad():
        assert torch.allclose(convolve(x, weight, bias, padding), F.conv2d(x, weight, bias, padding=padding), atol=1e-4)
        assert torch.allclose(convolve(x, weight, None, padding), F.conv2d(x, weight, padding=padding), atol=1e-4)


def test_up_convolve_is_the_transposed_convolution():
    x, weight, bias = torch.randn(2, 6, 5, 7), torch.randn(6, 3, 2, 2), torch.randn(3)
    with torch.no_grad():
        assert torch.allclose(up_convolve(x, weight, bias), F.conv_transpose2d(x, weight, bias, stride=2), atol=1e-5)
        assert torch.allclose(up_convolve(x, weight, None), F.conv_transpose2d(x, weight, stride=2), atol=1e-5)


def test_gradients_flow_where_they_are_wanted():
    weight = torch.randn(2, 2, 3, 3, requires_grad=True)
    convolve(torch.randn(1, 2, 5, 5), weight, None).sum().backward()
    assert weight.grad is not None


@given(st.integers(2, 9), st.integers(2, 9))
def test_bilinear_twice_is_bilinear_interpolation(height, width):
    x = torch.randn(1, 2, height, width)
    want = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)[..., 1:-1, 1:-1]
    assert torch.allclose(bilinear_twice(x), want, atol=1e-6)


def test_aligned_corners_follow_the_size_of_the_image():
    """Why that form can't be tiled: the same pixels, alone and in a larger image, get other numbers."""
    net = made(upsampling="bilinear-corners")
    whole = image(net, 24, 24)
    with torch.no_grad():
        want = net(whole)[..., 40:56, 40:56]
        part = net(whole[..., 8:88, 8:88].contiguous(memory_format=torch.channels_last))[..., 32:48, 32:48]
    assert not net.config.exact
    assert not torch.allclose(part, want, atol=1e-4)


def test_a_network_for_the_weights_of_a_file_has_shapes_and_nothing_is_drawn(monkeypatch):
    config = UNetConfig(2, 3, 4, 2)
    want = {name: (tensor.shape, tensor.dtype) for name, tensor in UNet(config).state_dict().items()}
    monkeypatch.setattr(unet, "_initialise", lambda *_: pytest.fail("PyTorch would import its compiler to draw nothing"))
    before = torch.random.get_rng_state()
    net = without_weights(config)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in net.state_dict().items()} == want
    assert all(tensor.is_meta for tensor in net.state_dict().values())
