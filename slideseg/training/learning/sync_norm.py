"""Batch norm over the whole batch when several workers hold a part of it each.

Without it, every worker would normalise by its own part, and the result would depend on the number of workers. PyTorch has
`torch.nn.SyncBatchNorm` for GPUs only; this is the same arithmetic for the CPU (Ioffe & Szegedy 2015, arXiv:1502.03167,
algorithm 1), with sums over all workers.
"""
# ruff: noqa: N815  (tensors carry their axes in capitals)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


def synchronise(net: nn.Module, device: torch.device) -> nn.Module:
    """Return ``net`` with batch norms that speak with the other workers; the names of its weights stay."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-any-return, no-untyped-call]
    for module in net.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncedBatchNorm
    return net


class SyncedBatchNorm(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` whose training statistics are those of all workers' batches together.

    In a compiled network it is left as it is: it can't be traced, and the sums must be asked for in one order by all workers.
    """

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Normalise: by the batch's statistics in training, else by the running ones."""
        if not self.training:
            return super().forward(x_NCHW)
        x_float = x_NCHW.float()  # sums in half precision would be coarse
        moments = _moments(x_float.detach())
        self._follow(moments)
        out: Tensor = _Normalise.apply(x_float, self.weight, self.bias, moments, self.eps)  # type: ignore[no-untyped-call]
        return out.to(x_NCHW.dtype)

    @torch.no_grad()
    def _follow(self, moments: _Moments) -> None:
        """Move the running statistics; the running variance is the unbiased one, as in PyTorch."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None or self.momentum is None:
            return
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(moments.mean_C, self.momentum)
        self.running_var.lerp_(moments.var_C * (moments.count / max(1.0, moments.count - 1)), self.momentum)


@dataclass(frozen=True, slots=True)
class _Moments:
    """What a channel's values are like, over all workers."""

    mean_C: Tensor
    """Mean."""
    var_C: Tensor
    """Biased variance."""
    count: float
    """How many values a channel has."""


def _moments(x_NCHW: Tensor) -> _Moments:
    """Return the moments of every channel over all workers.

    The mean comes first and the squares around it second, so that nothing is lost when the mean is large.
    """
    mean_C, var_C = torch.batch_norm_update_stats(x_NCHW, None, None, 0.0)
    here = x_NCHW.numel() / x_NCHW.shape[1]
    sums = _sum(torch.cat([mean_C * here, mean_C.new_tensor([here])]))
    count = sums[-1]
    mean = sums[:-1] / count
    squares = _sum((var_C + (mean_C - mean) ** 2) * here)
    return _Moments(mean, squares / count, float(count))


def _sum(values: Tensor) -> Tensor:
    dist.all_reduce(values)
    return values


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NCHW: Tensor, weight_C: Tensor, bias_C: Tensor, moments: _Moments, eps: float) -> Tensor:
        """Normalise by mean and variance; ``eps`` keeps 1/s finite."""
        ctx.save_for_backward(x_NCHW, weight_C, moments.mean_C, moments.var_C)
        ctx.count, ctx.eps = moments.count, eps
        return F.batch_norm(x_NCHW, moments.mean_C, moments.var_C, weight_C, bias_C, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return d/dx = w/s (g - mean(g) - x' mean(g x')) with x' = (x - mean)/s and means over all workers."""
        x_NCHW, weight_C, mean_C, var_C = ctx.saved_tensors
        direct_NCHW, grad_weight_C, grad_bias_C = torch.ops.aten.native_batch_norm_backward(
            grads[0], x_NCHW, weight_C, mean_C, var_C, None, None, False, ctx.eps, [True, True, True]
        )
        sums = _sum(torch.stack([grad_bias_C, grad_weight_C])) / ctx.count
        inverse_C = torch.rsqrt(var_C + ctx.eps)
        slope_C = -weight_C * inverse_C**2 * sums[1]
        shift_C = -weight_C * inverse_C * sums[0] - slope_C * mean_C
        grad_x_NCHW = direct_NCHW.addcmul_(x_NCHW, slope_C[:, None, None]).add_(shift_C[:, None, None])
        return grad_x_NCHW, grad_weight_C, grad_bias_C, None, None
