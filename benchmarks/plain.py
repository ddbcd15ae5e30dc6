"""A model in plain PyTorch, as it was trained, and the picture that it is tried on: what others are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from common import DATA

import slideseg
from slideseg.model.file import read_unet
from slideseg.space.box import Box

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.model.network.unet import UNet

SIDE, TILE = 1024, 512
"""Sides of the picture and of the usual tiles."""
SLIDE = DATA / "wsi" / "aperio" / "CMU-1-Small-Region.svs"


def picture() -> np.ndarray:
    """Return the picture (y, x, c): a part of a real slide, or noise where there is none."""
    if not SLIDE.exists():
        return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    slide = slideseg.open_slide(SLIDE)
    return slide.read(Box(512, 512, 512 + SIDE, 512 + SIDE))


def around() -> np.ndarray:
    """Return more of that slide (y, x, c), without the picture; more noise where there is none."""
    if not SLIDE.exists():
        return np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    slide = slideseg.open_slide(SLIDE)
    return slide.read(Box(0, 512 + SIDE, slide.levels[0].shape[0], slide.levels[0].shape[1]))


class Net:
    """The network, as its users would run it."""

    def __init__(self, path: Path, layout: torch.memory_format = torch.contiguous_format) -> None:
        self.net: UNet = read_unet(path)[0].eval().to(memory_format=layout)
        self.halo, self.layout = self.net.config.halo, layout
        self.model = slideseg.load_model(path)
        """Which turns pixels into its input."""

    def classes(self, x_NCHW: torch.Tensor, halo: int = 0) -> np.ndarray:
        """Return the classes of an image, without ``halo`` pixels on every side."""
        logits_NKHW = self.net(x_NCHW.contiguous(memory_format=self.layout))
        return classes_of(logits_NKHW[..., halo : logits_NKHW.shape[-2] - halo, halo : logits_NKHW.shape[-1] - halo])

    def mirrored(self, pixels: np.ndarray) -> torch.Tensor:
        """Return the input (1, C, H, W) of an image (y, x, c) that is mirrored by the halo."""
        return self.model.preprocess(np.pad(pixels, ((self.halo, self.halo), (self.halo, self.halo), (0, 0)), "reflect"))

    @torch.inference_mode()
    def tiles(self, mirrored_NCHW: torch.Tensor, *, halo: int) -> np.ndarray:
        """Return the classes of a mirrored image by tiles of `TILE` pixels, of which ``halo`` on every side are thrown away."""
        height, width = (side - 2 * self.halo for side in mirrored_NCHW.shape[-2:])
        core, out = TILE - 2 * halo, np.zeros((height, width), np.uint8)
        for y in range(0, height, core):
            for x in range(0, width, core):
                y1, x1 = min(y, height - core), min(x, width - core)
                y0, x0 = (start + self.halo - halo for start in (y1, x1))
                part = mirrored_NCHW[..., y0 : y0 + TILE, x0 : x0 + TILE]
                out[y1 : y1 + core, x1 : x1 + core] = self.classes(part, halo)
        return out


class Plain(Net):
    """The network, and the picture as its input."""

    def __init__(self, path: Path, layout: torch.memory_format = torch.contiguous_format) -> None:
        super().__init__(path, layout)
        self.mirrored_NCHW = self.mirrored(picture())
        """The picture, mirrored by the halo."""
        self.x_NCHW = self.model.preprocess(picture())
        """The picture."""

    @torch.inference_mode()
    def whole(self) -> np.ndarray:
        """Return the classes (y, x) by one pass over the mirrored picture."""
        return self.classes(self.mirrored_NCHW, self.halo)


def classes_of(logits_NKHW: torch.Tensor) -> np.ndarray:
    """Return the classes (y, x) of the logits of one image."""
    found = logits_NKHW[:, 0] > 0 if logits_NKHW.shape[1] == 1 else logits_NKHW.argmax(1)
    return found.to(torch.uint8)[0].numpy()
