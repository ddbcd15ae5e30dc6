"""Classes of a box, put together where the network runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from slideseg.space.box import Box
    from slideseg.space.grid import Tile


class Sheet:
    """Bytes (c, y, x) of a box, tile by tile."""

    def __init__(self, channels: int, box: Box, device: str) -> None:
        self._box = box
        self.whole = torch.empty((channels, *box.shape), dtype=torch.uint8, device=device)
        """All of it."""

    def lay(self, tile: Tile, found_CHW: Tensor) -> None:
        """Put a tile's core where it belongs, without what leaves the box."""
        inside = tile.write_box.intersect(self._box)
        source, target = inside.relative_to(tile.write_box).slices, inside.relative_to(self._box).slices
        self.whole[:, *target] = found_CHW[:, *source]
