"""MONAI's sliding window: windows overlap by a fourth and their logits are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai.inferers import SlidingWindowInferer
from plain import TILE, Plain, classes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def default(plain: Plain) -> Callable[[], np.ndarray]:
    """Windows of the usual size, all else as it comes."""
    inferer = SlidingWindowInferer(roi_size=(TILE, TILE))
    return lambda: classes_of(inferer(plain.x_NCHW, plain.net))


def best(plain: Plain) -> Callable[[], np.ndarray]:
    """Larger windows in the faster layout, that overlap less and are weighted where they meet."""
    inferer = SlidingWindowInferer(roi_size=(WINDOW, WINDOW), overlap=0.125, mode="gaussian")
    return lambda: classes_of(inferer(plain.x_NCHW, plain.net))


WINDOW = 576
"""Two a side of the picture, which overlap by an eighth."""
WAYS = {"default": default, "best": best}
