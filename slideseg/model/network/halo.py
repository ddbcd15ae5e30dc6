"""How far a U-Net sees: stride, reach and halo by arithmetic on its architecture.

All numbers are whole pixels. A *core* is a box whose corners lie on the pooling grid of the whole image (multiples of the
stride, 2**depth). Because it does, the pixels that a network needs around it are the same on all four sides and do not
depend on the core's size: they are walked backwards from the output, layer by layer. Each pair of 3x3 convolutions widens
what is needed by 2, pooling doubles it, an upsampling about halves it.

Checked against the network itself (``model/reach/probe.py``) and against Majurski & Bajcsy 2021 (J. Res. NIST 126:126009),
who derive the same radius for a U-Net with up-convolutions (94, rounded up to 96 on the grid of 16, for 4 poolings).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Upsampling = Literal["conv", "bilinear", "bilinear-corners"]
"""``conv``: 2x2 up-convolution. ``bilinear``: fixed weights, align_corners=False. ``bilinear-corners``: align_corners=True,
which depends on the size of the image it is given and so can't be tiled exactly."""


@dataclass(frozen=True, slots=True)
class Margins:
    """Pixels needed around a core at every stage of the valid form, each at its own level's resolution."""

    reach: int
    """Around the core in the network's input: the receptive field of an aligned core, exactly."""
    encoder: tuple[int, ...]
    """Around the output of each contracting block, level 0 first, the bottom block last."""
    joined: tuple[int, ...]
    """Around the joined skip and upsampled features, level 0 first."""


def stride(depth: int) -> int:
    """Return the side of the pooling grid's cell: 2**depth pixels."""
    return 1 << depth


def margins(depth: int, upsampling: Upsampling) -> Margins:
    """Walk back from an aligned core of the output to the input it needs.

    >>> [margins(depth, "conv").reach for depth in (1, 2, 3, 4)]
    [8, 22, 46, 94]
    >>> [margins(depth, "bilinear").reach for depth in (1, 2, 3, 4)]
    [10, 26, 54, 110]
    """
    joined = []
    needed = 0
    for _ in range(depth):
        joined.append(needed + 2)
        needed = _below(needed + 2, upsampling)
    encoder = [needed]
    for _ in range(depth):
        encoder.insert(0, 2 * (encoder[0] + 2))
    return Margins(encoder[0] + 2, tuple(encoder), tuple(joined))


def _below(margin: int, upsampling: Upsampling) -> int:
    """Return the margin needed one level down for ``margin`` upsampled pixels around an aligned core."""
    return -(-margin // 2) if upsampling == "conv" else margin // 2 + 1


def halo(depth: int, upsampling: Upsampling) -> int:
    """Return the reach rounded up to the grid, so that a tile grown by it starts on the grid.

    >>> [halo(depth, "conv") for depth in (1, 2, 3, 4)], halo(4, "bilinear")
    ([8, 24, 48, 96], 112)
    """
    cell = stride(depth)
    return -(-margins(depth, upsampling).reach // cell) * cell
