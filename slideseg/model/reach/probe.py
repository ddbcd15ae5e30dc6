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
from itertools import takewhile
from typing import TYPE_CHECKING

import torch

from slideseg.errors import ModelError, explain, one_line
from slideseg.model.network.same_form import logits_of
from slideseg.model.reach.shadow import Obstacle, Shadow, made_positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

LENGTHS = (1024, 2048, 4096)
"""Pixels of a strip along its long axis: each where too much of the one before is seen."""
WIDTH = 64
"""Pixels of it along the other one."""
STRIDES = (1, 2, 4, 8, 16, 32, 64)
"""Strides that are looked for."""
AROUND = 2
"""Strides of pixels around a tile that a larger window has."""
SAME = 1e-9
"""Differences of a shadow that are but rounding, as a share of its largest value."""
ROUNDING = 1e-5
"""The same of logits in single precision: layers are summed in another order in other sizes."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a network's output is made of."""

    stride: int
    """Pixels by which its input must move for its output to move with it."""
    margin: int
    """Pixels around a cell that can change it; of one with obstacles, if those were frozen."""
    obstacles: tuple[Obstacle, ...]
    """What keeps it from being tiled exactly."""

    places: tuple[int, ...] = ()
    """Numbers of the calls whose statistics are to be frozen; see `slideseg.model.reach.frozen`."""

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
    return Reach(
        stride=math.lcm(*(one.stride for one in found)),
        margin=max(one.margin for one in found),
        obstacles=tuple(dict.fromkeys(obstacle for one in found for obstacle in one.obstacles)),
        places=tuple(sorted({place for one in found for place in one.places})),
    )


def _along(shadow: nn.Module, channels: int, axis: int) -> Reach:
    """Return how far a network sees along one axis."""
    for length in LENGTHS:
        strip = _Strip(shadow, channels, length, axis)
        if strip.is_long_enough:
            *_, stride = [None, *takewhile(strip.follows, reversed(STRIDES))]
            if stride is None:
                raise ModelError(explain("the network follows no shift of its input", got="none", want=f"one of {STRIDES}"))
            return Reach(stride, strip.margin(stride), strip.obstacles, strip.places)
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
        self._margins: dict[int, int] = {}

    @property
    def obstacles(self) -> tuple[Obstacle, ...]:
        """What has no bound."""
        return tuple(self._shadow_of_image.obstacles)

    @property
    def places(self) -> tuple[int, ...]:
        """The numbers of its calls that could be frozen."""
        return tuple(self._shadow_of_image.places)

    @property
    def is_long_enough(self) -> bool:
        """Whether a cell in the middle is far from seeing the ends, and cells elsewhere, to which more is open, see no farther.

        A dilated layer sees pixels with gaps between them, so the last that a strip holds may not be the last one.
        """
        side, far = STRIDES[-1], self._length // 4
        if self.margin(side) + 3 * side >= self._length // 2:
            return False
        before, behind = self._seen(3 * far, side)[0], self._seen(far, side)[1]
        return max(3 * far - before, behind - (far + side)) <= self.margin(side)

    def margin(self, stride: int) -> int:
        """Return how far from a cell pixels can lie that change it."""
        if stride not in self._margins:
            start = self._length // 2
            first, last = self._seen(start, stride)
            self._margins[stride] = max(start - first, last - (start + stride), 0)
        return self._margins[stride]

    def follows(self, stride: int) -> bool:
        """Tell whether the output moves with the input by so many pixels, far from the ends."""
        moved = self._canvas.narrow(self._axis, stride, self._length).clone().requires_grad_()
        out, _ = self._run(moved, self._shadow_of_image.spreads)
        margin = self.margin(STRIDES[-1]) + STRIDES[-1]
        size = self._length - 2 * margin - stride
        here = self._out.narrow(self._axis, margin + stride, size)
        there = out.narrow(self._axis, margin, size)
        return bool((here - there).abs().max() <= SAME * here.abs().max())

    def _seen(self, start: int, stride: int) -> tuple[int, int]:
        """Return the first pixel that a cell is made of, and the one behind the last."""
        cell = self._out.narrow(self._axis, start, stride).sum()
        if not cell.requires_grad:  # nothing is left of a network that is made of the whole image alone
            return start, start + stride
        (seen,) = torch.autograd.grad(cell, self._image, retain_graph=True)
        places = seen.abs().sum(tuple({0, 1, 2, 3} - {self._axis})).nonzero()
        return int(places[0]), int(places[-1]) + 1

    def _run(self, image: Tensor, known: Sequence[bool] = ()) -> tuple[Tensor, Shadow]:
        shadow = Shadow(image, self._axis, known)
        handles = list(shadow.watch(self._shadow))
        try:
            with shadow:
                out: Tensor = logits_of(self._shadow(image))
        except (RuntimeError, TypeError, ValueError) as error:
            what = f"the network can't be run on {tuple(image.shape[-2:])} pixels"
            raise ModelError(explain(what, got=one_line(str(error)))) from error
        finally:
            for handle in handles:
                handle.remove()
        shadow.settle(out)
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
    around = AROUND * reach.stride
    side = core + 2 * halo + 2 * around
    window = torch.randn((1, channels, side, side), generator=generator)
    inside = slice(around, side - around)
    with torch.inference_mode():
        whole = logits_of(net(window))[..., around + halo : around + halo + core, around + halo : around + halo + core]
        tile = logits_of(net(window[..., inside, inside]))[..., halo : halo + core, halo : halo + core]
    return float((whole - tile).abs().max() / whole.abs().max())
