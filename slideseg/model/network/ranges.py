"""How large the features of a network become: what `slideseg.model.network.int8` stores of them depends on it.

Found by running the network as it was trained on pixels like those to come. A few tiles may have little of what matters, such
as nuclei, so a batch norm has its say too: it knows mean and deviation of each channel in all that the network learnt from
(Nagel et al. 2019, arXiv:1906.04721, section 4.2, take 6 deviations; the largest values of real tiles are up to 24 away).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slideseg.model.network.unet import DoubleConv, UNet

HEADROOM = 1.5
"""Elsewhere there may be so many times what was seen, where no batch norm tells."""
DEVIATIONS = 10
"""A range holds so many deviations of a channel's values in what the network learnt from."""
LEAST_SHARE = 1 / 64
"""A channel's range is not less than this share of its layer's largest: there may be more of it elsewhere."""
STEPS = 8
"""Ranges are rounded up to so many steps a factor of two: last bits, in which processors differ, decide nothing then."""

Channels = tuple[float, ...]
"""A number for every channel."""


@dataclass(frozen=True, slots=True)
class BlockRanges:
    """The largest values in a block of two convolutions, after their ReLUs."""

    middle: Channels
    """Between them."""
    given: Channels
    """Of what the block gives."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """The ranges of all features of a network, of full resolution first."""

    down: tuple[BlockRanges, ...]
    """Of the contracting blocks, with the one at the bottom."""
    up: tuple[BlockRanges, ...]
    """Of the expanding blocks."""
    upsampled: tuple[tuple[Channels, Channels], ...]
    """The lowest and the highest of the upsampled features that an expanding block is given."""

    def digest(self) -> str:
        """Return a hash of them, to tell runs apart."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


class Span:
    """The lowest and the highest that every channel of a layer was seen to give."""

    def __init__(self, layer: nn.Module) -> None:
        self._hook = layer.register_forward_hook(self._look)
        self.lowest_C: Tensor = torch.tensor(torch.inf)
        self.highest_C: Tensor = torch.tensor(-torch.inf)

    def close(self) -> None:
        """Look no more."""
        self._hook.remove()

    def _look(self, _layer: object, _given: object, found_NCHW: Tensor) -> None:
        self.lowest_C = torch.minimum(self.lowest_C, found_NCHW.amin((0, 2, 3)))
        self.highest_C = torch.maximum(self.highest_C, found_NCHW.amax((0, 2, 3)))


def find_ranges(net: UNet, images_NCHW: Iterable[Tensor]) -> Ranges:
    """Return the ranges of a trained network's features on images (N, C, H, W), whose sides are those of tiles."""
    blocks: list[DoubleConv] = [*net.encoder, *net.decoder]
    ups: list[nn.ConvTranspose2d] = list(net.upsample) if net.config.upsampling == "conv" else []  # type: ignore[arg-type]
    spans = {layer: Span(layer) for layer in (*(norm for block in blocks for norm in (block.norm1, block.norm2)), *ups)}
    with torch.inference_mode():
        for x_NCHW in images_NCHW:
            net.forward_valid(x_NCHW)
        for span in spans.values():
            span.close()
        found = [BlockRanges(*(_of_norm(norm, spans[norm]) for norm in (block.norm1, block.norm2))) for block in blocks]
        down, up = tuple(found[: net.config.depth + 1]), tuple(found[net.config.depth + 1 :])
        below = (*blocks[net.config.depth + 2 :], blocks[net.config.depth])
        upsampled = tuple(_of_up(layer, spans[layer], block.norm2) for layer, block in zip(ups, below, strict=False))
    if not ups:  # what lies between pixels is not larger than they are
        upsampled = tuple(((0.0,) * len(block.given), block.given) for block in (*up[1:], down[-1]))
    return Ranges(down, up, upsampled)


def _of_norm(norm: nn.Module, seen: Span) -> Channels:
    """Return the ranges of what a batch norm, or nothing in its place, and a ReLU give."""
    if isinstance(norm, nn.BatchNorm2d):
        highest_C = torch.maximum(seen.highest_C, norm.bias + DEVIATIONS * norm.weight.abs())
    else:
        highest_C = seen.highest_C * HEADROOM
    return _channels(_rounded_up(highest_C.clamp_min(0)))


def _of_up(up: nn.ConvTranspose2d, seen: Span, norm: nn.Module) -> tuple[Channels, Channels]:
    """Return the lowest and highest of an up-convolution of what a batch norm, or nothing in its place, and a ReLU give."""
    if isinstance(norm, nn.BatchNorm2d):
        mean_I, variance_I = _rectified(norm.bias, norm.weight.abs())
        mean_Mhw = torch.einsum("imhw,i->mhw", up.weight, mean_I) + up.bias[:, None, None]  # type: ignore[index]
        far_Mhw = DEVIATIONS * torch.einsum("imhw,i->mhw", up.weight**2, variance_I).sqrt()
        low_M = torch.minimum(seen.lowest_C, (mean_Mhw - far_Mhw).amin((1, 2)))
        high_M = torch.maximum(seen.highest_C, (mean_Mhw + far_Mhw).amax((1, 2)))
    else:
        more_M = (seen.highest_C - seen.lowest_C) * (HEADROOM - 1) / 2
        low_M, high_M = seen.lowest_C - more_M, seen.highest_C + more_M
    low_M = low_M.sign() * _rounded_up(low_M.abs())
    return _channels(low_M), _channels(low_M + _rounded_up(high_M - low_M))


def _rectified(mean_C: Tensor, deviation_C: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of normally distributed values of which those below 0 are made 0."""
    deviation_C = deviation_C.clamp_min(torch.finfo(torch.float32).eps)
    z_C = mean_C / deviation_C
    share_C, density_C = torch.special.ndtr(z_C), deviation_C * (-0.5 * z_C**2).exp() / math.sqrt(2 * math.pi)
    rectified_C = mean_C * share_C + density_C
    squares_C = (mean_C**2 + deviation_C**2) * share_C + mean_C * density_C
    return rectified_C, (squares_C - rectified_C**2).clamp_min(0)


def _rounded_up(range_C: Tensor) -> Tensor:
    """Return ranges on `STEPS` steps a factor of two, none of them far below the largest."""
    largest = float(range_C.max()) or 1.0
    return ((range_C.clamp_min(largest * LEAST_SHARE).log2() * STEPS).ceil() / STEPS).exp2()


def _channels(value_C: Tensor) -> Channels:
    return tuple(value_C.tolist())
