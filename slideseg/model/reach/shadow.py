"""A network's linear shadow: what an output pixel is made of, without what hides it.

Under `Shadow` every call of a network adds up what it would have chosen from (a ReLU lets everything through, a max-pooling
takes the mean), so that with positive weights (`made_positive`) the gradient of an output pixel is positive exactly at the
input pixels that can change it, whatever the values: no ReLU is dead, no path cancels another, nothing is too small for a
double.

A call that is made of the whole image, such as the mean of an instance norm, is noted by its layer's name and then left out,
as if its statistics were frozen: so all of them are found, and how far the rest of the network sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from slideseg.model.network.call import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True, slots=True, order=True)
class Obstacle:
    """A layer that keeps a network from being tiled exactly."""

    layer: str
    """Its name in the network; empty for the network's own calls."""
    kind: str
    """What it is."""
    curable: bool = False
    """Whether it is one if what it takes of the whole image is measured once and frozen; see `slideseg.model.reach.frozen`."""

    def __str__(self) -> str:
        """Return it as people read it."""
        return f"{self.layer} ({self.kind})" if self.layer else self.kind


def is_counted(call: Call) -> bool:
    """Tell whether a call has a number, from 1, in a pass of a network: the same in every pass."""
    return call.name in COUNTED and call.has_features


class Shadow(TorchFunctionMode):
    """PyTorch's functions in this block are those of the shadow."""

    def __init__(self, image: Tensor, axis: int, known: Sequence[bool] = ()) -> None:
        """Take the image (1, C, H, W) that all is made of, and its long axis: what sees both ends of that has no bound.

        ``known`` is what another image's shadow has found of the same calls; then it is not looked for again.
        """
        super().__init__()
        self.obstacles: dict[Obstacle, None] = {}
        """What was found, in the order of the calls."""
        self.spreads: list[bool] = []
        """Of each call that may be made of the whole image whether it is."""
        self.places: set[int] = set()
        """Numbers of those calls among the `COUNTED` that are made of the whole image."""
        self._image, self._axis, self._known = image, axis, known
        self._layers: list[str] = []
        self._marks: list[tuple[Obstacle, int, Tensor]] = []
        self._counted = 0
        self._is_counted = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return what the shadow makes of a call."""
        call = Call(func, args, kwargs or {})
        self._is_counted = is_counted(call)
        self._counted += self._is_counted
        if call.name in ELSEWHERE:
            self.note(call.name.replace("_", " "))
        rule = RULES.get(call.name) if call.has_features else None
        return call.made() if rule is None else rule(self, call)

    def watch(self, net: nn.Module) -> Iterator[Any]:
        """Have layers say when they are called; yield what is to be removed afterwards."""

        def leave(*_: object) -> None:
            self._layers.pop()

        for name, module in net.named_modules():
            yield module.register_forward_pre_hook(lambda *_, name=name: self._layers.append(name))
            yield module.register_forward_hook(leave, always_call=True)

    def unless_everywhere(self, found: Any, otherwise: Tensor | None, kind: str) -> Any:
        """Return what was found; if it is made of the whole image note that, and return ``otherwise``, or ones that are not."""
        first = found[0] if isinstance(found, tuple) else found
        if not isinstance(first, Tensor) or not first.requires_grad:
            return found
        self.spreads.append(self._known[len(self.spreads)] if self._known else self._is_everywhere(first))
        if not self.spreads[-1]:
            return found
        mark = torch.zeros((), dtype=first.dtype, requires_grad=True)
        self._marks.append((self._running(kind), self._counted, mark))
        left = (torch.ones_like(first) if otherwise is None else otherwise) + mark
        return type(found)((left, *found[1:])) if isinstance(found, tuple) else left

    def note(self, kind: str) -> None:
        """Note that the layer that is running is an obstacle."""
        self.obstacles[self._running(kind)] = None

    def settle(self, logits: Tensor) -> None:
        """Note those that were found to be obstacles and that the logits are made of: a network may give other things too."""
        marks = [mark for _, _, mark in self._marks]
        used = torch.autograd.grad(logits.sum(), marks, retain_graph=True, allow_unused=True) if marks else ()
        for (obstacle, number, _), gradient in zip(self._marks, used, strict=True):
            if gradient is not None:
                self.obstacles[obstacle] = None
                self.places |= {number} if obstacle.curable else set()

    def _running(self, kind: str) -> Obstacle:
        """Return the layer that is running as an obstacle."""
        return Obstacle(self._layers[-1] if self._layers else "", kind, self._is_counted)

    def _is_everywhere(self, value: Tensor) -> bool:
        element = value.reshape(-1)[value.numel() // 2]
        seen: Tensor | None = torch.autograd.grad(element, self._image, retain_graph=True, allow_unused=True)[0]
        return seen is not None and all(bool((seen.select(self._axis, end) != 0).any()) for end in (0, -1))


def made_positive(net: nn.Module, seed: int) -> nn.Module:
    """Give a network positive random weights, in double precision, in place; its output stays about as large as its input."""
    generator = torch.Generator().manual_seed(seed)
    net.double().eval().requires_grad_(False)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.rpartition(".")[2].startswith("bias"):
                weight.zero_()
            else:
                drawn = 0.5 + torch.rand(weight.shape, generator=generator, dtype=torch.float64)
                weight.copy_(drawn / (weight[0].numel() if weight.ndim > 1 else 1))
    return net


# --- what becomes of calls; all others are linear, or make nothing of an image ---------------------------------------------


def _through(_: Shadow, call: Call) -> Any:
    return call.x


def _norm(shadow: Shadow, call: Call) -> Any:
    """Let an image through if its statistics are known beforehand; else add the mean over what they are taken from."""
    x, name = call.x, call.name
    if name == "batch_norm" and not call.given(5, "training", default=False):
        return x
    if name == "instance_norm" and not call.given(5, "use_input_stats", default=True):
        return x
    axes = tuple(range(2 if name == "instance_norm" else 1, x.ndim))
    if name == "layer_norm":
        axes = tuple(range(-len(call.given(1, "normalized_shape", default=())), 0))
    return shadow.unless_everywhere(x + x.mean(axes, keepdim=True), x, name.replace("_", " "))


def _softmax(shadow: Shadow, call: Call) -> Any:
    dim = call.given(1, "dim", default=None)
    return shadow.unless_everywhere(call.x + call.x.sum(-1 if dim is None else dim, keepdim=True), call.x, "attention")


def _reduction(shadow: Shadow, call: Call) -> Any:
    found = call.made()
    if call.name == "adaptive_max_pool2d":
        found = F.adaptive_avg_pool2d(call.x, call.given(1, "output_size", default=1))
    elif call.name in ("amax", "amin", "var", "std"):
        found = torch.mean(
            call.x, *call.args[1:2], **{key: call.kwargs[key] for key in ("dim", "keepdim") if key in call.kwargs}
        )
    return shadow.unless_everywhere(found, None, "global pooling")


def _larger(shadow: Shadow, call: Call) -> Any:
    """Return the mean where the largest, or smallest, value along an axis is taken, and the sum where one of two images' is."""
    other = call.given(1, "dim", default=call.kwargs.get("other"))
    if isinstance(other, Tensor):
        return call.x + other
    found = call.made()
    if not isinstance(found, tuple):
        return shadow.unless_everywhere(call.x.mean(), None, "global pooling")
    mean = call.x.mean(other, keepdim=bool(call.given(2, "keepdim", default=False)))
    return shadow.unless_everywhere(type(found)((mean, *found[1:])), None, "global pooling")


def _mix(shadow: Shadow, call: Call) -> Any:
    return shadow.unless_everywhere(call.made(), None, "roll" if call.name == "roll" else "attention")


def _interpolate(shadow: Shadow, call: Call) -> Any:
    if call.kwargs.get("align_corners"):
        shadow.note("align_corners=True")
        call.kwargs["align_corners"] = False
    return call.made()


def _max_pool(_: Shadow, call: Call) -> Any:
    """Return the mean where a max-pooling takes the largest: of windows of the same size, at the same places."""
    x, shape = call.x, (found[0] if isinstance(found := call.made(), tuple) else found).shape[-2:]
    kernel = _pair(call.given(1, "kernel_size", default=2))
    stride = _pair(call.given(2, "stride", default=None) or kernel)
    padding, dilation = _pair(call.given(3, "padding", default=0)), _pair(call.given(4, "dilation", default=1))
    after = [
        max(0, (count - 1) * s + d * (k - 1) + 1 - side - p)
        for count, s, d, k, side, p in zip(shape, stride, dilation, kernel, x.shape[-2:], padding, strict=True)
    ]
    padded = F.pad(x, (padding[1], after[1], padding[0], after[0]))
    equal = x.new_full((x.shape[1], 1, *kernel), 1 / (kernel[0] * kernel[1]))
    return F.conv2d(padded, equal, stride=stride, dilation=dilation, groups=x.shape[1])[..., : shape[0], : shape[1]]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


THROUGH = (
    "relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh",
    "softplus", "softsign", "logsigmoid", "hardswish", "hardsigmoid", "hardtanh", "hardshrink", "softshrink", "threshold",
    "clamp", "clip", "exp", "log", "sqrt", "rsqrt", "abs", "square", "erf", "round", "floor", "sin", "cos", "dropout",
    "dropout2d", "feature_dropout", "alpha_dropout",
)  # fmt: skip
"""Calls that decide pixel by pixel."""
REDUCTIONS = ("mean", "sum", "amax", "amin", "var", "std", "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d")
"""Calls that make one value of many."""
COUNTED = frozenset({"instance_norm", "group_norm", "batch_norm", *REDUCTIONS})
"""Calls whose statistics can be frozen."""
MIXES = ("matmul", "bmm", "baddbmm", "einsum", "scaled_dot_product_attention", "multi_head_attention_forward", "roll")
"""Calls that may bring any place to any other one."""
RULES: dict[str, Callable[[Shadow, Call], Any]] = {
    **dict.fromkeys(THROUGH, _through),
    **dict.fromkeys(("batch_norm", "instance_norm", "group_norm", "layer_norm"), _norm),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(REDUCTIONS, _reduction),
    **dict.fromkeys(MIXES, _mix),
    **dict.fromkeys(("max", "min", "maximum", "minimum"), _larger),
    "interpolate": _interpolate,
    "max_pool2d": _max_pool,
}
"""What becomes of calls that are not linear, or that may be made of the whole image."""
ELSEWHERE = frozenset({"grid_sample", "deform_conv2d", "argmax", "argmin", "topk", "sort", "argsort", "cumsum"})
"""Calls whose result lies where their input says, or that have no gradient."""
