"""The U-Net as it runs: the sums of a trained one, put together once so that there is less to do at every pixel.

- A batch norm is a part of the convolution before it, and so is a ReLU.
- An up-convolution is a part of the convolution after it: a pixel of twice the resolution has one of four places in its cell,
  and for each place both together are one convolution of 2x2 pixels of the low resolution.
- Skip and upsampled features are never laid side by side: each is convolved by its own half of the kernel, and added.
- At full resolution the layers of a block go over a strip of rows at a time, so that what lies between them is never there as a
  whole.

Every output pixel is summed in one order whatever is around it (`conv`), so tiles have the bits of the whole image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from slideseg.model.network.blocks import blocks_of
from slideseg.model.network.conv import empty
from slideseg.model.network.int8 import int8_blocks_of
from slideseg.model.network.memory import rows_at_once
from slideseg.model.network.unet import check_sides

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.model.network.blocks import DownBlock, UpBlock
    from slideseg.model.network.ranges import Ranges
    from slideseg.model.network.unet import UNet


class Engine(nn.Module):
    """A trained U-Net that runs, in both its forms; see `slideseg.model.network.unet`."""

    def __init__(self, net: UNet, ranges: Ranges | None = None) -> None:
        """Take over the weights of ``net``, which is left in evaluation mode.

        With the ``ranges`` of its features it is computed in whole numbers of 8 bits: see `slideseg.model.network.int8`.
        """
        super().__init__()
        net.eval()
        self.config, self.margins = net.config, net.margins
        blocks = blocks_of(net) if ranges is None else int8_blocks_of(net, ranges)
        self.down, self.up, self.head = (nn.ModuleList(blocks.down), nn.ModuleList(blocks.up), blocks.head)
        self.eval()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return logits (N, K, H, W) of images (N, C, H, W) in 'same' form.

        Raises:
            ValueError: if H or W is not a multiple of the stride.
        """
        check_sides(x_NCHW, self.config.stride)
        skips_NCHW = []
        for level in range(self.config.depth):
            skips_NCHW.append(self._down(level).same(x_NCHW))
            x_NCHW = pooled_by_2(skips_NCHW[-1])
        x_NCHW = self._down(self.config.depth).same(x_NCHW)
        for level in reversed(range(self.config.depth)):
            x_NCHW = self._up(level).same(x_NCHW, skips_NCHW.pop())
        return self.head(x_NCHW)  # type: ignore[no-any-return]

    def forward_valid(self, x_NCHW: Tensor) -> Tensor:
        """Return logits of the core of images that are the core grown by `margins.reach`, in valid form.

        The core's first pixel must lie on the pooling grid of the whole image and its sides must be multiples of the
        stride: then the numbers are those of `forward` on the whole image.
        """
        skips_NCHW = []
        for level in range(self.config.depth):
            skip_NCHW, x_NCHW = self._contract(level, x_NCHW)
            skips_NCHW.append(skip_NCHW)
        x_NCHW, margin = self._down(self.config.depth)(x_NCHW), self.margins.encoder[-1]
        for level in reversed(range(self.config.depth)):
            x_NCHW = self._expand(level, x_NCHW, skips_NCHW.pop(), margin)
            margin = self.margins.joined[level] - 2
        return x_NCHW

    def _down(self, level: int) -> DownBlock:
        return self.down[level]  # type: ignore[return-value]

    def _up(self, level: int) -> UpBlock:
        return self.up[level]  # type: ignore[return-value]

    def _contract(self, level: int, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a level keeps for the expanding path, and what it passes down."""
        crop = self.margins.encoder[level] - self.margins.joined[level]
        height = x_NCHW.shape[-2] - 4
        skip, pooled = Sheet(height - 2 * crop), Sheet(height // 2)
        for rows in _strips(level, height, x_NCHW.device):
            found = self._down(level)(x_NCHW[..., rows.start : rows.stop + 4, :])
            pooled.lay(range(rows.start // 2, rows.stop // 2), pooled_by_2(found))
            kept = range(max(rows.start, crop), min(rows.stop, height - crop))
            if kept:
                part = found[..., kept.start - rows.start : kept.stop - rows.start, crop : found.shape[-1] - crop]
                skip.lay(range(kept.start - crop, kept.stop - crop), part)
                del part
            del found  # before the next strip is computed
        return skip.whole, pooled.whole

    def _expand(self, level: int, low_NCHW: Tensor, skip_NCHW: Tensor, margin: int) -> Tensor:
        """Return a level's features, of full resolution the logits; ``margin`` is that of the features below."""
        block = self._up(level)
        offset = block.offset(margin) - self.margins.joined[level]
        out = Sheet(skip_NCHW.shape[-2] - 4)
        for rows in _strips(level, out.height, skip_NCHW.device):
            out.lay(rows, self._finished(level, block(low_NCHW, skip_NCHW, rows, offset)))
        return out.whole

    def _finished(self, level: int, features_NCHW: Tensor) -> Tensor:
        """Return what a level gives: its features, or at full resolution the logits."""
        return self.head(features_NCHW) if level == 0 else features_NCHW


class Sheet:
    """An image that is put together from strips of rows."""

    def __init__(self, height: int) -> None:
        self.height = height
        """Its rows."""
        self.whole: Tensor
        """The image (N, C, H, W)."""

    def lay(self, rows: range, part_NCHW: Tensor) -> None:
        """Put rows of it where they belong."""
        if len(rows) == self.height:
            self.whole = part_NCHW.contiguous(memory_format=torch.channels_last)
            return
        if not hasattr(self, "whole"):
            shape = (*part_NCHW.shape[:2], self.height, part_NCHW.shape[-1])
            self.whole = empty(shape, part_NCHW)
        self.whole[..., rows.start : rows.stop, :] = part_NCHW


def _strips(level: int, height: int, device: torch.device) -> Iterator[range]:
    """Return the rows of the strips that a level is computed in; a GPU has the memory, and gains nothing by them."""
    step = rows_at_once(level, height) if device.type == "cpu" else height
    return (range(start, min(start + step, height)) for start in range(0, height, step))


def pooled_by_2(x_NCHW: Tensor) -> Tensor:
    """Return the largest of every 2 x 2 pixels; PyTorch's max-pooling would also tell which it was, in 8 bytes each."""
    higher_NCHW = torch.maximum(x_NCHW[..., 0::2, :], x_NCHW[..., 1::2, :])
    return torch.maximum(higher_NCHW[..., 0::2], higher_NCHW[..., 1::2])
