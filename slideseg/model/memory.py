"""How much memory a network needs for a tile: a walk through its valid form with a tally of what is alive.

Pure arithmetic, in values (not bytes) of one image; `prediction.choices.budget` makes a projection of it that a test measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.model import halo

if TYPE_CHECKING:
    from slideseg.model.config import UNetConfig


def weight_count(config: UNetConfig) -> int:
    """Return the number of weights of the folded network."""
    c_ins = (config.in_channels, *config.widths[:-1])
    total = sum(9 * a * b + 9 * b * b + 2 * b for a, b in zip(c_ins, config.widths, strict=True))
    for level in range(config.depth):
        width, out = config.base_channels << level, _out_width(config, level)
        total += 9 * 2 * width * width + 9 * width * out + width + out
        if config.upsampling == "conv":
            total += 4 * config.widths[level + 1] * width + width
    return total + config.base_channels * config.out_channels + config.out_channels


def peak_values(config: UNetConfig, core: int) -> int:
    """Return the most values alive at once while one core of ``core`` pixels a side is computed.

    Follows `UNet.forward_valid` line by line: a block's input lives while the block runs, skips live until they are joined,
    and joining holds the skip, the upsampled features and their copy.
    """
    margins = halo.margins(config.depth, config.upsampling)
    side = core + 2 * margins.reach
    alive = config.in_channels * side**2
    peak, skips = alive, 0
    channels = config.in_channels
    for width in config.widths[:-1]:
        peak = max(peak, skips + _block(channels, width, width, side))
        side -= 4
        skips += width * side**2
        side //= 2
        channels = width
        peak = max(peak, skips + width * side**2)
    bottom = config.widths[-1]
    peak = max(peak, skips + _block(channels, bottom, bottom, side))
    side, channels = side - 4, bottom
    for level in reversed(range(config.depth)):
        width, out = config.base_channels << level, _out_width(config, level)
        up = (width if config.upsampling == "conv" else channels) * (2 * side) ** 2
        joined_side = (core >> level) + 2 * margins.joined[level]
        joined = 2 * width * joined_side**2
        growing = 2 * up if config.upsampling == "conv" else 7 * up // 2  # bilinear: pairs of rows, then of columns, and copies
        peak = max(peak, skips + channels * side**2 + growing, skips + channels * side**2 + up + joined)
        skips -= width * ((core >> level) + 2 * margins.encoder[level]) ** 2
        peak = max(peak, skips + _block(2 * width, width, out, joined_side))
        side, channels = joined_side - 4, out
    return max(peak, (channels + 4 * config.out_channels) * side**2)


def _block(c_in: int, c_mid: int, c_out: int, side: int) -> int:
    """Values alive in a double convolution: its input, its middle and its output."""
    return c_in * side * side + c_mid * (side - 2) * (side - 2) + c_out * (side - 4) * (side - 4)


def _out_width(config: UNetConfig, level: int) -> int:
    width = config.base_channels << level
    return width if config.upsampling == "conv" or level == 0 else width // 2
