"""A network that runs on tiles as it is, with room around them that is cut away."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from slideseg.model.network.steady import Steady


def logits_of(found: Any) -> Any:
    """Return what a network gives, or the first of several things that it gives."""
    if isinstance(found, dict):
        found = tuple(found.values())
    return found[0] if isinstance(found, tuple | list) and found else found


class SameForm(nn.Module):
    """A network in 'same' form, whose output is as large as its input.

    What its zeros at a tile's edge reach lies in the margin, so the core has the numbers of the whole image, up to the order in
    which some layers' sums are rounded.
    """

    net: nn.Module
    """It."""

    def __init__(self, net: nn.Module, margin: int) -> None:
        """Take a network that turns (N, C, H, W) into (N, K, H, W), or gives that first of several tensors."""
        super().__init__()
        self.net, self.margin = net, margin

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return logits (N, K, H, W) of images (N, C, H, W) whose sides are multiples of the stride."""
        with Steady():
            return logits_of(self.net(x_NCHW))  # type: ignore[no-any-return]

    def forward_valid(self, x_NCHW: Tensor) -> Tensor:
        """Return logits of the core of images that are the core, on the grid of the stride, grown by the margin."""
        margin = self.margin
        return self(x_NCHW)[..., margin:-margin, margin:-margin]  # type: ignore[no-any-return]
