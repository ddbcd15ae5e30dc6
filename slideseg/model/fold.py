"""From a trained U-Net to the one that runs: batch norm folded into the convolutions, channels-last weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from slideseg.model.unet import DoubleConv, UNet


def fold(net: UNet) -> UNet:
    """Turn ``net`` in place into its form for inference: eval mode, no batch norm, channels-last, no gradients."""
    net.eval().requires_grad_(requires_grad=False)
    for block in net.modules():
        if isinstance(block, DoubleConv):
            block.conv1, block.norm1 = _without_norm(block.conv1, block.norm1)
            block.conv2, block.norm2 = _without_norm(block.conv2, block.norm2)
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _without_norm(conv: nn.Conv2d, norm: nn.Module) -> tuple[nn.Conv2d, nn.Identity]:
    if isinstance(norm, nn.BatchNorm2d):
        conv = fuse_conv_bn_eval(conv, norm)
    return conv, nn.Identity()


class WholeImage(nn.Module):
    """A network in 'same' form for mirror-padded images of any size: the reference that tiles must equal.

    The network itself wants sides that are multiples of its stride. This one takes an image that was mirrored by ``margin``
    pixels on every side (`numpy.pad(mode="reflect")`) and completes its lower right to the next multiple as that mirror goes
    on, so the pixels of the image proper get the same logits as in a larger padded image.
    """

    def __init__(self, net: UNet, margin: int) -> None:
        super().__init__()
        self.net = net
        self.margin = margin

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return logits (N, K, H, W) of float32 images (N, C, H, W)."""
        height, width = x_NCHW.shape[-2:]
        for axis in (2, 3):
            x_NCHW = _complete(x_NCHW, axis, self.margin, self.net.config.stride)
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
