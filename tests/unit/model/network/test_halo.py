"""How far a network sees: the arithmetic against the network itself."""

from dataclasses import replace

import pytest

from slideseg.model.config import UNetConfig
from slideseg.model.network import halo
from slideseg.model.network.unet import UNet
from slideseg.model.reach.shadow import made_positive
from tests.unit.model.reach.perturbed import changes

CONFIGS = [UNetConfig(depth=depth, upsampling=up) for depth in (1, 2, 3) for up in ("conv", "bilinear")]


@pytest.mark.parametrize("config", [*CONFIGS, UNetConfig()], ids=lambda c: f"{c.depth}-{c.upsampling}")
def test_a_pixel_just_inside_the_reach_changes_the_core_and_just_outside_does_not(config):
    net = made_positive(UNet(replace(config, in_channels=1, base_channels=2)), seed=1)
    reach = halo.margins(config.depth, config.upsampling).reach

    assert changes(net, config.stride, reach)
    assert not changes(net, config.stride, reach + 1)


def test_the_paper_s_depth_has_a_reach_of_94():
    assert (UNetConfig().reach, UNetConfig().halo) == (94, 96)


def test_a_halo_one_stride_too_small_is_too_small():
    for config in CONFIGS:
        assert config.halo - config.stride < halo.margins(config.depth, config.upsampling).reach <= config.halo
