"""MONAI's sliding window: windows overlap by a fourth and their logits are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai.inferers import SlidingWindowInferer
from plain import TILE, Net, Plain, classes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor


def _inferer(way: str) -> SlidingWindowInferer:
    """Return windows of the usual size, all else as it comes; or larger ones, that overlap less and are weighted."""
    if way == "default":
        return SlidingWindowInferer(roi_size=(TILE, TILE))
    return SlidingWindowInferer(roi_size=(WINDOW, WINDOW), overlap=0.125, mode="gaussian")


def default(plain: Plain) -> Callable[[], np.ndarray]:
    """Windows of the usual size, all else as it comes."""
    return lambda: classes(plain, plain.x_NCHW, "default")


def best(plain: Plain) -> Callable[[], np.ndarray]:
    """Larger windows in the faster layout, that overlap less and are weighted where they meet."""
    return lambda: classes(plain, plain.x_NCHW, "best")


def classes(net: Net, x_NCHW: Tensor, way: str) -> np.ndarray:
    """Return the classes (y, x) of an image."""
    return classes_of(_inferer(way)(x_NCHW, net.net))


WINDOW = 576
"""Two a side of the picture, which overlap by an eighth."""
WAYS = {"default": default, "best": best}
