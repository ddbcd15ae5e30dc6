"""Find out about a network of somebody else's all that it takes to plan with it and to tile it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from slideseg.errors import ModelError, explain, one_line
from slideseg.model.network.same_form import logits_of
from slideseg.model.others.cost import measure_cost
from slideseg.model.others.described import OtherNetwork
from slideseg.model.reach.probe import ROUNDING, largest_difference, probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from slideseg.model.others.described import Cost
    from slideseg.model.reach.probe import Reach

TRIED = 128
"""Pixels a side of the image that is tried first."""
UNSEEN = "something that depends on the image's values or size"
"""What is said of a network whose tiles differ though nothing was found that makes them."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How things are found out of a network."""

    probe: Callable[[nn.Module, int], Reach]
    """How far it sees, given the image's channels."""
    cost: Callable[[nn.Module, int, int], Cost]
    """What it costs, given these and its stride."""


OF_PYTORCH = Ways(probe, measure_cost)
"""Of networks whose calls are PyTorch's."""


def describe(
    net: nn.Module, channels: int, library: str, name: str, arguments: dict[str, Any], ways: Ways = OF_PYTORCH
) -> OtherNetwork:
    """Return what is found out of a network with its weights, which is left in evaluation mode.

    Args:
        net: turns float32 (1, C, H, W) into logits (1, K, H, W), or gives them first of several tensors.
        channels: C.
        library: whose layers it has.
        name: its class.
        arguments: what the class was made with.
        ways: how it is found out.

    Raises:
        ModelError: if it does something else, gives no numbers, or can't be tiled at all.
    """
    logits = _tried(net.eval(), channels, f"{library}'s {name}")
    reach = ways.probe(net, channels)
    obstacles = {str(obstacle): obstacle.curable for obstacle in reach.obstacles}
    if reach.exact and not largest_difference(net, reach, channels) <= ROUNDING:
        obstacles = {UNSEEN: False}
    return OtherNetwork(
        library=library,
        name=name,
        arguments=arguments,
        in_channels=channels,
        out_channels=logits.shape[1],
        stride=reach.stride,
        reach=reach.margin,
        obstacles=tuple(obstacles),
        incurable=tuple(obstacle for obstacle, curable in obstacles.items() if not curable),
        places=reach.places,
        cost=ways.cost(net, channels, reach.stride),
    )


def _tried(net: nn.Module, channels: int, what: str) -> Tensor:
    """Return the logits of a small image.

    Raises:
        ModelError: if there are none.
    """
    image = torch.randn((1, channels, TRIED, TRIED), generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            logits: Tensor = logits_of(net(image))
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        got = one_line(f"{type(error).__name__}: {error}")
        raise ModelError(explain(f"{what} can't be run on {channels} channels of {TRIED} pixels", got=got)) from error
    if (form := _form(logits))[:1] + form[2:] != (1, TRIED, TRIED):
        raise ModelError(
            explain(
                f"{what} gives no logits of every pixel", got=form or type(logits).__name__, want=f"(1, K, {TRIED}, {TRIED})"
            )
        )
    if not (logits.dtype.is_floating_point and bool(torch.isfinite(logits).all())):
        raise ModelError(explain(f"{what} gives logits that are no numbers", got=logits.dtype, try_="its weights once more"))
    return logits


def _form(logits: object) -> tuple[int, ...]:
    return tuple(logits.shape) if isinstance(logits, torch.Tensor) else ()
