"""A network whose statistics are frozen: what it takes of the whole image is measured once, and is a constant from then on.

An instance norm or a squeeze-and-excite makes every pixel depend on all others, so tiles can't equal the whole image. With the
means and variances of a sample in their place they can: such a layer does then what a batch norm does. They are measured by one
pass over the sample, in which each layer is frozen as soon as it is measured, so those behind it are measured as they will be.
Sums are in double precision, and convolutions in one order: the number of threads must not decide what a run is resumed with.

A network's calls have numbers (`slideseg.model.reach.shadow.is_counted`); the probe says which of them are to be frozen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from slideseg.model.network.call import Call
from slideseg.model.network.same_form import logits_of
from slideseg.model.network.steady import Steady
from slideseg.model.reach.shadow import is_counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

EPSILON = 1e-5
"""What norms add to a variance, unless they say otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What a network's calls are made of in place of the whole image, by their numbers."""

    of_calls: Mapping[int, tuple[Tensor, ...]]
    """Mean and variance (C) of a norm, or what a reduction gives."""

    def digest(self) -> str:
        """Return a hash of them, to tell runs apart."""
        digest = hashlib.sha256()
        for number, tensors in sorted(self.of_calls.items()):
            digest.update(f"{number} {[tuple(tensor.shape) for tensor in tensors]}".encode())
            for tensor in tensors:
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


class Frozen(nn.Module):
    """A network that uses statistics in place of the image's own."""

    def __init__(self, net: nn.Module, statistics: Statistics) -> None:
        super().__init__()
        self.net = net
        self._names: dict[int, list[str]] = {}
        for number, tensors in statistics.of_calls.items():
            self._names[number] = [f"statistics_{number}_{at}" for at in range(len(tensors))]
            for name, tensor in zip(self._names[number], tensors, strict=True):
                self.register_buffer(name, tensor)

    def forward(self, x_NCHW: Tensor) -> Any:
        """Return what the network gives."""
        known = {number: tuple(getattr(self, name) for name in names) for number, names in self._names.items()}
        with _Numbered(lambda number, call: call.made() if number not in known else _applied(call, known[number])):
            return self.net(x_NCHW)


@runtime_checkable
class Freezable(Protocol):
    """A network that is not made of PyTorch's calls, and freezes its statistics itself."""

    def measured(self, places: Collection[int], sample_NCHW: Tensor) -> Statistics:
        """Return its statistics over a sample of images."""
        ...

    def frozen(self, statistics: Statistics) -> nn.Module:
        """Return a network that uses them."""
        ...


def freeze(net: nn.Module, statistics: Statistics) -> nn.Module:
    """Return a network that uses statistics in place of its images' own."""
    return net.frozen(statistics) if isinstance(net, Freezable) else Frozen(net, statistics)


def measure(net: nn.Module, places: Collection[int], sample_NCHW: Tensor) -> Statistics:
    """Return the statistics of some calls over a sample of images, two or more."""
    if isinstance(net, Freezable):
        return net.measured(places, sample_NCHW)
    found: dict[int, tuple[Tensor, ...]] = {}

    def measured(number: int, call: Call) -> Any:
        if number not in places:
            return call.made()
        found[number] = _statistics(call)
        return _applied(call, found[number])

    with torch.inference_mode(), Steady(), _Numbered(measured):
        logits_of(net(sample_NCHW))
    return Statistics({number: tuple(tensor.clone() for tensor in tensors) for number, tensors in found.items()})


class _Numbered(TorchFunctionMode):
    """Has somebody else make what counted calls make, of which he is told the number."""

    def __init__(self, make: Callable[[int, Call], Any]) -> None:
        super().__init__()
        self._make, self._number = make, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return what is made of a call."""
        call = Call(func, args, kwargs or {})
        if not is_counted(call):
            return call.made()
        self._number += 1
        return self._make(self._number, call)


def _statistics(call: Call) -> tuple[Tensor, ...]:
    """Return what a call takes of its images, over all of them."""
    x = call.x
    if call.name.endswith("norm"):
        groups = call.given(1, "num_groups", default=None) if call.name == "group_norm" else x.shape[1]
        values_NGX = x.reshape(x.shape[0], groups, -1)
        variance_G, mean_G = torch.var_mean(values_NGX.double(), (0, 2), correction=0)
        return tuple(found.float().repeat_interleave(x.shape[1] // groups) for found in (mean_G, variance_G))
    found: Tensor = Call(call.func, (x.double(), *call.args[1:]), call.kwargs).made()
    if found.ndim == 0 or found.shape[0] != x.shape[0]:
        return (found.float(),)
    axes = (0, *range(2, found.ndim))  # of an adaptive pooling every place is alike
    return (found.mean(axes, keepdim=True).expand(1, *found.shape[1:]).float().contiguous(),)


def _applied(call: Call, statistics: tuple[Tensor, ...]) -> Tensor:
    """Return what a call makes with statistics in place of its images' own."""
    x = call.x
    if not call.name.endswith("norm"):
        (found,) = statistics
        return found if found.ndim == 0 or found.shape[0] != 1 else found.expand(x.shape[0], *found.shape[1:])
    mean, variance = statistics
    first = 1 if call.func is torch.instance_norm else 2 if call.name == "group_norm" else 3
    weight, bias = call.given(first, "weight", default=None), call.given(first + 1, "bias", default=None)
    place = {"group_norm": 4}.get(call.name, 7)
    return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=call.given(place, "eps", default=EPSILON))
