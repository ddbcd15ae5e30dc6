"""The U-Net in whole numbers of 8 bits, on processors that have instructions for them. Approximate, and still tiled exactly.

Every channel of every layer has a range, found by trying on pixels like those to come (`ranges`), and what is stored of a value
is 255 times its part of the range, rounded. A ReLU and a maximum scale with what they are given, so the ranges are put into the
kernels: a convolution's outputs are divided by theirs, its inputs multiplied by theirs. Then there is nothing to scale between
layers, and channels that differ much don't share a range, as they do where each layer has one (the cross-layer equalisation of
Nagel et al. 2019, arXiv:1906.04721, section 4.1).

Sums of whole numbers are exact in any order, so tiles have the bits of the whole image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slideseg.model.network.blocks import Blocks
from slideseg.model.network.conv import Conv, empty, without_norm, zeros_around
from slideseg.model.network.unet import bilinear_twice
from slideseg.model.network.upsampling import PLACES

if TYPE_CHECKING:
    from slideseg.model.network.ranges import BlockRanges, Channels, Ranges
    from slideseg.model.network.unet import DoubleConv, UNet

MOST, MOST_OF_WEIGHTS = 255.0, 127.0
"""The largest number that is stored of a feature, and of a weight."""
USUAL = (128, 128)
"""Sides of features for which weights are laid out; for others it may be done anew each time."""


class Int8Conv(nn.Module):
    """A convolution of whole numbers with stride 1 and no padding; what follows is in the units of its bias."""

    def __init__(self, weight_OIHW: Tensor, bias_O: Tensor, *, gives: torch.dtype = torch.uint8) -> None:
        """Take weight and bias; of ``uint8`` what is below 0 becomes 0, which is a ReLU, and what is above 255 is 255."""
        super().__init__()
        scale_O = weight_OIHW.abs().amax((1, 2, 3)).clamp_min(torch.finfo(torch.float32).tiny) / MOST_OF_WEIGHTS
        usual = [1, weight_OIHW.shape[1], *USUAL]
        whole_OIHW = _rounded(weight_OIHW / scale_O[:, None, None, None])
        self._packed = torch.ops.onednn.qconv_prepack(whole_OIHW, scale_O, 1.0, 0, [1, 1], [0, 0], [1, 1], 1, usual)
        self._scale_O, self._zero_O = scale_O, torch.zeros(len(scale_O), dtype=torch.int8)
        self._bias_O, self._gives = bias_O.float(), gives

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the features of images (N, I, H, W) of uint8."""
        return torch.ops.onednn.qconv2d_pointwise(  # type: ignore[no-any-return]
            x_NCHW, 1.0, 0, self._packed, self._scale_O, self._zero_O, self._bias_O,
            [1, 1], [0, 0], [1, 1], 1, 1.0, 0, self._gives, "none", [], "",
        )  # fmt: skip


class FirstConv(nn.Module):
    """The first convolution: of the image, which is no whole numbers, to features that are."""

    def __init__(self, weight_OIHW: Tensor, bias_O: Tensor) -> None:
        super().__init__()
        self._conv = Conv(weight_OIHW.float(), (bias_O + 0.5).float())

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the features, rounded."""
        return self._conv(x_NCHW).clamp_(max=MOST).to(torch.uint8)  # type: ignore[no-any-return]


class Int8Contracting(nn.Module):
    """A block of the contracting path."""

    def __init__(self, block: DoubleConv, seen: Channels | None, ranges: BlockRanges) -> None:
        """Take the block, and the ranges of its input (None: that is the image) and of its features."""
        super().__init__()
        weight, bias = without_norm(block.conv1, block.norm1)
        if seen is None:
            stored_O = _stored(ranges.middle)
            self.conv1: nn.Module = FirstConv(weight * stored_O[:, None, None, None], bias * stored_O)
        else:
            self.conv1 = _scaled(weight, bias, _stored(seen), _stored(ranges.middle))
        self.conv2 = _second(block, ranges)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the block's features, 2 pixels less on every side."""
        return self.conv2(self.conv1(x_NCHW))  # type: ignore[no-any-return]

    def same(self, x_NCHW: Tensor) -> Tensor:
        """Return the block's features in 'same' form."""
        return self.conv2(zeros_around(self.conv1(zeros_around(x_NCHW))))  # type: ignore[no-any-return]


class Int8UpConv(nn.Module):
    """An up-convolution. Its features may be below 0: what is stored of them begins at their lowest."""

    def __init__(self, up: nn.ConvTranspose2d, seen: Channels, span: tuple[Channels, Channels]) -> None:
        super().__init__()
        lowest_M, stored_M = torch.tensor(span[0]), _stored_of_span(span)
        weight_IMhw = up.weight.detach() / _stored(seen)[:, None, None, None] * stored_M[:, None, None]
        bias_M = (up.bias.detach() - lowest_M) * stored_M  # type: ignore[union-attr]
        self.conv = Int8Conv(weight_IMhw.permute(2, 3, 1, 0).flatten(0, 2)[..., None, None], bias_M.repeat(len(PLACES)))
        self.zero_M = (-lowest_M * stored_M).round().clamp(0, MOST).to(torch.uint8)
        """What is stored of 0."""

    @staticmethod
    def offset(margin: int) -> int:
        """Return the first upsampled row, in rows above the core, of features with ``margin`` rows above it."""
        return 2 * margin

    def lay(self, low_NIHW: Tensor, rows: range, columns: range, out_NMHW: Tensor) -> None:
        """Put rows and columns of the upsampled features into ``out_NMHW``."""
        seen = [range(side.start // 2, -(-side.stop // 2)) for side in (rows, columns)]
        found = self.conv(low_NIHW[..., seen[0].start : seen[0].stop, seen[1].start : seen[1].stop])
        for (a, b), place_NMHW in zip(PLACES, found.chunk(len(PLACES), 1), strict=True):
            y, x = (a - rows.start) % 2, (b - columns.start) % 2
            target = out_NMHW[..., y::2, x::2]
            first = (rows.start + y) // 2 - seen[0].start, (columns.start + x) // 2 - seen[1].start
            target.copy_(place_NMHW[..., first[0] : first[0] + target.shape[-2], first[1] : first[1] + target.shape[-1]])

    def same(self, low_NIHW: Tensor, out_NMHW: Tensor) -> None:
        """Put all of them there, in 'same' form."""
        height, width = out_NMHW.shape[-2:]
        self.lay(low_NIHW, range(height), range(width), out_NMHW)


class Int8Bilinear(nn.Module):
    """Bilinear upsampling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.zero_M = torch.zeros(channels, dtype=torch.uint8)
        """What is stored of 0."""

    @staticmethod
    def offset(margin: int) -> int:
        """Return the first upsampled row, in rows above the core, of features with ``margin`` rows above it."""
        return 2 * margin - 1

    def lay(self, low_NIHW: Tensor, rows: range, columns: range, out_NMHW: Tensor) -> None:
        """Put rows and columns of the upsampled features into ``out_NMHW``."""
        seen = [slice(side.start // 2, (side.stop - 1) // 2 + 2) for side in (rows, columns)]
        up_NMHW = bilinear_twice(low_NIHW[..., seen[0], seen[1]].float()).round_()
        y, x = rows.start % 2, columns.start % 2
        out_NMHW.copy_(up_NMHW[..., y : y + len(rows), x : x + len(columns)])

    def same(self, low_NIHW: Tensor, out_NMHW: Tensor) -> None:
        """Put all of them there, in 'same' form."""
        height, width = out_NMHW.shape[-2:]
        around = F.pad(low_NIHW.float(), (1, 1, 1, 1), mode="replicate")
        self.lay(around, range(1, height + 1), range(1, width + 1), out_NMHW)


class Int8Expanding(nn.Module):
    """A block of the expanding path, with the upsampling before it. Skip and upsampled features are laid side by side."""

    def __init__(self, net: UNet, level: int, ranges: Ranges) -> None:
        super().__init__()
        block: DoubleConv = net.decoder[level]  # type: ignore[assignment]
        skip, span, own = ranges.down[level].given, ranges.upsampled[level], ranges.up[level]
        below = (*ranges.up[1:], ranges.down[-1])[level].given
        weight, bias = without_norm(block.conv1, block.norm1)
        if net.config.upsampling == "conv":
            self.up: Int8UpConv | Int8Bilinear = Int8UpConv(net.upsample[level], below, span)  # type: ignore[arg-type]
        else:
            self.up = Int8Bilinear(len(below))
        bias = bias + weight[:, len(skip) :].sum((2, 3)) @ torch.tensor(span[0])
        self.conv1 = _scaled(weight, bias, torch.cat([_stored(skip), _stored_of_span(span)]), _stored(own.middle))
        self.conv2 = _second(block, own)

    def offset(self, margin: int) -> int:
        """Return the first upsampled row, in rows above the core, of features with ``margin`` rows above it."""
        return self.up.offset(margin)

    def forward(self, low_NIHW: Tensor, skip_NCHW: Tensor, rows: range, offset: int) -> Tensor:
        """Return rows of the block's features; ``offset`` is the upsampled row, and column, that the skip's first lies on."""
        first, columns = offset + rows.start, skip_NCHW.shape[-1]
        joined, upsampled = self._beside(skip_NCHW[..., rows.start : rows.stop + 4, :])
        self.up.lay(low_NIHW, range(first, first + len(rows) + 4), range(offset, offset + columns), upsampled)
        return self.conv2(self.conv1(joined))  # type: ignore[no-any-return]

    def same(self, low_NIHW: Tensor, skip_NCHW: Tensor) -> Tensor:
        """Return the block's features in 'same' form."""
        joined, upsampled = self._beside(zeros_around(skip_NCHW))
        upsampled.copy_(self.up.zero_M[:, None, None])
        self.up.same(low_NIHW, upsampled[..., 1:-1, 1:-1])
        return self.conv2(zeros_around(self.conv1(joined)))  # type: ignore[no-any-return]

    def _beside(self, skip_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the joined features with the skip's in their place, and the part that the upsampled ones are to fill."""
        count, width, *sides = skip_NCHW.shape
        joined = empty((count, width + len(self.up.zero_M), *sides), skip_NCHW)
        joined[:, :width] = skip_NCHW
        return joined, joined[:, width:]


def int8_blocks_of(net: UNet, ranges: Ranges) -> Blocks:
    """Return the blocks of a trained network, whose features have ranges."""
    seen = (None, *(block.given for block in ranges.down))
    down = [Int8Contracting(*each) for each in zip(net.encoder, seen, ranges.down, strict=False)]  # type: ignore[arg-type]
    up = [Int8Expanding(net, level, ranges) for level in range(net.config.depth)]
    weight, bias = net.head.weight.detach(), net.head.bias.detach()  # type: ignore[union-attr]
    head = Int8Conv(weight / _stored(ranges.up[0].given)[:, None, None], bias, gives=torch.float32)
    return Blocks(down, up, head)


def _rounded(weight_OIHW: Tensor) -> Tensor:
    """Return weights as whole numbers; what rounding one adds is taken from its neighbour.

    Neighbouring pixels are alike, so what counts is that the sum over a kernel is right: this gives a fifth of the error of
    rounding each to its nearest (`benchmarks/bench_int8.py`), as error diffusion does in halftoning (Floyd & Steinberg 1976).
    """
    rest_OI = torch.zeros_like(weight_OIHW[..., 0, 0])
    whole = torch.empty_like(weight_OIHW, dtype=torch.int8)
    height, width = weight_OIHW.shape[-2:]
    for y in range(height):
        for x in range(width)[:: -1 if y % 2 else 1]:  # to and fro, so that each next one is a neighbour
            wanted_OI = weight_OIHW[..., y, x] + rest_OI
            rounded_OI = wanted_OI.round().clamp(-MOST_OF_WEIGHTS, MOST_OF_WEIGHTS)
            whole[..., y, x], rest_OI = rounded_OI.to(torch.int8), wanted_OI - rounded_OI
    return whole


def _stored(largest: Channels) -> Tensor:
    """Return what the values of each channel are multiplied with to be stored."""
    return MOST / torch.tensor(largest)


def _stored_of_span(span: tuple[Channels, Channels]) -> Tensor:
    return MOST / (torch.tensor(span[1]) - torch.tensor(span[0]))


def _second(block: DoubleConv, ranges: BlockRanges) -> Int8Conv:
    return _scaled(*without_norm(block.conv2, block.norm2), _stored(ranges.middle), _stored(ranges.given))


def _scaled(weight_OIHW: Tensor, bias_O: Tensor, seen_I: Tensor, given_O: Tensor) -> Int8Conv:
    """Return a convolution of what is stored to what is stored."""
    return Int8Conv(weight_OIHW * given_O[:, None, None, None] / seen_I[:, None, None], bias_O * given_O)
