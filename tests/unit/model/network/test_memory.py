"""The memory arithmetic against what PyTorch really allocates, and against a worker's peak."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from slideseg.model.config import UNetConfig
from slideseg.model.network.engine import Engine
from slideseg.model.network.memory import peak_values, weight_count
from slideseg.model.network.unet import UNet

configs = st.builds(
    UNetConfig,
    in_channels=st.integers(1, 4),
    out_channels=st.integers(1, 4),
    base_channels=st.integers(2, 12).map(lambda c: 2 * c),
    depth=st.integers(1, 4),
    upsampling=st.sampled_from(["conv", "bilinear", "bilinear-corners"]),
)


@settings(max_examples=20)
@given(configs, st.integers(4, 12))
def test_the_tally_is_never_below_the_peak_and_not_far_above(config, cells):
    net, core = Engine(UNet(config)), cells * config.stride
    side, compute = core + 2 * config.margin, net.forward_valid if config.exact else net
    image_NCHW = torch.rand(1, config.in_channels, side, side).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        compute(image_NCHW)
    held = peak = 4 * image_NCHW.numel()
    events = [one for one in record.profiler.kineto_results.events() if one.name() == "[memory]"]
    for event in sorted(events, key=lambda one: one.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)

    tally = 4 * peak_values(config, core)
    weights = 4 * 4 * weight_count(config)  # an up-convolution's kernels are laid out anew
    assert peak <= tally + weights + 2**16
    assert tally <= 1.6 * peak


@pytest.mark.parametrize("up", ["conv", "bilinear"])
def test_the_number_of_weights_is_the_network_s(up):
    config = UNetConfig(3, 2, 8, 3, up)

    assert weight_count(config) == sum(weight.numel() for weight in Engine(UNet(config)).parameters())
