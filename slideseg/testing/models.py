"""Small networks with random weights: exactness does not need them to be good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from slideseg.model.file import LoadedModel, load_model_file, save_model
from slideseg.model.info import ModelClass, ModelInfo, ModelInput
from slideseg.model.unet import UNet

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.model.config import UNetConfig

COLOURS = ("#000000", "#e6550d", "#3182bd", "#31a354", "#756bb1")


def random_model(path: Path, config: UNetConfig, *, seed: int = 0, mpp: float | None = None) -> LoadedModel:
    """Write a model file with random weights and batch-norm statistics to ``path``, and load it.

    The logits are centred on an image of noise, so that every class occurs.
    """
    torch.manual_seed(seed)
    net = UNet(config).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    with torch.no_grad():
        noise = torch.rand(1, config.in_channels, 8 * config.stride, 8 * config.stride)
        net.head.bias -= net((noise - 0.5) / 0.25).mean((0, 2, 3))
    names = ["background", *(f"class {index}" for index in range(1, max(2, config.out_channels)))]
    classes = tuple(ModelClass(index, name, COLOURS[index % len(COLOURS)]) for index, name in enumerate(names))
    channels = config.in_channels
    info = ModelInfo("random", config, classes, ModelInput(channels, mpp, (0.5,) * channels, (0.25,) * channels))
    save_model(path, net, info)
    return load_model_file(path)
