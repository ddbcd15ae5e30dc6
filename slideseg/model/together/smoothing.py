"""Probabilities smoothed by a Gaussian: sums of shifted images in one order, so that tiles have the whole image's bits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def smoothed(p_NKHW: Tensor, sigma: float, reach: int) -> Tensor:
    """Return probabilities without the outermost ``reach`` pixels, each the weighted mean of what is so near to it."""
    if not reach:
        return p_NKHW
    raw = [math.exp(-0.5 * (place / sigma) ** 2) for place in range(-reach, reach + 1)]
    weights = [weight / math.fsum(raw) for weight in raw]
    for axis in (2, 3):
        length = p_NKHW.shape[axis] - 2 * reach
        found = p_NKHW.narrow(axis, 0, length) * weights[0]
        for place, weight in enumerate(weights[1:], 1):
            found.add_(p_NKHW.narrow(axis, place, length), alpha=weight)
        p_NKHW = found
    return p_NKHW
