"""How far an ONNX network sees: by its shadow (`slideseg.model.others.onnx.shadow`), and its stride by the network itself.

A strip of zeros with a single one is given to the shadow, for every place of that one in a cell of 64 pixels; what comes out is
where it is seen. The stride is the smallest with which that repeats, and by which the network's own output moves with a random
strip, if nothing was left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from slideseg.errors import ModelError, explain, one_line
from slideseg.model.others.onnx.net import OnnxNet
from slideseg.model.others.onnx.shadow import shadow_of
from slideseg.model.reach.probe import LENGTHS, ROUNDING, STRIDES, WIDTH, Reach

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import Tensor

    from slideseg.model.others.onnx.graph import OnnxForm

AT_ONCE = 8
"""Strips that go through the shadow at a time."""


def probe_onnx(model: ModelProto, net: OnnxNet, form: OnnxForm) -> Reach:
    """Return how far a network sees.

    Raises:
        ModelError: if it can't be run on strips, its output has another size, or it follows no shift of up to 64 pixels.
    """
    data, obstacles, places = shadow_of(model)
    shadow = OnnxNet(data, form.layout, "none")
    true = None if obstacles else net
    found = [_along(shadow, true, form.channels, axis) for axis in (2, 3)]
    stride, margin = max(one for one, _ in found), max(margin for _, margin in found)
    return Reach(stride, margin, obstacles, places)


def _along(shadow: OnnxNet, net: OnnxNet | None, channels: int, axis: int) -> tuple[int, int]:
    """Return stride and margin along one axis; ``net`` is the network itself, if that follows a shift at all."""
    side = STRIDES[-1]
    for length in LENGTHS:
        strip = _Strip(shadow, channels, length, axis)
        seen = strip.reach(range(length // 2, length // 2 + side))
        if seen + 3 * side < length // 2 and max(strip.reach([length // 4]), strip.reach([3 * length // 4])) <= seen:
            follows = (by for by in STRIDES if strip.repeats(by) and (net is None or _follows(net, channels, length, axis, by)))
            stride = next(follows, None)
            if stride is None:
                raise ModelError(explain("the network follows no shift of its input", got="none", want=f"one of {STRIDES}"))
            return stride, strip.margin(stride)
    raise ModelError(explain("the network sees too far to be tiled", want=f"at most {LENGTHS[-1] // 2} pixels"))


class _Strip:
    """Strips of zeros, and where a single one is seen in them."""

    def __init__(self, shadow: OnnxNet, channels: int, length: int, axis: int) -> None:
        self._shadow, self._channels, self._length, self._axis = shadow, channels, length, axis
        self._seen: dict[int, tuple[int, int] | None] = {}

    def reach(self, places: range | list[int]) -> int:
        """Return how far from itself, at most, a one in one of these places is seen."""
        self._look([place for place in places if place not in self._seen])
        ends = [(place, self._seen[place]) for place in places]
        return max((max(place - end[0], end[1] - place) for place, end in ends if end is not None), default=0)

    def repeats(self, stride: int) -> bool:
        """Tell whether ones in places that lie so far apart are seen equally far from themselves."""
        middle = self._length // 2
        offsets = []
        for place in range(middle, middle + STRIDES[-1]):
            ends = self._seen[place]
            offsets.append(None if ends is None else (ends[0] - place, ends[1] - place))
        return offsets[stride:] == offsets[: len(offsets) - stride]

    def margin(self, stride: int) -> int:
        """Return how far from a cell pixels can lie that change it."""
        middle = self._length // 2
        self.reach(range(middle, middle + stride))
        margins = []
        for place in range(middle, middle + stride):
            if (ends := self._seen[place]) is not None:
                first, last = (end // stride * stride for end in ends)  # the cells of the outermost pixels
                margins += [place - (first + stride - 1), last - place]
        return max(0, *margins) if margins else 0

    def _look(self, places: list[int]) -> None:
        for at in range(0, len(places), AT_ONCE):
            some = places[at : at + AT_ONCE]
            shape = (
                [len(some), self._channels, self._length, WIDTH]
                if self._axis == 2
                else [len(some), self._channels, WIDTH, self._length]
            )
            x_NCHW = torch.zeros(shape)
            for number, place in enumerate(some):
                x_NCHW[number].select(self._axis - 1, place)[..., WIDTH // 2] = 1
            found_NKHW = _run(self._shadow, x_NCHW)
            for place, seen in zip(some, found_NKHW.abs().sum(dim=(1, 5 - self._axis)), strict=True):
                there = seen.nonzero()
                self._seen[place] = (int(there[0]), int(there[-1])) if len(there) else None


def _follows(net: OnnxNet, channels: int, length: int, axis: int, stride: int) -> bool:
    """Tell whether the output moves with the input by so many pixels, in the middle half."""
    long = length + stride
    shape = (1, channels, long, WIDTH) if axis == 2 else (1, channels, WIDTH, long)
    canvas = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    here, there = (_run(net, canvas.narrow(axis, start, length).contiguous()) for start in (0, stride))
    middle, size = length // 2 - STRIDES[-1], 2 * STRIDES[-1]
    here, there = here.narrow(axis, middle + stride, size), there.narrow(axis, middle, size)
    return bool((here - there).abs().max() <= ROUNDING * here.abs().max())


def _run(net: OnnxNet, x_NCHW: Tensor) -> Tensor:
    try:
        out: Tensor = net(x_NCHW)
    except RuntimeError as error:
        what = f"the network can't be run on {tuple(x_NCHW.shape[-2:])} pixels"
        raise ModelError(explain(what, got=one_line(str(error))[:200], try_="exporting it for images of any size")) from error
    if out.shape[-2:] != x_NCHW.shape[-2:]:
        got, want = tuple(out.shape[-2:]), tuple(x_NCHW.shape[-2:])
        raise ModelError(explain("the network's output has another size than its input", got=got, want=want))
    return out
