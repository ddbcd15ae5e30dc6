"""A network in windows whose probabilities are blended."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slideseg.model.network.probabilities import logits_of_probabilities, probabilities_of

if TYPE_CHECKING:
    from slideseg.model.windows.described import NetworkInWindows


class InWindows(nn.Module):
    """A network in windows; see `slideseg.model.windows.described.NetworkInWindows`."""

    def __init__(self, net: nn.Module, network: NetworkInWindows) -> None:
        """Take a network in 'same' form, and what is known of it in windows."""
        super().__init__()
        self.net, self._network = net, network

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return logits (N, K, H, W), in double precision, of images (N, C, H, W) whose sides are multiples of the stride."""
        return self.forward_valid(F.pad(x_NCHW, (self._network.margin,) * 4))

    def forward_valid(self, x_NCHW: Tensor) -> Tensor:
        """Return logits of the core of images that are the core, on the grid of the stride, grown by the margin."""
        return torch.cat([self._blended(x_1CHW) for x_1CHW in x_NCHW[:, None]])

    def _blended(self, x_1CHW: Tensor) -> Tensor:
        """Return the logits of one image: a network that looks at all of one may look at all of several, too."""
        network = self._network
        step, side = network.stride, network.window
        weights = blending(side, network.overlap).to(x_1CHW.device)
        rows, columns = (length - 2 * step for length in x_1CHW.shape[2:])
        total_1KHW = x_1CHW.new_zeros((1, network.out_channels, rows + side, columns + side), dtype=torch.float64)
        for y in range(0, rows + 1, step):
            for x in range(0, columns + 1, step):
                seen_1CHW = x_1CHW[..., y : y + side, x : x + side].contiguous(memory_format=torch.channels_last)
                found_1KHW = probabilities_of(self.net(seen_1CHW))
                total_1KHW[..., y : y + side, x : x + side] += found_1KHW * weights[:, None] * weights
        return logits_of_probabilities(total_1KHW[..., step : step + rows, step : step + columns].contiguous())

    def beside_one_pass(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities of a core of one stride grown by the margin: blended, and of one pass over all its windows."""
        step, picture = self._network.stride, self._network.picture
        seen_NCHW = x_NCHW[..., :picture, :picture].contiguous(memory_format=torch.channels_last)
        whole_NKHW = probabilities_of(self.net(seen_NCHW))[..., step : 2 * step, step : 2 * step]
        return probabilities_of(self.forward_valid(x_NCHW)), whole_NKHW


def blending(window: int, overlap: int) -> Tensor:
    """Return the share (window) that each pixel of a window has in what is blended; with the next window's it is one.

    It rises as the square of a sine does, so the first derivative has no step.
    """
    rising = torch.sin((torch.arange(overlap, dtype=torch.float64) + 0.5) * (math.pi / 2 / overlap)) ** 2
    return torch.cat([rising, torch.ones(window - 2 * overlap, dtype=torch.float64), 1 - rising])
