"""How far do other people's networks see, and which of them can be tiled exactly?

    pip install --no-deps --target build/networks torchvision timm segmentation-models-pytorch monai
    pip install --target build/networks huggingface-hub
    python benchmarks/probe_networks.py build/networks

Networks of random weights, as their libraries make them; the probe is `slideseg.model.reach.probe`. The difference is that of a
tile's logits to a larger window's, as a share of the largest.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from common import hardware, write_result

from slideseg.model.config import UNetConfig
from slideseg.model.network.unet import UNet
from slideseg.model.reach.probe import largest_difference, probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

SMP = (
    ("Unet", "resnet18"), ("Unet", "resnet34"), ("Unet", "mobilenet_v2"), ("Unet", "timm-mobilenetv3_small_100"),
    ("UnetPlusPlus", "resnet18"), ("FPN", "resnet18"), ("DeepLabV3Plus", "resnet18"), ("PSPNet", "resnet18"),
)  # fmt: skip


def networks() -> dict[str, Callable[[], nn.Module]]:
    """Return what makes each network, by its name."""
    import segmentation_models_pytorch as smp  # noqa: PLC0415 - where they are is known now
    from monai.networks import nets  # noqa: PLC0415

    unet: dict[str, Any] = {"channels": (16, 32, 64, 128), "strides": (2, 2, 2), "num_res_units": 2}
    return {
        **{f"our U-Net, {up}": partial(UNet, UNetConfig(3, 2, 8, 4, up)) for up in ("conv", "bilinear", "bilinear-corners")},  # type: ignore[arg-type]
        "MONAI BasicUNet": partial(nets.BasicUNet, 2, 3, 2),
        "MONAI BasicUNet, batch norm": partial(nets.BasicUNet, 2, 3, 2, norm="batch"),
        "MONAI UNet": partial(nets.UNet, 2, 3, 2, **unet),
        "MONAI UNet, batch norm": partial(nets.UNet, 2, 3, 2, **unet, norm="batch"),
        "MONAI DynUNet": partial(nets.DynUNet, 2, 3, 2, [3, 3, 3, 3], [1, 2, 2, 2], [2, 2, 2]),
        "MONAI SegResNet": partial(nets.SegResNet, 2, 8, 3, 2),
        "MONAI AttentionUnet": partial(nets.AttentionUnet, 2, 3, 2, (16, 32, 64), (2, 2)),
        **{
            f"smp {net}, {encoder}": partial(getattr(smp, net), encoder_name=encoder, encoder_weights=None, classes=2)
            for net, encoder in SMP
        },
    }


def probed(make: Callable[[], nn.Module]) -> dict[str, object]:
    """Probe a network."""
    torch.manual_seed(0)
    net, started = make().eval(), time.perf_counter()
    reach = probe(net, 3)
    return {
        "stride": reach.stride,
        "margin": reach.margin,
        "exact": reach.exact,
        "obstacles": [str(obstacle) for obstacle in reach.obstacles],
        "seconds": round(time.perf_counter() - started, 1),
        "largest_difference": float(f"{largest_difference(net, reach, 3, cells=2):.1e}"),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("libraries", type=Path, help="the folder that they are installed in")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.path.append(str(given.libraries))
    operators = torch.library.Library("torchvision", "DEF")  # it only needs to have them where it was built for another PyTorch
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    busy, found = hardware(), {}
    for name, make in networks().items():
        found[name] = probed(make)
        print(name, found[name], flush=True)
    write_result("networks", {"networks": found}, busy)


if __name__ == "__main__":
    main()
