"""The network of a recipe before it has learnt anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from slideseg.model.network.same_form import SameForm
from slideseg.model.network.unet import UNet
from slideseg.model.others.fresh import fresh
from slideseg.training.samples.seen import network_of

if TYPE_CHECKING:
    from slideseg.training.recipe.schema import TrainConfig

Learning = UNet | SameForm
"""A network that learns: `forward` sees a patch alone, `forward_valid` what is around it, too."""


def new_network(config: TrainConfig) -> Learning:
    """Return the network of a recipe, with weights as they are drawn.

    Raises:
        ModelError: if it is another library's, which is not installed or has no such network.
    """
    if config.library_network is None:
        return UNet(config.unet)
    return SameForm(fresh(config.library_network), network_of(config).margin)


def bare(net: Learning) -> nn.Module:
    """Return a network under whose names its weights are kept."""
    return net if isinstance(net, UNet) else net.net


def has_batch_norm(net: nn.Module) -> bool:
    """Tell whether statistics of batches are a part of a network."""
    return any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
