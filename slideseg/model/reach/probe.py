"""How far a network sees, whatever network it is: its stride, its margin, and the layers that have no bound.

A network follows its input when that moves by its *stride*. A *cell* is a square of stride pixels on the grid that strides make
from the image's first pixel; the *margin* is how far from a cell pixels can lie that change its logits. Both come from the
network's linear shadow (`slideseg.model.reach.shadow`), on strips that are long along one axis. `largest_difference` then
compares tiles of the network itself with a larger window.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from slideseg.errors import ModelError, explain, one_line
from slideseg.model.reach.shadow import Obstacle, Shadow, made_positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

LENGTHS = (1024, 4096)
"""Pixels of a strip along its long axis: the second where the first is seen from end to end."""
WIDTH = 64
"""Pixels of it along the other one."""
STRIDES = (1, 2, 4, 8, 16, 32, 64)
"""Strides that are looked for."""
SAME = 1e-9
"""Differences of a shadow that are but rounding, as a share of its largest value."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a network's output is made of."""

    stride: int
    """Pixels by which its input must move for its output to move with it."""
    margin: int
    """Pixels around a cell that can change it; of one with obstacles, if those were frozen."""
    obstacles: tuple[Obstacle, ...]
    """What keeps it from being tiled exactly."""

    @property
    def exact(self) -> bool:
        """Whether tiles equal the whole image."""
        return not self.obstacles

    @property
    def halo(self) -> int:
        """The margin rounded up to the stride, so that a tile starts on the grid, and a stride more for safety."""
        return (-(-self.margin // self.stride) + 1) * self.stride


def probe(net: nn.Module, channels: int) -> Reach:
    """Return how far a network sees that turns (1, ``channels``, H, W) into (1, K, H, W).

    Raises:
        ModelError: if it can't be run on strips, its output has another size, or it follows no shift of up to 64 pixels.
    """
    shadow = made_positive(copy.deepcopy(net), seed=0)
    found = [_along(shadow, channels, axis) for axis in (2, 3)]
    stride = math.lcm(*(stride for stride, _, _ in found))
    obstacles = dict.fromkeys(obstacle for _, _, obstacles in found for obstacle in obstacles)
    return Reach(stride, max(margin for _, margin, _ in found), tuple(obstacles))


def _along(shadow: nn.Module, channels: int, axis: int) -> tuple[int, int, tuple[Obstacle, ...]]:
    """Return stride, margin and obstacles along one axis."""
    for length in LENGTHS:
        strip = _Strip(shadow, channels, length, axis)
        if strip.is_long_enough:
            stride = next((stride for stride in STRIDES if strip.follows(stride)), None)
            if stride is None:
                raise ModelError(explain("the network follows no shift of its input", got="none", want=f"one of {STRIDES}"))
            return stride, strip.margin(stride), strip.obstacles
    raise ModelError(explain("the network sees too far to be tiled", want=f"at most {LENGTHS[-1] // 2} pixels"))


class _Strip:
    """A strip of an image, and what the shadow makes of it."""

    def __init__(self, shadow: nn.Module, channels: int, length: int, axis: int) -> None:
        self._shadow, self._axis, self._length = shadow, axis, length
        shape = (1, channels, length + STRIDES[-1], WIDTH) if axis == 2 else (1, channels, WIDTH, length + STRIDES[-1])
        generator = torch.Generator().manual_seed(1)
        self._canvas = torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5
        self._image = self._canvas.narrow(axis, 0, length).clone().requires_grad_()
        self._out, self._shadow_of_image = self._run(self._image)

    @property
    def obstacles(self) -> tuple[Obstacle, ...]:
        """What has no bound."""
        return tuple(self._shadow_of_image.obstacles)

    @property
    def is_long_enough(self) -> bool:
        """Whether a cell in the middle is far from seeing the ends."""
        return self.margin(STRIDES[-1]) + 3 * STRIDES[-1] < self._length // 2

    def margin(self, stride: int) -> int:
        """Return how far from a cell pixels can lie that change it."""
        start, (first, last) = self._middle, self._seen(stride)
        return max(start - first, last - (start + stride), 0)

    def follows(self, stride: int) -> bool:
        """Tell whether the output moves with the input by so many pixels, far from the ends."""
        moved = self._canvas.narrow(self._axis, stride, self._length).clone().requires_grad_()
        out, _ = self._run(moved, self._shadow_of_image.spreads)
        margin = self.margin(STRIDES[-1]) + STRIDES[-1]
        size = self._length - 2 * margin - stride
        here = self._out.narrow(self._axis, margin + stride, size)
        there = out.narrow(self._axis, margin, size)
        return bool((here - there).abs().max() <= SAME * here.abs().max())

    @property
    def _middle(self) -> int:
        return self._length // 2

    def _seen(self, stride: int) -> tuple[int, int]:
        """Return the first pixel that a cell in the middle is made of, and the one behind the last."""
        cell = self._out.narrow(self._axis, self._middle, stride).sum()
        if not cell.requires_grad:  # nothing is left of a network that is made of the whole image alone
            return self._middle, self._middle + stride
        (seen,) = torch.autograd.grad(cell, self._image, retain_graph=True)
        places = seen.abs().sum(tuple({0, 1, 2, 3} - {self._axis})).nonzero()
        return int(places[0]), int(places[-1]) + 1

    def _run(self, image: Tensor, known: Sequence[bool] = ()) -> tuple[Tensor, Shadow]:
        shadow = Shadow(image, self._axis, known)
        handles = list(shadow.watch(self._shadow))
        try:
            with shadow:
                out = self._shadow(image)
        except (RuntimeError, TypeError, ValueError) as error:
            what = f"the network can't be run on {tuple(image.shape[-2:])} pixels"
            raise ModelError(explain(what, got=one_line(str(error)))) from error
        finally:
            for handle in handles:
                handle.remove()
        if out.shape[-2:] != image.shape[-2:]:
            got, want = tuple(out.shape[-2:]), tuple(image.shape[-2:])
            raise ModelError(explain("the network's output has another size than its input", got=got, want=want))
        return out, shadow


def largest_difference(net: nn.Module, reach: Reach, channels: int, *, cells: int = 4, seed: int = 0) -> float:
    """Return by how much a tile's logits differ from those of a larger window, as a share of the largest.

    The tile is grown by the halo; around it lie pixels that are quite others.
    """
    generator = torch.Generator().manual_seed(seed)
    core, halo = cells * reach.stride, reach.halo
    around = -(-halo // reach.stride) * reach.stride
    side = core + 2 * halo + 2 * around
    window = torch.randn((1, channels, side, side), generator=generator)
    inside = slice(around, side - around)
    with torch.inference_mode():
        whole = net(window)[..., around + halo : around + halo + core, around + halo : around + halo + core]
        tile = net(window[..., inside, inside])[..., halo : halo + core, halo : halo + core]
    return float((whole - tile).abs().max() / whole.abs().max())
