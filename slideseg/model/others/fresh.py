"""Another library's network that has learnt nothing yet, and what is known of it before it learns."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from slideseg.model.others.describe import describe
from slideseg.model.others.libraries import build

if TYPE_CHECKING:
    from torch import nn

    from slideseg.model.others.described import LibraryNetwork, OtherNetwork


def fresh(network: LibraryNetwork) -> nn.Module:
    """Return a network with the weights that its library draws.

    Raises:
        ModelError: if the library is not installed, has no such class, or that takes other arguments.
    """
    return build(network.library, network.name, json.loads(network.arguments))


@lru_cache(maxsize=4)
def described(network: LibraryNetwork) -> OtherNetwork:
    """Return what is found out of a network; what it learns changes nothing of that.

    Raises:
        ModelError: as `fresh`, or if it can't be tiled at all.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        arguments = json.loads(network.arguments)
        return describe(fresh(network), network.channels, network.library, network.name, arguments)
