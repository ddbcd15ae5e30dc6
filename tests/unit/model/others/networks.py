"""Other libraries' networks in tests, where they are installed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

MONAI: dict[str, Any] = {
    "spatial_dims": 2, "in_channels": 3, "out_channels": 3, "channels": [8, 16, 16], "strides": [2, 2], "norm": "batch",
}  # fmt: skip
"""A small one of MONAI's."""
SMP: dict[str, Any] = {"encoder_name": "mobilenet_v2", "encoder_depth": 3, "decoder_channels": [16, 8, 8], "classes": 2}
"""A small one of segmentation_models.pytorch's."""


def monai_unet(**more: Any) -> torch.nn.Module:
    """Return MONAI's U-Net with the same random weights each time."""
    nets = pytest.importorskip("monai.networks.nets", reason="MONAI is not installed")
    torch.manual_seed(0)
    return _worn(nets.UNet(**MONAI | more))


def monai_net() -> torch.nn.Module:
    """Return the network of the page about networks."""
    nets = pytest.importorskip("monai.networks.nets", reason="MONAI is not installed")
    return _worn(nets.BasicUNet(spatial_dims=2, in_channels=3, out_channels=2, norm="batch"))


def smp_unet(**more: Any) -> torch.nn.Module:
    """Return a U-Net of segmentation_models.pytorch with the same random weights each time."""
    smp = import_smp()
    torch.manual_seed(0)
    return _worn(smp.Unet(**SMP | more, encoder_weights=None))


def import_smp() -> Any:
    """Return the library."""
    return pytest.importorskip("segmentation_models_pytorch", reason="segmentation_models.pytorch is not installed")


def _worn(net: torch.nn.Module) -> torch.nn.Module:
    """Return a network whose batch norms have seen something."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()
