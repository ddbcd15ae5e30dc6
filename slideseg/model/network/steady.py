"""Other people's layers, summed in one order whatever is around a pixel and however large the image is.

PyTorch chooses between several convolutions, transposed convolutions and interpolations by an image's size, and they differ in
the last bits (`slideseg.model.network.conv`). Under `Steady` those calls for which there is one that does not are made by it.
What is left may be rounded otherwise in tiles of other sizes.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from slideseg.model.network.call import Call
from slideseg.model.network.conv import Way, by_name, convolved
from slideseg.model.network.resized import resized

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_PARTS = 16
"""Sizes change by fractions of such numbers at most: others are left to PyTorch."""
MOST_SIDE = 1 << 16
"""Pixels of a side, at most, to read a factor that is no whole number."""


class Steady(TorchFunctionMode):
    """Calls in this block sum in one order, where that can be had: on a CPU, in fp32, without gradients."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return what a call makes."""
        call = Call(func, args, kwargs or {})
        make = None if torch.is_grad_enabled() else STEADY.get(call.name)  # what is called by name has no gradients
        found = make(call) if make is not None and call.has_features and by_name(call.x) else None
        return call.made() if found is None else found


def _conv2d(call: Call) -> Tensor | None:
    weight, padding = call.given(1, "weight", default=None), call.given(4, "padding", default=0)
    if isinstance(padding, str) or call.x.ndim != weight.ndim:
        return None
    way = Way(_pair(call.given(3, "stride", default=1)), _pair(padding), _pair(call.given(5, "dilation", default=1)))
    return convolved(call.x, weight, call.given(2, "bias", default=None), way, call.given(6, "groups", default=1))


def _conv_transpose2d(call: Call) -> Tensor | None:
    """Do one whose kernel is as large as its stride: each pixel becomes a cell, by a convolution of 1x1."""
    weight, bias = call.given(1, "weight", default=None), call.given(2, "bias", default=None)
    side, *other = _pair(call.given(3, "stride", default=1))
    plain = [_pair(call.given(place, name, default=usual)) == [usual] * 2 for place, name, usual in PLAIN]
    if tuple(weight.shape[2:]) != (side, *other) or other != [side] or not all(plain):
        return None
    c_in, c_out = weight.shape[:2]
    kernel = weight.permute(1, 2, 3, 0).reshape(c_out * side**2, c_in, 1, 1)
    cells = convolved(call.x, kernel, None if bias is None else bias.repeat_interleave(side**2))
    return F.pixel_shuffle(cells, side)


def _interpolate(call: Call) -> Tensor | None:
    x, size, factor = call.x, call.given(1, "size", default=None), call.given(2, "scale_factor", default=None)
    bent = call.given(4, "align_corners", default=False) or call.given(6, "antialias", default=False)
    if call.given(3, "mode", default="nearest") != "bilinear" or bent:
        return None
    sides = [side * part for side, part in zip(x.shape[2:], _pair(factor or 1), strict=True)] if size is None else _pair(size)
    scale, other = (Fraction(side).limit_denominator(MOST_SIDE) / old for side, old in zip(sides, x.shape[2:], strict=True))
    if scale != other or max(scale.numerator, scale.denominator) > MOST_PARTS or any(side % 1 for side in sides):
        return None
    return resized(x, scale).contiguous(memory_format=torch.channels_last)


def _pair(value: Any) -> list[Any]:
    return [value, value] if isinstance(value, int | float) else [*value] * (2 // len(value))


PLAIN = ((4, "padding", 0), (5, "output_padding", 0), (6, "groups", 1), (7, "dilation", 1))
"""Arguments of a transposed convolution, and what they are if nothing is said."""
STEADY: dict[str, Callable[[Call], Tensor | None]] = {
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "interpolate": _interpolate,
}
"""What is made in place of PyTorch's calls; None where it can't be."""
