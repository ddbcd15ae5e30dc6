"""Images in another size, by weights that are the same in each cell.

Computed from coordinates, as PyTorch does, their rounding would depend on where a pixel lies in its tile.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

ROWS, COLUMNS = 2, 3
"""Axes of an image (N, C, H, W)."""


def resized(x_NCHW: Tensor, scale: Fraction) -> Tensor:
    """Return an image in another size, by linear interpolation between pixels' centres; outermost ones are repeated.

    Its sides are multiples of the scale's denominator, and become the same multiples of its numerator.
    """
    if scale == 1:
        return x_NCHW
    for axis in (ROWS, COLUMNS):
        x_NCHW = _resized_along(x_NCHW, scale, axis)
    return x_NCHW


def _resized_along(x_NCHW: Tensor, scale: Fraction, axis: int) -> Tensor:
    many, few = scale.numerator, scale.denominator
    x = x_NCHW.movedim(axis, -1)
    x = torch.cat([x[..., :1], x, x[..., -1:]], -1)
    cells = x.unfold(-1, few + 2, few)
    weights = _weights(scale).to(x)
    parts = [_weighted(cells, weights[place]) for place in range(many)]
    return torch.stack(parts, -1).flatten(-2).movedim(-1, axis)


def _weighted(cells: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of the two pixels of each cell that have a weight, in one order everywhere."""
    first, *more = (int(place) for place in weights.nonzero())
    found = cells[..., first] * weights[first]
    for place in more:
        found = found + cells[..., place] * weights[place]
    return found


def _weights(scale: Fraction) -> Tensor:
    """Return what each of a cell's new pixels (rows) is made of, of its old ones and one more on both sides (columns)."""
    many, few = scale.numerator, scale.denominator
    weights = torch.zeros((many, few + 2), dtype=torch.float64)
    for place in range(many):
        at = Fraction(2 * place + 1, 2) / scale + Fraction(1, 2)  # among the columns: the first is the neighbour's
        first = int(at)
        weights[place, first] = float(1 - (at - first))
        if at != first:
            weights[place, first + 1] = float(at - first)
    return weights
