"""How far a network sees: the arithmetic against the network itself."""

import pytest

from slideseg.model.config import UNetConfig
from slideseg.model.network import halo
from slideseg.model.network.probe import changes_core, probed_reach

CONFIGS = [UNetConfig(depth=depth, upsampling=up) for depth in (1, 2, 3) for up in ("conv", "bilinear")]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.depth}-{c.upsampling}")
def test_a_pixel_just_inside_the_reach_changes_the_core_and_just_outside_does_not(config):
    reach = halo.margins(config.depth, config.upsampling).reach

    assert changes_core(config, reach)
    assert not changes_core(config, reach + 1)
    assert probed_reach(config) == reach


def test_the_paper_s_depth_has_a_reach_of_94():
    config = UNetConfig()

    assert changes_core(config, 94)
    assert not changes_core(config, 95)
    assert config.halo == 96


def test_a_halo_one_stride_too_small_is_too_small():
    for config in CONFIGS:
        assert config.halo - config.stride < halo.margins(config.depth, config.upsampling).reach <= config.halo
