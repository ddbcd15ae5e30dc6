"""A network in whole numbers of 8 bits: near to what the trained one computes, and in both forms the same bits."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slideseg.model.network import memory
from slideseg.model.network.engine import Engine
from slideseg.model.network.int8 import FirstConv, Int8Conv
from slideseg.model.network.number_format import is_emulated
from slideseg.model.network.ranges import STEPS, _rectified, find_ranges
from tests.unit.model.network.test_engine import EXACT, assert_valid_is_same, image, seen_by, trained

pytestmark = pytest.mark.skipif(is_emulated("int8"), reason="this processor has no instructions for int8")


def made(seed=0, **kwargs):
    net = trained(seed, **kwargs)
    return Engine(net, find_ranges(net, [seen_by(net, 3, 4)]))


@pytest.mark.parametrize(("upsampling", "depth", "batch_norm"), list(itertools.product(EXACT, (1, 3), (True, False))))
def test_it_computes_about_what_the_trained_network_does(upsampling, depth, batch_norm):
    net = trained(upsampling=upsampling, depth=depth, batch_norm=batch_norm, base_channels=8)
    x = seen_by(net, 5, 6)
    with torch.no_grad():
        want = net.forward_valid(x)
        got = Engine(net, find_ranges(net, [x])).forward_valid(x)
    assert got.dtype == torch.float32
    assert float((got - want).abs().mean()) < 0.06 * float(want.std())


@pytest.mark.parametrize("upsampling", EXACT)
def test_the_edges_of_same_form_are_near_too(upsampling):
    """There upsampled features are 0, which is stored as another number where they may be below it."""
    net = trained(upsampling=upsampling, base_channels=8)
    if upsampling == "conv":
        net.upsample[0].bias.data -= 3
    x = image(net, 20, 20)
    with torch.no_grad():
        difference = (Engine(net, find_ranges(net, [seen_by(net, 5, 4)]))(x) - net(x)).abs()
    assert float(difference[..., 0, :].mean()) < 1.5 * float(difference[..., 20:-20, 20:-20].mean())


@settings(max_examples=40)
@given(
    upsampling=st.sampled_from(EXACT),
    depth=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 40)),
    batch_norm=st.booleans(),
    core=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3)),
    seed=st.integers(0, 9),
)
def test_valid_form_is_same_form_for_any_network_and_core(upsampling, depth, channels, batch_norm, core, seed):
    c_in, c_out, base = channels
    config = {"in_channels": c_in, "out_channels": c_out, "base_channels": base}
    rows, columns, y, x = core
    assert_valid_is_same(
        made(seed, upsampling=upsampling, depth=depth, batch_norm=batch_norm, **config), rows=rows, columns=columns, y=y, x=x
    )


@pytest.mark.parametrize("upsampling", EXACT)
@pytest.mark.parametrize("rows", [2, 6, 16])
def test_strips_and_threads_change_no_bit(upsampling, rows, monkeypatch):
    net = made(upsampling=upsampling, depth=3)
    x, threads = seen_by(net, 5, 4), torch.get_num_threads()
    with torch.no_grad():
        want = net.forward_valid(x)
        monkeypatch.setattr(memory, "STRIP_ROWS", rows)
        try:
            torch.set_num_threads(1)
            assert torch.equal(net.forward_valid(x), want)
        finally:
            torch.set_num_threads(threads)


def test_what_exceeds_its_range_is_cut_off():
    """Darker pixels than those that the ranges were found on must not come out bright."""
    net = trained(base_channels=8, batch_norm=False)
    x = seen_by(net, 3, 4)
    with torch.no_grad():
        want = net.forward_valid(3 * x)
        got = Engine(net, find_ranges(net, [x])).forward_valid(3 * x)
    assert float(torch.corrcoef(torch.stack([got.flatten(), want.flatten()]))[0, 1]) > 0.8


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(0, 99))
def test_a_convolution_sums_whole_numbers(c_in, c_out, side, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-127, 128, (c_out, c_in, side, side), generator=generator).float()
    weight[:, 0, 0, 0] = 127  # so that they are stored as they are
    bias = torch.randint(-(10**6), 10**6, (c_out,), generator=generator).float()
    x = torch.randint(0, 256, (1, c_in, 9, 7), generator=generator)
    got = Int8Conv(weight, bias, gives=torch.float32)(x.to(torch.uint8).contiguous(memory_format=torch.channels_last))
    want = torch.nn.functional.conv2d(x.double(), weight.double(), bias.double())
    assert torch.allclose(got.double(), want, rtol=1e-6, atol=0.5)
    stored = Int8Conv(weight, bias)(x.to(torch.uint8).contiguous(memory_format=torch.channels_last))
    assert torch.equal(stored, want.round().clamp(0, 255).to(torch.uint8))


def test_rounding_keeps_the_sum_of_a_kernel():
    """Neighbouring pixels are alike, so that is what counts: of an even picture nothing changes."""
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(16, 24, 3, 3, generator=generator), torch.zeros(16)
    even = torch.randint(0, 256, (1, 24, 1, 1), generator=generator).expand(-1, -1, 3, 3).to(torch.uint8)
    got = Int8Conv(weight, bias, gives=torch.float32)(even.contiguous(memory_format=torch.channels_last))
    want = torch.nn.functional.conv2d(even.float(), weight)
    step = weight.abs().amax((1, 2, 3), keepdim=True) / 127
    nearest = torch.nn.functional.conv2d(even.float(), (weight / step).round() * step)
    assert float((got - want).abs().mean()) < float((nearest - want).abs().mean()) / 2


def test_ranges_hold_what_was_seen_on_a_grid_of_steps():
    net = trained(batch_norm=False)
    x = seen_by(net, 3, 4)
    ranges = find_ranges(net, [x, x])
    assert ranges == find_ranges(net, [x])
    assert len(ranges.digest()) == 64
    assert ranges.digest() != replace(ranges, up=ranges.up[::-1]).digest()
    with torch.no_grad():
        first = net.encoder[0]
        found = 1.5 * torch.relu(first.conv1(x)).amax((0, 2, 3))
    kept = torch.tensor(ranges.down[0].middle)
    assert bool((kept >= found).all())
    assert bool((kept <= found.clamp_min(float(found.max()) / 64) * 2 ** (1 / STEPS) * 1.0001).all())


def test_a_channel_that_was_never_seen_has_a_range():
    """Elsewhere there may be some of it, and nothing may be divided by 0."""
    net = trained(batch_norm=False, base_channels=8)
    for layer in (net.encoder[0].conv1, net.decoder[0].conv2):
        layer.weight.data[0] = 0
        layer.bias.data[0] = -1
    ranges = find_ranges(net, [seen_by(net, 3, 4)])
    assert min(ranges.down[0].middle) >= max(ranges.down[0].middle) / 64 / 1.1
    net.encoder[0].conv1.bias.data[0] = 0.05
    x = seen_by(net, 3, 4)
    with torch.no_grad():
        want = net.forward_valid(x)
        got = Engine(net, ranges).forward_valid(x)
    assert float((got - want).abs().mean()) < 0.06 * float(want.std())


def test_the_first_features_are_rounded_and_cut_off():
    x = torch.tensor([-1.0, 0.4, 0.6, 254.4, 254.6, 300.0, 1e9]).reshape(1, 1, 1, 7)
    got = FirstConv(torch.ones(1, 1, 1, 1), torch.zeros(1))(x)
    assert got.dtype == torch.uint8
    assert got.flatten().tolist() == [0, 0, 1, 254, 255, 255, 255]


def test_a_batch_norm_knows_what_the_tiles_lack():
    """Ranges found on next to nothing are wide enough for what the network learnt from."""
    net = trained(base_channels=8)
    x = seen_by(net, 5, 6)
    with torch.no_grad():
        for block in (*net.encoder, *net.decoder):
            for norm in (block.norm1, block.norm2):
                norm.momentum = 1.0
                norm.train()
        for _ in range(len(list(net.modules()))):  # each layer settles once those before it have
            net.forward_valid(x)
        want = net.eval().forward_valid(x)
        found = find_ranges(net, [torch.zeros_like(x)])
        got = Engine(net, found).forward_valid(x)
    assert float((got - want).abs().mean()) < 0.1 * float(want.std())


@pytest.mark.parametrize("upsampling", EXACT)
def test_without_one_there_is_headroom(upsampling):
    net = trained(batch_norm=False, upsampling=upsampling)
    x = seen_by(net, 3, 4)
    with torch.no_grad():
        first = net.encoder[0].conv1(x).relu().amax((0, 2, 3))
    kept = torch.tensor(find_ranges(net, [x]).down[0].middle)
    assert bool((kept >= 1.499 * first).all())


def test_rectified_moments():
    generator = torch.Generator().manual_seed(0)
    mean, deviation = torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([1.0, 2.0, 0.5])
    values = (mean + deviation * torch.randn(200_000, 3, generator=generator)).relu()
    got_mean, got_variance = _rectified(mean, deviation)
    assert torch.allclose(got_mean, values.mean(0), atol=0.02)
    assert torch.allclose(got_variance, values.var(0), rtol=0.05)
