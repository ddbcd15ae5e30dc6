"""How much memory a network needs for a tile: a walk through its valid form with a tally of what is alive.

Pure arithmetic, in values (not bytes) of one image; `prediction.choices.budget` makes a projection of it that a test measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.model.network import halo

if TYPE_CHECKING:
    from slideseg.model.config import UNetConfig

STRIP_ROWS = 128
"""Rows of a strip: few enough to be little memory, and many enough that the 2 that are computed twice do not count."""
LEVELS_IN_STRIPS = 2
"""Levels whose features are large."""


def rows_at_once(level: int, height: int) -> int:
    """Return how many rows of a level's features, of ``height``, a CPU computes at a time."""
    return min(STRIP_ROWS, height) if level < LEVELS_IN_STRIPS else height


def weight_count(config: UNetConfig) -> int:
    """Return the number of weights of the network as it runs."""
    c_ins = (config.in_channels, *config.widths[:-1])
    total = sum(9 * a * b + 9 * b * b + 2 * b for a, b in zip(c_ins, config.widths, strict=True))
    for level in range(config.depth):
        width, out = config.widths[level], config.out_width(level)
        upsampled = 16 * config.widths[level + 1] if config.upsampling == "conv" else 9 * width
        total += width * (upsampled + 9 * width + 1) + out * (9 * width + 1)
    return total + config.base_channels * config.out_channels + config.out_channels


def peak_values(config: UNetConfig, core: int, *, strips: bool = True) -> int:
    """Return the most values alive at once while one core of ``core`` pixels a side is computed; in strips as on a CPU.

    Follows `Engine.forward_valid` line by line, or `Engine.forward` for a network that can't be tiled exactly. What a level is
    given lives until it is done, as do the skips until they are joined, and what it gives lives from its first strip on.
    """
    if not config.exact:
        return _peak_of_same(config, core + 2 * config.margin)
    margins = halo.margins(config.depth, config.upsampling)
    side, channels = core + 2 * margins.reach, config.in_channels
    image = channels * side**2
    peak, skips = image, 0
    for level, width in enumerate(config.widths[:-1]):
        out = side - 4
        rows = rows_at_once(level, out) if strips else out
        given = 0 if level == 0 else channels * side**2
        skip, pooled = width * ((core >> level) + 2 * margins.joined[level]) ** 2, width * (out // 2) ** 2
        gives = skip + pooled if rows < out else 0
        convolved = channels * (rows + 4) * side + width * (rows + 2) * (side - 2) + width * rows * out
        peak = max(peak, image + skips + given + gives + convolved, image + skips + given + skip + pooled + width * rows * out)
        skips += skip
        side, channels = out // 2, width
    bottom = config.widths[-1]
    peak = max(peak, image + skips + _block(channels, bottom, side))
    side, channels = side - 4, bottom
    for level in reversed(range(config.depth)):
        width, out = config.widths[level], (core >> level) + 2 * margins.joined[level] - 4
        rows, below = rows_at_once(level, out) if strips else out, channels * side**2
        channels = config.out_width(level)
        gives = (channels if level else config.out_channels) * out**2 if rows < out else 0
        joined = width * (rows + 2) * (out + 2)
        strip = max(
            joined + _upsampled(config, level, rows, out), joined + width * (rows + 4) * (out + 4) + channels * rows * out
        )
        peak = max(peak, image + skips + below + gives + strip)
        skips -= width * (out + 4) ** 2
        side = out
    return max(peak, image + 5 * config.out_channels * side**2)


def _peak_of_same(config: UNetConfig, side: int) -> int:
    """Return the same for an image of ``side`` pixels in 'same' form: each convolution sees a copy with zeros around it."""
    image = config.in_channels * side**2
    peak, skips, channels = image, 0, config.in_channels
    for level, width in enumerate(config.widths):
        given = 0 if level == 0 else channels * side**2
        peak = max(peak, image + skips + given + (max(channels, width) + width) * (side + 2) ** 2)
        channels = width
        if level < config.depth:
            skips += width * side**2
            peak, side = max(peak, image + skips + 3 * width * side**2 // 4), side // 2
    for level in reversed(range(config.depth)):
        width, below = config.widths[level], channels * side**2
        side, channels = 2 * side, config.out_width(level)
        peak = max(peak, image + skips + below + 3 * width * (side + 2) ** 2)  # upsampled, with zeros around, convolved
        skips -= width * side**2
    return max(peak, image + 5 * config.out_channels * side**2)


def _upsampled(config: UNetConfig, level: int, rows: int, columns: int) -> int:
    """Values alive besides the sums while the upsampled features are convolved."""
    if config.upsampling == "conv":
        return (
            config.widths[level] * (rows + 4) * (columns + 4) // 2
        )  # a place's quarter, and what it sees of the features below
    wide = config.widths[level] * (rows + 6) * (columns + 6)
    return 7 * wide // 2  # pairs of rows, then of columns, and copies


def _block(c_in: int, c_out: int, side: int) -> int:
    """Values alive in a double convolution: its input, its middle and its output."""
    return c_in * side**2 + c_out * (side - 2) ** 2 + c_out * (side - 4) ** 2
