"""Several networks and views of an image as one network: logits of their mean probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slideseg.model.network.probabilities import logits_of_probabilities, probabilities_of
from slideseg.model.together.smoothing import smoothed
from slideseg.model.together.views import VIEWS, View, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.architecture import Architecture
    from slideseg.model.together.described import NetworksTogether


@dataclass(frozen=True, slots=True)
class Change:
    """From what the first network wants to see to what another one does, channel by channel."""

    factor: tuple[float, ...]
    """Each channel is multiplied by it."""
    offset: tuple[float, ...]
    """Added afterwards."""

    def of(self, x_NCHW: Tensor) -> Tensor:
        """Return the changed image."""
        factor, offset = (x_NCHW.new_tensor(values)[:, None, None] for values in (self.factor, self.offset))
        return x_NCHW * factor + offset


class Together(nn.Module):
    """Networks of the same channels; see `slideseg.model.together.described.NetworksTogether` for its margins."""

    def __init__(self, nets: Sequence[nn.Module], changes: Sequence[Change | None], network: NetworksTogether) -> None:
        """Take networks, what each wants to see otherwise than the first, and what is known of them together."""
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self._changes, self._network = tuple(changes), network

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return logits (N, K, H, W), in double precision, of images (N, C, H, W) whose sides are multiples of the stride."""
        p_NKHW = self._mean(x_NCHW, None)
        use = self._network.use
        around_NKHW = F.pad(p_NKHW, (use.smoothing_radius,) * 4, mode="replicate")
        return logits_of_probabilities(smoothed(around_NKHW, use.smooth, use.smoothing_radius))

    def forward_valid(self, x_NCHW: Tensor) -> Tensor:
        """Return logits of the core of images that are the core, on the grid of the stride, grown by the margin."""
        use, rim = self._network.use, self._network.smoothing_margin
        p_NKHW = self._mean(x_NCHW, self._network.margin - rim)
        return logits_of_probabilities(smoothed(without(p_NKHW, rim - use.smoothing_radius), use.smooth, use.smoothing_radius))

    def _mean(self, x_NCHW: Tensor, margin: int | None) -> Tensor:
        """Return the mean probabilities of an image without ``margin`` pixels on each side; None for all of it."""
        total: Tensor | None = None
        for net, change, part in zip(self.nets, self._changes, self._network.parts, strict=True):
            changed_NCHW = x_NCHW if change is None else change.of(x_NCHW)
            for view in VIEWS[self._network.use.tta]:
                found = self._seen(net, part, view, changed_NCHW, margin)
                total = found.clone(memory_format=torch.contiguous_format) if total is None else total.add_(found)
        assert total is not None  # there is a network, and a view
        return total.div_(len(self.nets) * len(VIEWS[self._network.use.tta]))

    def _seen(self, net: nn.Module, part: Architecture, view: View, x_NCHW: Tensor, margin: int | None) -> Tensor:
        """Return the probabilities of a network that sees an image in a view, where they belong in the image."""
        if margin is None:
            return view.back(probabilities_of(net(view.see(x_NCHW))))
        x_NCHW = without(x_NCHW, margin - self._network.margin_of(part, view.scale))
        if view.scale == 1:
            return view.back(probabilities_of(net.forward_valid(view.see(x_NCHW))))  # type: ignore[operator]
        rim = self._network.rim(part, view.scale)
        around = int(self._network.margin_of(part, view.scale) * view.scale) - rim - part.margin
        found = probabilities_of(net.forward_valid(without(view.see(x_NCHW), around)))  # type: ignore[operator]
        return without(view.back(found), int(rim / view.scale))
