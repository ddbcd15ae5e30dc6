"""The blocks that a network is put together from: what `slideseg.model.network.engine` runs, folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from torch import Tensor, nn

from slideseg.model.network.conv import Conv, without_norm, zeros_around
from slideseg.model.network.upsampling import Bilinear, UpConv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.network.unet import DoubleConv, UNet


class DownBlock(Protocol):
    """A block of the contracting path."""

    def __call__(self, x_NCHW: Tensor) -> Tensor:
        """Return the block's features, 2 pixels less on every side."""
        ...

    def same(self, x_NCHW: Tensor) -> Tensor:
        """Return the block's features in 'same' form."""
        ...


class UpBlock(Protocol):
    """A block of the expanding path, with the upsampling before it."""

    def offset(self, margin: int) -> int:
        """Return the first upsampled row, in rows above the core, of features with ``margin`` rows above it."""
        ...

    def __call__(self, low_NIHW: Tensor, skip_NCHW: Tensor, rows: range, offset: int) -> Tensor:
        """Return rows of the block's features; ``offset`` is the upsampled row, and column, that the skip's first lies on."""
        ...

    def same(self, low_NIHW: Tensor, skip_NCHW: Tensor) -> Tensor:
        """Return the block's features in 'same' form."""
        ...


class Blocks(NamedTuple):
    """All of a network."""

    down: Sequence[nn.Module]
    """A `DownBlock` a level, of full resolution first, and the one at the bottom."""
    up: Sequence[nn.Module]
    """An `UpBlock` a level, of full resolution first."""
    head: nn.Module
    """Logits of the features of full resolution."""


def blocks_of(net: UNet) -> Blocks:
    """Return the blocks of a trained network."""
    down = [Contracting(block) for block in net.encoder]  # type: ignore[arg-type]
    up = [Expanding(net, level) for level in range(net.config.depth)]
    return Blocks(down, up, Conv(net.head.weight, net.head.bias, relu=False))


class Contracting(nn.Module):
    """A block of the contracting path."""

    def __init__(self, block: DoubleConv) -> None:
        super().__init__()
        self.conv1 = Conv(*without_norm(block.conv1, block.norm1))
        self.conv2 = Conv(*without_norm(block.conv2, block.norm2))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the block's features, 2 pixels less on every side."""
        return self.conv2(self.conv1(x_NCHW))  # type: ignore[no-any-return]

    def same(self, x_NCHW: Tensor) -> Tensor:
        """Return the block's features in 'same' form."""
        return self.conv2(zeros_around(self.conv1(zeros_around(x_NCHW))))  # type: ignore[no-any-return]


class Expanding(nn.Module):
    """A block of the expanding path, with the upsampling before it."""

    def __init__(self, net: UNet, level: int) -> None:
        super().__init__()
        block: DoubleConv = net.decoder[level]  # type: ignore[assignment]
        weight_OIhw, bias_O = without_norm(block.conv1, block.norm1)
        width = net.config.widths[level]
        own, upsampled = weight_OIhw[:, :width], weight_OIhw[:, width:]
        if net.config.upsampling == "conv":
            up: nn.ConvTranspose2d = net.upsample[level]  # type: ignore[assignment]
            self.up: UpConv | Bilinear = UpConv(upsampled, up.weight, up.bias)  # type: ignore[arg-type]
        else:
            self.up = Bilinear(upsampled, net.config.upsampling)
        self.skip = Conv(own, (bias_O.double() + self.up.bias_O).float())
        self.conv2 = Conv(*without_norm(block.conv2, block.norm2))

    def offset(self, margin: int) -> int:
        """Return the first upsampled row, in rows above the core, of features with ``margin`` rows above it."""
        return self.up.offset(margin)

    def forward(self, low_NIHW: Tensor, skip_NCHW: Tensor, rows: range, offset: int) -> Tensor:
        """Return rows of the block's features; ``offset`` is the upsampled row, and column, that the skip's first lies on."""
        wider = range(rows.start, rows.stop + 2)
        seen = range(offset + wider.start, offset + wider.stop), range(offset, offset + skip_NCHW.shape[-1] - 2)
        return self.conv2(self.skip.add_to(self.up(low_NIHW, *seen), skip_NCHW[..., wider.start : wider.stop + 2, :]))  # type: ignore[no-any-return]

    def same(self, low_NIHW: Tensor, skip_NCHW: Tensor) -> Tensor:
        """Return the block's features in 'same' form."""
        return self.conv2(zeros_around(self.skip.add_to(self.up.same(low_NIHW), zeros_around(skip_NCHW))))  # type: ignore[no-any-return]
