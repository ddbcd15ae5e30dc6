"""The U-Net of Ronneberger, Fischer & Brox 2015 (arXiv:1505.04597), with the options of its common PyTorch forms.

Tensors are named by their axes: N image in the batch, C channel, H row, W column. One network has two forms that compute
the same numbers: `UNet.forward` ('same' form: every 3x3 convolution pads with zeros, output as large as the input) and
`UNet.forward_valid` (valid form: no padding, the input's margin is eaten up and the output is the core alone).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slideseg.model.network import halo

if TYPE_CHECKING:
    from slideseg.model.config import Init, UNetConfig


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each followed by an optional batch norm and a ReLU."""

    def __init__(self, c_in: int, c_mid: int, c_out: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_mid, 3, bias=not batch_norm)
        self.norm1 = nn.BatchNorm2d(c_mid) if batch_norm else nn.Identity()
        self.conv2 = nn.Conv2d(c_mid, c_out, 3, bias=not batch_norm)
        self.norm2 = nn.BatchNorm2d(c_out) if batch_norm else nn.Identity()

    def forward(self, x_NCHW: Tensor, padding: int) -> Tensor:
        """Return the features; ``padding`` 1 keeps the size, 0 shrinks it by 2 on every side."""
        x_NCHW = F.conv2d(x_NCHW, self.conv1.weight, self.conv1.bias, padding=padding)
        x_NCHW = F.relu(self.norm1(x_NCHW), inplace=True)
        x_NCHW = F.conv2d(x_NCHW, self.conv2.weight, self.conv2.bias, padding=padding)
        return F.relu(self.norm2(x_NCHW), inplace=True)


class UNet(nn.Module):
    """Logits of every pixel of an image; see the module's docstring for its two forms."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.margins = halo.margins(config.depth, config.upsampling)
        widths, norm = config.widths, config.batch_norm
        c_ins = (config.in_channels, *widths[:-1])
        self.encoder = nn.ModuleList(DoubleConv(a, b, b, batch_norm=norm) for a, b in zip(c_ins, widths, strict=True))
        self.dropout = nn.Dropout(config.dropout)
        if config.upsampling == "conv":
            self.upsample = nn.ModuleList(
                nn.ConvTranspose2d(widths[level + 1], widths[level], 2, stride=2) for level in range(config.depth)
            )
        self.decoder = nn.ModuleList(_decoder_block(config, level) for level in range(config.depth))
        self.head = nn.Conv2d(config.base_channels, config.out_channels, 1)
        if not self.head.weight.is_meta:
            self.apply(lambda module: _initialise(module, config.init))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return logits (N, K, H, W) of images (N, C, H, W), float32, in 'same' form.

        Raises:
            ValueError: if H or W is not a multiple of the stride.
        """
        check_sides(x_NCHW, self.config.stride)
        skips_NCHW = []
        for block in self.encoder[:-1]:
            x_NCHW = block(x_NCHW, padding=1)
            skips_NCHW.append(x_NCHW)
            x_NCHW = F.max_pool2d(x_NCHW, 2)
        x_NCHW = self.dropout(self.encoder[-1](x_NCHW, padding=1))
        for level in reversed(range(self.config.depth)):
            x_NCHW = torch.cat([skips_NCHW.pop(), self._upsample_same(x_NCHW, level)], dim=1)
            x_NCHW = self.decoder[level](x_NCHW, padding=1)
        return self.head(x_NCHW)  # type: ignore[no-any-return]

    def forward_valid(self, x_NCHW: Tensor) -> Tensor:
        """Return logits of the core of images that are the core grown by `margins.reach`, in valid form.

        The core's first pixel must lie on the pooling grid of the whole image and its sides must be multiples of the
        stride: then the numbers are those of `forward` on the whole image.
        """
        margins = self.margins
        skips_NCHW = []
        for block, out, joined in zip(self.encoder[:-1], margins.encoder, margins.joined, strict=False):
            x_NCHW = block(x_NCHW, padding=0)
            skips_NCHW.append(_crop(x_NCHW, out - joined))
            x_NCHW = F.max_pool2d(x_NCHW, 2)
        x_NCHW = self.dropout(self.encoder[-1](x_NCHW, padding=0))
        margin = margins.encoder[-1]
        for level in reversed(range(self.config.depth)):
            up_NCHW, margin = self._upsample_valid(x_NCHW, level, margin)
            x_NCHW = torch.cat([skips_NCHW.pop(), _crop(up_NCHW, margin - margins.joined[level])], dim=1)
            del up_NCHW
            x_NCHW = self.decoder[level](x_NCHW, padding=0)
            margin = margins.joined[level] - 2
        return self.head(x_NCHW)  # type: ignore[no-any-return]

    def _upsample_same(self, x_NCHW: Tensor, level: int) -> Tensor:
        if self.config.upsampling == "conv":
            return self.upsample[level](x_NCHW)  # type: ignore[no-any-return]
        if self.config.upsampling == "bilinear-corners":
            return F.interpolate(x_NCHW, scale_factor=2, mode="bilinear", align_corners=True)
        return _crop(bilinear_twice(F.pad(x_NCHW, (1, 1, 1, 1), mode="replicate")), 1)

    def _upsample_valid(self, x_NCHW: Tensor, level: int, margin: int) -> tuple[Tensor, int]:
        """Return the upsampled features and their margin, given features with ``margin`` around the core."""
        if self.config.upsampling == "conv":
            return self.upsample[level](x_NCHW), 2 * margin
        return bilinear_twice(x_NCHW), 2 * margin - 1


def check_sides(x_NCHW: Tensor, stride: int) -> None:
    """Refuse images whose pooled features would lose rows or columns.

    Raises:
        ValueError: if a side is not a multiple of the stride.
    """
    if x_NCHW.shape[-2] % stride or x_NCHW.shape[-1] % stride:
        msg = f"sides must be multiples of the stride {stride} (got {tuple(x_NCHW.shape[-2:])})"
        raise ValueError(msg)


def without_weights(config: UNetConfig) -> UNet:
    """Return a network whose weights have shapes but no values: to be given those of a file.

    Nothing is drawn. Even on the meta device drawing takes more than a second: PyTorch imports its compiler for it.
    """
    with torch.device("meta"):
        return UNet(config)


def bilinear_twice(x_NCHW: Tensor) -> Tensor:
    """Double the resolution bilinearly (align_corners=False), without the outermost output pixel on each side.

    Every output pixel is 3/4 of its nearest and 1/4 of its next input pixel along each axis, whatever the image's size, so
    tiles agree to the bit; `torch.nn.functional.interpolate` computes its weights from coordinates and does not.
    (N, C, H, W) -> (N, C, 2H - 2, 2W - 2).
    """
    for axis in (2, 3):
        size = x_NCHW.shape[axis]
        first, second = x_NCHW.narrow(axis, 0, size - 1), x_NCHW.narrow(axis, 1, size - 1)
        pair = [(first * 0.75).add_(second, alpha=0.25), (second * 0.75).add_(first, alpha=0.25)]
        x_NCHW = torch.stack(pair, dim=axis + 1).flatten(axis, axis + 1)
    return x_NCHW.contiguous(memory_format=torch.channels_last)


def _decoder_block(config: UNetConfig, level: int) -> DoubleConv:
    width = config.widths[level]
    return DoubleConv(2 * width, width, config.out_width(level), batch_norm=config.batch_norm)


def _crop(x_NCHW: Tensor, margin: int) -> Tensor:
    """Return the image without ``margin`` pixels on every side."""
    height, width = x_NCHW.shape[-2:]
    return x_NCHW[..., margin : height - margin, margin : width - margin]


def _initialise(module: nn.Module, init: Init) -> None:
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return
    if init == "he":
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    elif init == "xavier":
        nn.init.xavier_normal_(module.weight)
    elif init == "normal":
        nn.init.normal_(module.weight, std=0.02)
    else:
        nn.init.orthogonal_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
