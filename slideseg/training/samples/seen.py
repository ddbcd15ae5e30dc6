"""How far the network of a recipe sees, whosever it is, and what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, explain
from slideseg.model.network.described import DescribedUNet
from slideseg.model.others.fresh import described

if TYPE_CHECKING:
    from slideseg.model.architecture import Architecture
    from slideseg.model.config import UNetConfig
    from slideseg.model.others.described import OtherNetwork
    from slideseg.training.recipe.schema import TrainConfig


def config_of(config: TrainConfig) -> UNetConfig | OtherNetwork:
    """Return what decides the network of a recipe, as its model says it.

    Raises:
        ModelError: if it is another library's, which is not installed or has no such network.
    """
    return config.unet if config.library_network is None else described(config.library_network)


def network_of(config: TrainConfig) -> Architecture:
    """Return what is known of the network of a recipe.

    Raises:
        ModelError: as `config_of`.
        ConfigError: if patches are not whole cells of its grid.
    """
    if config.library_network is None:
        return DescribedUNet(config.unet)
    network = described(config.library_network)
    if config.training.patch % network.stride:
        what = f"training.patch must be a multiple of the network's stride {network.stride}"
        raise ConfigError(explain(what, got=config.training.patch))
    return network


def margin_of_patches(config: TrainConfig) -> int:
    """Return the pixels around a patch that the network is given: its reach in valid form, none in 'same' form."""
    return network_of(config).margin if config.network.form == "valid" else 0
