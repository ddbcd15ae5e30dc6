"""Turn stored pixels upright, by the TIFF orientation 1 to 8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.space.box import Box

if TYPE_CHECKING:
    import numpy as np


def orientation_of(page: Any) -> int:
    """Return the orientation of a tifffile page; 1, upright, where it names none that there is."""
    tag = page.tags.get(274)
    value = 1 if tag is None else int(tag.value)
    return value if 1 <= value <= 8 else 1


def stored_box(box: Box, stored: tuple[int, int], orientation: int) -> Box:
    """Return where ``box`` of the upright image lies in the stored one."""
    y0, x0, y1, x1 = (box.y0, box.x0, box.y1, box.x1) if orientation < 5 else (box.x0, box.y0, box.x1, box.y1)
    if orientation in {3, 4, 6, 7}:
        y0, y1 = stored[0] - y1, stored[0] - y0
    if orientation in {2, 3, 7, 8}:
        x0, x1 = stored[1] - x1, stored[1] - x0
    return Box(y0, x0, y1, x1)


def upright_box(box: Box, stored: tuple[int, int], orientation: int) -> Box:
    """Return where ``box`` of the stored image lies in the upright one: what `stored_box` undoes."""
    y0, x0, y1, x1 = box.y0, box.x0, box.y1, box.x1
    if orientation in {3, 4, 6, 7}:
        y0, y1 = stored[0] - y1, stored[0] - y0
    if orientation in {2, 3, 7, 8}:
        x0, x1 = stored[1] - x1, stored[1] - x0
    return Box(y0, x0, y1, x1) if orientation < 5 else Box(x0, y0, x1, y1)


def turn(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Return stored pixels (y, x, c) upright."""
    if orientation in {3, 4, 6, 7}:
        stored = stored[::-1]
    if orientation in {2, 3, 7, 8}:
        stored = stored[:, ::-1]
    return stored.swapaxes(0, 1) if orientation > 4 else stored
