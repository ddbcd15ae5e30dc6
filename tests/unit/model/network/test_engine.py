"""The network as it runs: what the trained one computes, and in both forms the same bits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from slideseg.model.config import UNetConfig
from slideseg.model.network import engine, memory
from slideseg.model.network.conv import Conv
from slideseg.model.network.engine import Engine
from slideseg.model.network.unet import UNet
from slideseg.model.network.work import ideal_work, work_of_tile

EXACT = ("conv", "bilinear")


def trained(seed=0, **kwargs):
    """A network whose batch norms have seen something, and whose biases are not zero."""
    torch.manual_seed(seed)
    net = UNet(UNetConfig(**{"in_channels": 2, "out_channels": 3, "base_channels": 4, "depth": 2} | kwargs))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
        if getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias, 0, 0.3)
    return net.eval()


def made(seed=0, **kwargs):
    return Engine(trained(seed, **kwargs))


@pytest.mark.parametrize(
    ("upsampling", "depth", "batch_norm"), list(itertools.product((*EXACT, "bilinear-corners"), (1, 3), (True, False)))
)
def test_it_computes_what_the_trained_network_does(upsampling, depth, batch_norm):
    """Also at the edges of the image, where zeros are beside upsampled features and their bias is not."""
    net = trained(upsampling=upsampling, depth=depth, batch_norm=batch_norm)
    x = torch.cat([image(net, 5, 4, seed) for seed in range(2)])
    with torch.no_grad():
        want = net(x)
        got = Engine(net)(x)
    assert float(want.std()) > 0.01
    assert float((got - want).abs().max()) < 1e-5 * max(1.0, float(want.abs().max()))


def test_it_has_no_norm_no_gradient_and_does_not_train():
    net = Engine(trained(dropout=0.5))
    assert not any(isinstance(module, nn.BatchNorm2d | nn.Dropout) for module in net.modules())
    assert not any(p.requires_grad for p in net.parameters())
    assert not net.training
    assert all(conv.weight.is_contiguous(memory_format=torch.channels_last) for conv in net.modules() if isinstance(conv, Conv))


@pytest.mark.parametrize("upsampling", EXACT)
@pytest.mark.parametrize("rows", [2, 6, 16])
def test_strips_change_no_bit(upsampling, rows, monkeypatch):
    net = made(upsampling=upsampling, depth=3)
    x = seen_by(net, 5, 4)
    with torch.no_grad():
        want = net.forward_valid(x)
        monkeypatch.setattr(memory, "STRIP_ROWS", rows)
        assert torch.equal(net.forward_valid(x), want)


@pytest.mark.parametrize("channels", [1, 3])
def test_layout_and_threads_change_no_bit(channels):
    """Images of one channel have two layouts that PyTorch can't tell apart."""
    net = made(in_channels=channels, depth=3)
    x, threads = seen_by(net, 3, 4), torch.get_num_threads()
    with torch.no_grad():
        want = net.forward_valid(x)
        assert torch.equal(net.forward_valid(x.clone(memory_format=torch.contiguous_format)), want)
        try:
            torch.set_num_threads(1)
            assert torch.equal(net.forward_valid(x), want)
        finally:
            torch.set_num_threads(threads)


def test_other_formats_are_computed_by_pytorch_s_own_choice():
    net = made()
    x = seen_by(net, 3, 2)
    with torch.no_grad():
        want, got = net.forward_valid(x), net.double().forward_valid(x.double())
    assert got.dtype == torch.float64
    assert torch.allclose(got.float(), want, atol=1e-4)


@pytest.mark.parametrize("upsampling", EXACT)
@pytest.mark.parametrize("core", [16, 160])
def test_the_work_is_what_is_done(upsampling, core, monkeypatch):
    net, done = made(upsampling=upsampling, depth=4), []
    forward, add_to = Conv.forward, Conv.add_to

    def count(conv, out):
        done.append(conv.weight.numel() // conv.weight.shape[0] * out.numel())
        return out

    monkeypatch.setattr(Conv, "forward", lambda conv, x: count(conv, forward(conv, x)))
    monkeypatch.setattr(Conv, "add_to", lambda conv, out, x: count(conv, add_to(conv, out, x)))
    side = core + 2 * net.margins.reach
    with torch.no_grad():
        net.forward_valid(torch.randn(1, net.config.in_channels, side, side))
    assert sum(done) == work_of_tile(net.config, core)


@pytest.mark.parametrize(("side", "most"), [(1020, 1.10), (4092, 0.97)])
def test_the_work_over_that_of_the_whole_image(side, most):
    """Of the paper's widths: 1.4678 MFLOP a pixel in 'same' form, by hand; folding saves more than the margin costs."""
    config = UNetConfig(1, 2, 64, 4)
    core = (side - 2 * Engine(UNet(UNetConfig(1, 1, 2, 4))).margins.reach) // 16 * 16
    assert 2 * ideal_work(config) == pytest.approx(1.4678e6, rel=1e-4)
    assert work_of_tile(config, core) / core**2 / ideal_work(config) <= most


@given(st.integers(1, 6), st.integers(1, 6))
def test_pooling_takes_the_largest_of_four(rows, columns):
    x = np.random.default_rng(0).standard_normal((2, 3, 2 * rows, 2 * columns)).astype(np.float32)
    want = x.reshape(2, 3, rows, 2, columns, 2).max((3, 5))
    assert np.array_equal(engine.pooled_by_2(torch.from_numpy(x)).numpy(), want)


def image(net, rows, columns, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, net.config.in_channels, rows * net.config.stride, columns * net.config.stride, generator=generator)
    return x.contiguous(memory_format=torch.channels_last)


def seen_by(net, rows, columns):
    """Return the pixels that a core (in cells of the grid) sees."""
    sides = [cells * net.config.stride + 2 * net.margins.reach for cells in (rows, columns)]
    x = torch.randn(1, net.config.in_channels, *sides, generator=torch.Generator().manual_seed(1))
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


def test_aligned_corners_follow_the_size_of_the_image():
    """Why that form can't be tiled: the same pixels, alone and in a larger image, get other numbers."""
    net = made(upsampling="bilinear-corners")
    whole = image(net, 24, 24)
    with torch.no_grad():
        want = net(whole)[..., 40:56, 40:56]
        part = net(whole[..., 8:88, 8:88].contiguous(memory_format=torch.channels_last))[..., 32:48, 32:48]
    assert not net.config.exact
    assert not torch.allclose(part, want, atol=1e-4)
