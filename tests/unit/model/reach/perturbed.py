"""Which pixels change a network's output, by trying: what probes and arithmetic are held to."""

from __future__ import annotations

import torch
from torch import nn


def changes(net: nn.Module, stride: int, distance: int, seed: int = 0) -> bool:
    """Tell whether pixels so far from an aligned cell, on any side, change its logits, by whatever values they have."""
    generator = torch.Generator().manual_seed(seed)
    start = (distance // stride + 2) * stride
    side = 2 * start + stride
    image = torch.rand((1, 1, side, side), generator=generator, dtype=torch.float64)
    cell = (..., slice(start, start + stride), slice(start, start + stride))
    inside = torch.zeros((side, side), dtype=torch.bool)
    near = slice(start - distance + 1, start + stride + distance - 1)
    inside[near, near] = True
    with torch.inference_mode():
        quiet = net(image)[cell]
        return any(
            not torch.allclose(net(torch.where(inside, image, value))[cell], quiet, 1e-12, 0) for value in (1e4, -1e4, 0.0)
        )
