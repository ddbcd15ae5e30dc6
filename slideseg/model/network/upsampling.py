"""Upsampled features are never there: what the convolution after the upsampling makes of them is made of those below."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slideseg.model.network.conv import Conv, empty, zeros_around
from slideseg.model.network.unet import bilinear_twice


class UpConv(nn.Module):
    """What the first convolution of an expanding block makes of features that are up-convolved before: both in one.

    Upsampled row 2i + a is made of row i alone, by the kernel's row a. So the three upsampled rows that a row of the
    convolution sees come from two rows of the low resolution, and from which of them depends on the row being even or odd.
    """

    less_at_edges: Tensor

    def __init__(self, weight_OMhw: Tensor, up_IMhw: Tensor, bias_M: Tensor) -> None:
        super().__init__()
        weight, up, bias = weight_OMhw.double(), up_IMhw.double(), bias_M.double()
        places = [Conv(_folded(weight, up, a, b).float(), None, relu=False) for a, b in PLACES]
        self.places = nn.ModuleList(places)
        self.bias_O = torch.einsum("omyx,m->o", weight, bias)
        """What the bias of the up-convolution comes to in the convolution, in double precision."""
        at_edges_O33 = F.conv2d(bias[None, :, None, None].expand(1, -1, 3, 3), weight, padding=1)[0]
        self.register_buffer("less_at_edges", (at_edges_O33 - self.bias_O[:, None, None]).float())

    @staticmethod
    def offset(margin: int) -> int:
        """Return the first upsampled row, in rows above the core, of features with ``margin`` rows above it."""
        return 2 * margin

    def forward(self, low_NIHW: Tensor, rows: range, columns: range) -> Tensor:
        """Return some rows and columns of the convolution of all of the upsampled features, without the bias."""
        shape = (len(low_NIHW), self.bias_O.numel(), len(rows), len(columns))
        out = empty(shape, low_NIHW)
        for (a, b), place in zip(PLACES, self.places, strict=True):
            y, x = (a - rows.start) % 2, (b - columns.start) % 2
            seen = (_seen(rows[y::2]), _seen(columns[x::2]))
            out[..., y::2, x::2] = place(low_NIHW[..., seen[0], seen[1]])
        return out

    def same(self, low_NIHW: Tensor) -> Tensor:
        """Return all of it in 'same' form, without the bias that it has in the middle of the image."""
        height, width = (2 * side for side in low_NIHW.shape[-2:])
        rows, columns = ([0, *[1] * (side - 2), 2] for side in (height, width))
        out = self(zeros_around(low_NIHW), range(1, height + 1), range(1, width + 1))
        return out.add_(self.less_at_edges[:, rows][:, :, columns])  # type: ignore[no-any-return]


PLACES = tuple(product((0, 1), (0, 1)))
"""Row and column of a pixel in its cell, which is a pixel of half the resolution."""


def _folded(weight_OMhw: Tensor, up_IMhw: Tensor, a: int, b: int) -> Tensor:
    """Return the kernel (O, I, 2, 2) that stands for an up-convolution and the convolution after it, at pixels of one place."""
    folded = weight_OMhw.new_zeros(len(weight_OMhw), len(up_IMhw), 2, 2)
    for y, x in product(range(3), range(3)):
        (row, from_row), (column, from_column) = divmod(a + y, 2), divmod(b + x, 2)
        folded[:, :, row, column] += weight_OMhw[:, :, y, x] @ up_IMhw[:, :, from_row, from_column].T
    return folded


def _seen(rows: range) -> slice:
    """Return the rows of the low resolution that every other row of the convolution sees."""
    return slice(rows[0] // 2, rows[-1] // 2 + 2)


class Bilinear(nn.Module):
    """What the first convolution of an expanding block makes of features that are upsampled bilinearly before."""

    def __init__(self, weight_OIhw: Tensor, upsampling: str) -> None:
        super().__init__()
        self.conv = Conv(weight_OIhw, None, relu=False)
        self.bias_O = weight_OIhw.new_zeros(len(weight_OIhw)).double()
        self._upsampling = upsampling

    @staticmethod
    def offset(margin: int) -> int:
        """Return the first upsampled row, in rows above the core, of features with ``margin`` rows above it."""
        return 2 * margin - 1

    def forward(self, low_NIHW: Tensor, rows: range, columns: range) -> Tensor:
        """Return some rows and columns of the convolution of all of the upsampled features."""
        seen = [slice(side[0] // 2, (side[-1] + 2) // 2 + 2) for side in (rows, columns)]
        up_NIHW = bilinear_twice(low_NIHW[..., seen[0], seen[1]])
        y, x = rows.start % 2, columns.start % 2
        return self.conv(up_NIHW[..., y : y + len(rows) + 2, x : x + len(columns) + 2])  # type: ignore[no-any-return]

    def same(self, low_NIHW: Tensor) -> Tensor:
        """Return all of it in 'same' form."""
        if self._upsampling == "bilinear-corners":
            up_NIHW = F.interpolate(low_NIHW, scale_factor=2, mode="bilinear", align_corners=True)
        else:
            up_NIHW = bilinear_twice(F.pad(low_NIHW, (1, 1, 1, 1), mode="replicate"))[..., 1:-1, 1:-1]
        return self.conv(zeros_around(up_NIHW))  # type: ignore[no-any-return]
