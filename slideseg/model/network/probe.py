"""Measure how far a network sees by disturbing pixels: the check on `slideseg.model.network.halo`'s arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from slideseg.model.network.unet import UNet

if TYPE_CHECKING:
    from slideseg.model.config import UNetConfig

DISTURBANCE = 1e4
"""Far above every feature, so that it wins every max-pooling it meets."""


def changes_core(config: UNetConfig, distance: int) -> bool:
    """Tell whether a pixel ``distance`` pixels above or left of an aligned core changes the core's logits.

    How far a network sees depends on its depth and upsampling, not on its width or weights, so a narrow network with positive
    weights stands in for it: no ReLU cuts the disturbance off and no two paths cancel. The 'same' form is asked, on an image
    large enough that its zero padding is out of sight.
    """
    net = _positive(replace(config, in_channels=1, out_channels=1, base_channels=2, batch_norm=False, dropout=0.0))
    side, start = config.stride, -(-2 * config.halo // config.stride) * config.stride
    image_NCHW = torch.rand((1, 1, 2 * start + side, 2 * start + side), generator=torch.Generator().manual_seed(0))
    core = (..., slice(start, start + side), slice(start, start + side))
    with torch.inference_mode():
        quiet = net(image_NCHW)[core]
        for y, x in ((start - distance, start), (start, start - distance)):
            disturbed_NCHW = image_NCHW.clone()
            disturbed_NCHW[0, 0, y, x] += DISTURBANCE
            if not torch.equal(net(disturbed_NCHW)[core], quiet):
                return True
    return False


def probed_reach(config: UNetConfig) -> int:
    """Return the largest distance at which a pixel changes an aligned core, by trying, from the halo inwards."""
    outside = config.halo + config.stride
    return next(distance for distance in range(outside, 0, -1) if changes_core(config, distance))


def _positive(config: UNetConfig) -> UNet:
    net = UNet(config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
            else:
                fan_in = weight[0].numel()
                weight.copy_((0.5 + torch.rand(weight.shape, generator=generator)) / fan_in)
    return net
