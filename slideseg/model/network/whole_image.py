"""The reference that tiles must equal: one pass over the whole mirror-padded image, whatever its size."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WholeImage(nn.Module):
    """A network in 'same' form for mirror-padded images of any size: the reference that tiles must equal.

    The network itself wants sides that are multiples of its stride. This one takes an image that was mirrored by ``margin``
    pixels on every side (`numpy.pad(mode="reflect")`) and completes its lower right to the next multiple as that mirror goes
    on, so the pixels of the image proper get the same logits as in a larger padded image.
    """

    def __init__(self, net: nn.Module, margin: int, stride: int) -> None:
        super().__init__()
        self.net = net
        self.margin, self.stride = margin, stride

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return logits (N, K, H, W) of float32 images (N, C, H, W)."""
        height, width = x_NCHW.shape[-2:]
        for axis in (2, 3):
            x_NCHW = _complete(x_NCHW, axis, self.margin, self.stride)
        x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
        return self.net(x_NCHW)[..., :height, :width]  # type: ignore[no-any-return]


def _complete(x: Tensor, axis: int, margin: int, stride: int) -> Tensor:
    """Extend ``axis`` to a multiple of ``stride`` as the mirror of its inner part, without ``margin``, goes on."""
    size = x.shape[axis]
    missing = -size % stride
    if missing == 0:
        return x
    inner = size - 2 * margin
    if inner < 1:  # not mirrored by the margin: any completion is as good as another
        return torch.cat([x, x.narrow(axis, size - 1, 1).repeat_interleave(missing, axis)], axis)
    period = max(1, 2 * (inner - 1))
    source = torch.arange(size, size + missing) - margin
    source = source % period
    source = torch.where(source < inner, source, period - source) + margin
    return torch.cat([x, x.index_select(axis, source.to(x.device))], axis)
