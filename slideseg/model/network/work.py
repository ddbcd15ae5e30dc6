"""How much arithmetic a network needs: multiplications of its convolutions, each of which comes with an addition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.model.network import halo
from slideseg.model.network.memory import rows_at_once

if TYPE_CHECKING:
    from slideseg.model.config import UNetConfig


def ideal_work(config: UNetConfig) -> float:
    """Return the multiplications a pixel of one pass over a large image in 'same' form, layer by layer as they are written."""
    total = float(config.base_channels * config.out_channels)
    c_in = config.in_channels
    for level, width in enumerate(config.widths):
        total += (9 * c_in * width + 9 * width * width) / 4**level
        c_in = width
    for level in range(config.depth):
        width, below = config.widths[level], config.widths[level + 1]
        up = below * width if config.upsampling == "conv" else 0
        total += (up + 9 * 2 * width * width + 9 * width * config.out_width(level)) / 4**level
    return total


def work_of_tile(config: UNetConfig, core: int) -> int:
    """Return the multiplications of one tile of ``core`` pixels a side, as `Engine.forward_valid` does it on a CPU.

    The rows of a first convolution that two strips share are computed for both.
    """
    margins = halo.margins(config.depth, config.upsampling)
    side, c_in, total = core + 2 * margins.reach, config.in_channels, 0
    for level, width in enumerate(config.widths):
        side -= 4
        total += _first(level, side) * 9 * c_in * width + side**2 * 9 * width**2
        side, c_in = side // 2, width
    for level in range(config.depth):
        width, below = config.widths[level], config.widths[level + 1]
        side = (core >> level) + 2 * margins.joined[level] - 4
        upsampled = 4 * below * width if config.upsampling == "conv" else 9 * width * width
        total += _first(level, side) * (9 * width * width + upsampled) + side**2 * 9 * width * config.out_width(level)
    return total + core**2 * config.base_channels * config.out_channels


def _first(level: int, side: int) -> int:
    """Return the pixels of a block's first convolution; its second one gives ``side`` pixels a side."""
    strips = -(-side // rows_at_once(level, side))
    return (side + 2 * strips) * (side + 2)
