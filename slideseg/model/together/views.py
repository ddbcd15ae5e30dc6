"""Views of an image that a network may be shown one after the other: flipped, turned, of another size.

Each is exact on tiles: a tile's corners lie on the grid of the stride, and so do those of its view, because a flip turns
corners into corners and sizes change by whole cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from slideseg.model.network.resized import COLUMNS, ROWS, resized

if TYPE_CHECKING:
    from slideseg.model.together.use import Tta


@dataclass(frozen=True, slots=True)
class View:
    """A way to see an image (N, C, H, W)."""

    turned: bool = False
    """Whether rows become columns."""
    flipped: tuple[int, ...] = ()
    """Axes that are turned round afterwards."""
    scale: Fraction = Fraction(1)
    """Its size, as a share of the image's."""

    def see(self, x_NCHW: Tensor) -> Tensor:
        """Return what is seen of an image; its sides are multiples of the scale's denominator."""
        x_NCHW = x_NCHW.transpose(ROWS, COLUMNS) if self.turned else x_NCHW
        x_NCHW = x_NCHW.flip(self.flipped) if self.flipped else x_NCHW
        return resized(x_NCHW, self.scale).contiguous(memory_format=torch.channels_last)

    def back(self, seen_NKHW: Tensor) -> Tensor:
        """Return what was found in the view where it belongs in the image."""
        found_NKHW = resized(seen_NKHW, 1 / self.scale)
        found_NKHW = found_NKHW.flip(self.flipped) if self.flipped else found_NKHW
        return found_NKHW.transpose(ROWS, COLUMNS) if self.turned else found_NKHW


FLIPS = tuple(View(flipped=axes) for axes in ((), (ROWS,), (COLUMNS,), (ROWS, COLUMNS)))
VIEWS: dict[Tta, tuple[View, ...]] = {
    "none": (View(),),
    "flips": FLIPS,
    "d4": (*FLIPS, *(View(turned=True, flipped=view.flipped) for view in FLIPS)),
    "scales": (View(), View(scale=Fraction(3, 4)), View(scale=Fraction(5, 4))),
}
"""What each augmentation shows."""


def without(x_NCHW: Tensor, margin: int) -> Tensor:
    """Return an image without ``margin`` pixels on each side; with so many zeros more where it is negative."""
    return F.pad(x_NCHW, (-margin,) * 4)
