"""Small networks of nobody's library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("background", "cell", "edge")


class Small(nn.Module):
    """Two levels, with whatever norm is wanted."""

    def __init__(self, norm: str = "batch", outputs: int = len(CLASSES), channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 8, 3, padding=1)
        self.low = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = {"batch": nn.BatchNorm2d(8), "instance": nn.InstanceNorm2d(8, affine=True), "group": nn.GroupNorm(2, 8)}[
            norm
        ]
        self.squeeze = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, outputs, 3, padding=1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = F.relu(self.first(x_NCHW))
        low_NCHW = F.relu(self.norm(self.low(F.max_pool2d(x_NCHW, 2))))
        return self.last(x_NCHW + F.interpolate(low_NCHW, scale_factor=2.0, mode="bilinear"))


class Squeezing(Small):
    """The same with a squeeze-and-excite."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = F.relu(self.first(x_NCHW))
        x_NCHW = x_NCHW * self.squeeze(F.adaptive_avg_pool2d(x_NCHW, 1)).sigmoid()
        return self.last(x_NCHW * x_NCHW.mean((2, 3), keepdim=True))


class Corners(Small):
    """The same resized by corners."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        low_NCHW = F.max_pool2d(F.relu(self.first(x_NCHW)), 2)
        return self.last(F.interpolate(low_NCHW, scale_factor=2, mode="bilinear", align_corners=True))


def trained(net: nn.Module, seed: int = 0) -> nn.Module:
    """Return a network with weights as if trained: its logits are centred, so every class occurs."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / max(1, weight[0].numel()) ** 0.5)
        noise = torch.rand((2, net.first.in_channels, 64, 64), generator=generator)
        net.last.bias -= net.eval()(noise).mean((0, 2, 3))
    return net


def program(file: Path, kind: str = "TorchScript", outputs: int = len(CLASSES)) -> Path:
    """Write `Small` as a program of PyTorch's: scripted, traced, exported, or exported for one size alone."""
    net, x = trained(Small(outputs=outputs)), torch.zeros(1, 3, 64, 64)
    if kind == "TorchScript":
        torch.jit.script(net).save(str(file))
    elif kind == "traced":
        torch.jit.trace(net, x).save(str(file))
    else:
        sides = {at: 2 * torch.export.Dim(name, min=8, max=4096) for at, name in ((2, "rows"), (3, "columns"))}
        torch.export.save(torch.export.export(net, (x,), dynamic_shapes=(sides,) if kind == "torch.export" else None), file)
    return file
