"""Small networks: with random weights, since exactness does not need them to be good, and one whose every answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from slideseg.model.config import UNetConfig
from slideseg.model.file import LoadedModel, load_model_file, save_model
from slideseg.model.info import ModelClass, ModelInfo, ModelInput
from slideseg.model.network.unet import UNet

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = ("#000000", "#e6550d", "#3182bd", "#31a354", "#756bb1")


def random_model(
    path: Path, config: UNetConfig, *, seed: int = 0, mpp: float | None = None, background: float = 0.0
) -> LoadedModel:
    """Write a model file with random weights and batch-norm statistics to ``path``, and load it.

    The logits are centred on an image of noise, so that every class occurs; ``background`` is added to its own, so that objects
    are few.
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
        net.head.bias[0] += background
    names = ["background", *(f"class {index}" for index in range(1, max(2, config.out_channels)))]
    classes = tuple(ModelClass(index, name, COLOURS[index % len(COLOURS)]) for index, name in enumerate(names))
    channels = config.in_channels
    info = ModelInfo("random", config, classes, ModelInput(channels, mpp, (0.5,) * channels, (0.25,) * channels))
    save_model(path, net, info)
    return load_model_file(path)


def threshold_model(path: Path, below: int = 128, *, bright: bool = False, mpp: float | None = None) -> LoadedModel:
    """Write a model that finds ``dark`` pixels to ``path``, and load it: those of 8 bits whose red is ``below`` a value.

    With ``bright`` it finds the others. Every pixel is judged by itself, so what a whole slide gives is known.
    """
    net = UNet(UNetConfig(base_channels=1, depth=1, batch_norm=False)).eval()
    weights = {name: torch.zeros_like(values) for name, values in net.state_dict().items()}
    sign = 1.0 if bright else -1.0
    weights["encoder.0.conv1.weight"][0, 0, 1, 1] = sign  # how bright, or how dark, from 0 to 1
    weights["encoder.0.conv1.bias"][0] = (1 - sign) / 2
    for layer in ("encoder.0.conv2", "decoder.0.conv1", "decoder.0.conv2"):
        weights[f"{layer}.weight"][0, 0, 1, 1] = 1.0
    weights["head.weight"][0] = 255.0
    weights["head.bias"][0] = -(below - 0.5) if bright else below - 0.5 - 255
    net.load_state_dict(weights)
    classes = (ModelClass(0, "background", COLOURS[0]), ModelClass(1, "bright" if bright else "dark", COLOURS[1]))
    save_model(path, net, ModelInfo("threshold", net.config, classes, ModelInput(3, mpp, (0.0,) * 3, (1.0,) * 3)))
    return load_model_file(path)
