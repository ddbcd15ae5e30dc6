"""Do tiles equal the whole image? The largest difference of logits, and what each condition of docs/exactness.md is worth.

A narrow network with random weights, since it passes on whatever is wrong. Every tile position and size is compared with the
one pass over the whole image, as a share of the largest logit.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING
from unittest import mock

import torch
from common import hardware, write_result

from slideseg.model.config import UNetConfig
from slideseg.model.network import conv
from slideseg.model.network.engine import Engine
from slideseg.model.network.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 768
CORES = (16, 64, 192, 368)
"""Sides of the cores that are compared."""
START = 192
"""Where they start: on the grid, and far from the image's edge."""


def network(upsampling: str) -> Engine:
    torch.manual_seed(0)
    return Engine(UNet(UNetConfig(base_channels=8, upsampling=upsampling)))


def tile_of(image_NCHW: torch.Tensor, start: int, side: int) -> torch.Tensor:
    tile = image_NCHW[..., start : start + side, start : start + side]
    return tile.contiguous(memory_format=torch.channels_last)


def valid_form(net: Engine, image_NCHW: torch.Tensor, core: int) -> torch.Tensor:
    reach = net.margins.reach
    return net.forward_valid(tile_of(image_NCHW, START - reach, core + 2 * reach))


def same_form(halo: int, shift: int = 0) -> Callable[[Engine, torch.Tensor, int], torch.Tensor]:
    """Return the usual way: the padded form on a tile whose margin is thrown away; ``shift`` moves it off the grid."""

    def compute(net: Engine, image_NCHW: torch.Tensor, core: int) -> torch.Tensor:
        before, after = halo + shift, halo + (-shift) % net.config.stride
        logits = net(tile_of(image_NCHW, START - before, before + core + after))
        return logits[..., before : before + core, before : before + core]

    return compute


def difference(net: Engine, compute: Callable[[Engine, torch.Tensor, int], torch.Tensor]) -> float:
    """Return the largest difference from the whole image, over core sizes and thread counts."""
    image_NCHW = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    image_NCHW = image_NCHW.contiguous(memory_format=torch.channels_last)
    worst = 0.0
    with torch.inference_mode():
        torch.set_num_threads(2)
        whole = net(image_NCHW)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for core in CORES:
                wanted = whole[..., START : START + core, START : START + core]
                worst = max(worst, float((compute(net, image_NCHW, core) - wanted).abs().max()))
    return worst / float(whole.abs().max())


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    busy = hardware()
    up, bilinear, corners = (network(kind) for kind in ("conv", "bilinear", "bilinear-corners"))
    found = {
        "up-convolution, valid form": difference(up, valid_form),
        "bilinear, valid form": difference(bilinear, valid_form),
        "halo 80 instead of 96": difference(up, same_form(80)),
        "halo 96, but 8 pixels off the grid": difference(up, same_form(96, shift=8)),
        "bilinear with align_corners=True, halo 112": difference(corners, same_form(112)),
    }
    with mock.patch.object(conv, "by_name", return_value=False):
        found["PyTorch's own choice of convolution"] = difference(up, valid_form)
    exact = ("up-convolution, valid form", "bilinear, valid form")
    result = {"largest_difference": found, "passed": all(found[name] == 0 for name in exact)}
    write_result("exactness", result, busy)


if __name__ == "__main__":
    main()
