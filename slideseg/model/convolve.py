"""Convolutions whose every output pixel has the same bits whatever the size of the image around it.

PyTorch chooses between several CPU convolutions by the number of threads, the batch and the size of the input (small inputs
and single-threaded 1x1 kernels take another path than large ones), and transposed convolutions split their sums by size.
Each is right to about 1e-6, but they differ in the last bits, so a tile would differ from the whole image. oneDNN's direct
convolution sums every output pixel in one fixed order; calling it by name makes tiles equal to the bit. Where there is
nothing to choose (a GPU, other number formats, training, a build without oneDNN) PyTorch's own choice is used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def convolve(x_NCHW: Tensor, weight_OIHW: Tensor, bias_O: Tensor | None, padding: int = 0) -> Tensor:
    """Return the convolution with stride 1 of images (N, I, H, W) by kernels (O, I, h, w), zero-padded by ``padding``."""
    if _order_is_ours(x_NCHW, weight_OIHW):
        return torch.ops.aten.mkldnn_convolution(  # type: ignore[no-any-return]
            x_NCHW, weight_OIHW, bias_O, [padding, padding], [1, 1], [1, 1], 1
        )
    return F.conv2d(x_NCHW, weight_OIHW, bias_O, padding=padding)


def up_convolve(x_NCHW: Tensor, weight_IOhw: Tensor, bias_O: Tensor | None) -> Tensor:
    """Return the 2x2 up-convolution with stride 2: (N, I, H, W) -> (N, O, 2H, 2W).

    No two of its 2x2 patches overlap, so it is a 1x1 convolution to four times the channels, laid out by `pixel_shuffle`.
    """
    if not _order_is_ours(x_NCHW, weight_IOhw):
        return F.conv_transpose2d(x_NCHW, weight_IOhw, bias_O, stride=2)
    weight_OI11 = weight_IOhw.permute(1, 2, 3, 0).reshape(-1, weight_IOhw.shape[0], 1, 1)
    bias = None if bias_O is None else bias_O.repeat_interleave(4)
    shuffled = F.pixel_shuffle(convolve(x_NCHW, weight_OI11, bias), 2)
    return shuffled.contiguous(memory_format=torch.channels_last)


def _order_is_ours(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
        and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    )
