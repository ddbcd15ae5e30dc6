"""What a network costs, by running it once on a small image: multiplications, and values alive at once.

In 'same' form both grow with the image's pixels. What is counted is what its calls give; scratch space that they take besides
is in the slack of `prediction.choices.budget`.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from slideseg.model.others.described import Cost

if TYPE_CHECKING:
    from torch import nn

SIDE = 256
"""Pixels a side of the image, at least."""


def measure_cost(net: nn.Module, channels: int, stride: int) -> Cost:
    """Return the cost a pixel of a network that turns (1, ``channels``, H, W) into logits."""
    side = -(-SIDE // stride) * stride
    image = torch.zeros((1, channels, side, side)).contiguous(memory_format=torch.channels_last)
    alive, counter = _Alive(image), FlopCounterMode(display=False)
    with torch.inference_mode(), counter, alive:
        net(image)
    pixels = side * side
    return Cost(
        weights=sum(weight.numel() for weight in net.parameters()),
        multiplications=counter.get_total_flops() / 2 / pixels,  # it counts additions too
        values=alive.most / pixels,
        widest=alive.widest / pixels,
    )


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the values of all tensors that calls give, for as long as somebody holds them."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self.widest = self._now = 0
        self._known: set[int] = set()
        self._count(image)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count what a call gives."""
        found = func(*args, **kwargs or {})
        for tensor in found if isinstance(found, tuple | list) else (found,):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return found

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place in self._known or not place:
            return
        values = storage.nbytes() // tensor.element_size()
        self._known.add(place)
        self._now += values
        self.most, self.widest = max(self.most, self._now), max(self.widest, values)
        weakref.finalize(storage, self._forget, place, values)

    def _forget(self, place: int, values: int) -> None:
        self._known.discard(place)
        self._now -= values
