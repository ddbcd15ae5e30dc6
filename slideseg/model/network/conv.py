"""Convolutions that sum every output pixel in one order, whatever is around it and however large the image is.

PyTorch chooses between several on a CPU, by the number of threads, the batch and the size of the input. They differ in the last
bits, so a tile would differ from the whole image: oneDNN's is called by name.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Conv(nn.Module):
    """A convolution with stride 1 and no padding, with the bias and the ReLU that follow it."""

    def __init__(self, weight_OIHW: Tensor, bias_O: Tensor | None, *, relu: bool = True) -> None:
        super().__init__()
        if weight_OIHW.shape[1] == 1:
            weight_OIHW = F.pad(weight_OIHW, (0, 0, 0, 0, 0, 1))  # zeros for a second channel: see _two_at_least
        self.weight = _fixed(weight_OIHW.contiguous(memory_format=torch.channels_last))
        self.bias = None if bias_O is None else _fixed(bias_O)
        self.relu = relu

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the features of images (N, I, H, W)."""
        x_NCHW = _two_at_least(x_NCHW)
        if by_name(x_NCHW):
            after = "relu" if self.relu else "none"
            return torch.ops.mkldnn._convolution_pointwise(  # type: ignore[no-any-return]  # noqa: SLF001
                x_NCHW, self.weight, self.bias, [0, 0], [1, 1], [1, 1], 1, after, [], ""
            )
        out = F.conv2d(x_NCHW, self.weight, self.bias)
        return out.relu_() if self.relu else out

    def add_to(self, out_NOHW: Tensor, x_NCHW: Tensor) -> Tensor:
        """Add the convolution to ``out_NOHW``, and apply the ReLU to the sum; in place."""
        x_NCHW = _two_at_least(x_NCHW)
        if by_name(x_NCHW):
            return torch.ops.mkldnn._convolution_pointwise_.binary(  # type: ignore[no-any-return]
                out_NOHW, x_NCHW, self.weight, self.bias, [0, 0], [1, 1], [1, 1], 1, "add", 1.0, "relu", [], ""
            )
        return out_NOHW.add_(F.conv2d(x_NCHW, self.weight, self.bias)).relu_()


@dataclass(frozen=True, slots=True)
class Way:
    """How a kernel goes over an image, along (y, x)."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]


PLAIN = Way([1, 1], [0, 0], [1, 1])
"""Pixel by pixel, and not over the edge."""


def convolved(x_NCHW: Tensor, weight: Tensor, bias: Tensor | None, way: Way = PLAIN, groups: int = 1) -> Tensor:
    """Return any other convolution of images (N, I, H, W), by name."""
    if weight.shape[1] == x_NCHW.shape[1] == 1:
        weight, x_NCHW = F.pad(weight, (0, 0, 0, 0, 0, 1)), _two_at_least(x_NCHW)
    layout = torch.channels_last
    x_NCHW, weight = x_NCHW.contiguous(memory_format=layout), weight.contiguous(memory_format=layout)
    return torch.ops.mkldnn._convolution_pointwise(  # type: ignore[no-any-return]  # noqa: SLF001
        x_NCHW, weight, bias, way.padding, way.stride, way.dilation, groups, "none", [], ""
    )


def _two_at_least(x_NCHW: Tensor) -> Tensor:
    """Return images of one channel with a second one, which is given no weight.

    Of one channel both of PyTorch's layouts are the same, it takes the one that is not ours, and oneDNN sums narrow images in
    another order than wide ones.
    """
    if x_NCHW.shape[1] > 1:
        return x_NCHW
    return x_NCHW.expand(-1, 2, -1, -1).contiguous(memory_format=torch.channels_last)


def by_name(x: Tensor) -> bool:
    """Tell whether there is a choice of convolutions: on a CPU, in fp32, without gradients, which oneDNN's has not."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or (x.requires_grad and torch.is_grad_enabled()):
        return False
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def _fixed(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach(), requires_grad=False)


def without_norm(conv: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution with the batch norm behind it, if there is one."""
    if isinstance(norm, nn.BatchNorm2d):
        conv = fuse_conv_bn_eval(conv, norm)
    assert conv.bias is not None
    return conv.weight.detach(), conv.bias.detach()


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return room for features, channels last, of the type and on the device of others."""
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def zeros_around(x_NCHW: Tensor) -> Tensor:
    """Return features with a pixel of zeros on every side: then a 3x3 convolution keeps their size."""
    return F.pad(x_NCHW, (1, 1, 1, 1))
