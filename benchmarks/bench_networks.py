"""Do tiles of other people's networks equal one pass over the whole image, and what do sliding windows make of them?

    python benchmarks/bench_networks.py --package unet2d_nuclei_broad
    python benchmarks/bench_networks.py MONAI         # some of them, to look at

Networks of segmentation_models.pytorch, MONAI and torchvision as these make them, with random weights and batch norms that have
seen the picture; their logits are brought to mean 0 and deviation 1 a class, so every class occurs. On real H&E:

- stride, reach and what prevents exact tiles, as `slideseg model import` finds them, and how long that takes;
- tiles of three sizes against one pass over the mirror-padded picture: other classes, largest difference of probabilities;
- MONAI's sliding window at its defaults (windows of 256, overlap 0.25) against one pass over the picture;
- of networks that look at the whole image: windows that are blended (``--inexact``), and frozen statistics: tiles against the
  whole, and the frozen network against the original on the whole picture.

One is an ONNX file that Keras writes, in an environment of its own under build/peers. A bioimage.io package is one more, where
it is given: the published figures are of unet2d_nuclei_broad, which github.com/bioimage-io/spec-bioimage-io has among its
examples.

Claim: every network that is found to be exact has 0 other classes, and differences below 1e-5.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from bench_peers import ASKED, python_of
from common import hardware, write_result
from make_tiff import content
from torch import Tensor, nn
from torchvision_ready import make_torchvision_ready

import slideseg
from slideseg.errors import ModelError
from slideseg.model.config import UNetConfig
from slideseg.model.file import ready
from slideseg.model.load import load_model
from slideseg.model.network.probabilities import probabilities_of
from slideseg.model.network.same_form import logits_of
from slideseg.model.network.unet import UNet
from slideseg.model.others.described import OtherNetwork
from slideseg.model.others.importing import import_network
from slideseg.model.reach.frozen import measure
from slideseg.model.windows.described import WINDOW as OURS
from slideseg.model.windows.model import in_windows
from slideseg.prediction import in_memory
from slideseg.slide.array import ArraySlide

if TYPE_CHECKING:
    from collections.abc import Callable

    from slideseg.model.file import LoadedModel

SIDE = 768
CORES = (256, 384, 768)
CLASSES = ("background", "one", "two")
WINDOW = 256
SMP = (
    ("Unet", "resnet18"), ("Unet", "resnet34"), ("Unet", "mobilenet_v2"), ("Unet", "timm-mobilenetv3_small_100"),
    ("UnetPlusPlus", "resnet18"), ("FPN", "resnet18"), ("DeepLabV3Plus", "resnet18"), ("PSPNet", "resnet18"),
)  # fmt: skip


class Centred(nn.Module):
    """A network whose logits are brought to mean 0 and deviation 1 a class, as they are on a picture."""

    def __init__(self, net: nn.Module, picture_NCHW: Tensor) -> None:
        super().__init__()
        self.net = _seen(net, picture_NCHW)
        with torch.inference_mode():
            deviation, mean = torch.std_mean(logits_of(self.net(picture_NCHW)), (0, 2, 3), keepdim=True)
        self.register_buffer("mean", mean.clone())
        self.register_buffer("deviation", deviation.clone())

    def forward(self, x_NCHW: Tensor) -> Tensor:
        found: Tensor = (logits_of(self.net(x_NCHW)) - self.mean) / self.deviation
        return found


def _seen(net: nn.Module, picture_NCHW: Tensor) -> nn.Module:
    """Return a network whose batch norms have seen a picture, in evaluation mode."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean of what is seen
    with torch.no_grad():
        net.train()(torch.cat([picture_NCHW, picture_NCHW.flip(3)]))  # of one picture a global pooling has no deviation
    return net.eval()


def networks() -> dict[str, Callable[[], nn.Module]]:
    """Return what makes each network, by its name."""
    import segmentation_models_pytorch as smp  # noqa: PLC0415 - torchvision is made ready before
    from monai.networks import nets  # noqa: PLC0415
    from torchvision.models import segmentation  # noqa: PLC0415

    unet: dict[str, Any] = {"channels": (16, 32, 64, 128), "strides": (2, 2, 2), "num_res_units": 2}
    ours = {f"our U-Net, {up}": partial(UNet, UNetConfig(3, 3, 8, 4, up)) for up in ("bilinear", "bilinear-corners")}  # type: ignore[arg-type]
    return {
        **ours,
        **{
            f"smp {net}, {encoder}": partial(getattr(smp, net), encoder_name=encoder, encoder_weights=None, classes=3)
            for net, encoder in SMP
        },
        "MONAI BasicUNet, batch norm": partial(nets.BasicUNet, 2, 3, 3, norm="batch"),
        "MONAI BasicUNet": partial(nets.BasicUNet, 2, 3, 3),
        "MONAI UNet, batch norm": partial(nets.UNet, 2, 3, 3, **unet, norm="batch"),
        "MONAI UNet": partial(nets.UNet, 2, 3, 3, **unet),
        "MONAI DynUNet": partial(nets.DynUNet, 2, 3, 3, [3, 3, 3, 3], [1, 2, 2, 2], [2, 2, 2]),
        "MONAI SegResNet": partial(nets.SegResNet, 2, 8, 3, 3),
        "MONAI AttentionUnet": partial(nets.AttentionUnet, 2, 3, 3, (16, 32, 64), (2, 2)),
        "torchvision FCN, resnet50": partial(segmentation.fcn_resnet50, weights=None, weights_backbone=None, num_classes=3),
    }


@dataclass(frozen=True)
class Compared:
    """How one class map, and its probabilities, differ from another."""

    other_classes: float
    difference: float

    @classmethod
    def of(cls, p_KHW: np.ndarray, want_KHW: np.ndarray) -> Compared:
        others = np.count_nonzero(p_KHW.argmax(0) != want_KHW.argmax(0)) / want_KHW[0].size
        return cls(float(f"{others:.2g}"), float(f"{np.abs(p_KHW - want_KHW).max():.1e}"))

    def worse(self, other: Compared) -> Compared:
        return Compared(max(self.other_classes, other.other_classes), max(self.difference, other.difference))


def whole(model: LoadedModel, image: np.ndarray) -> np.ndarray:
    """Return the probabilities of one pass over the mirror-padded image."""
    halo = model.info.network.halo
    padded = np.pad(image, ((halo, halo), (halo, halo), (0, 0)), "reflect")
    with torch.inference_mode():
        return classes_of(model.module(model.preprocess(padded)))[:, halo:-halo, halo:-halo]


def classes_of(logits_1KHW: Tensor) -> np.ndarray:
    """Return the probabilities (K, H, W) of two classes or more."""
    p_KHW = probabilities_of(logits_1KHW)[0]
    return (torch.cat([1 - p_KHW, p_KHW]) if len(p_KHW) == 1 else p_KHW).numpy()


def tiled(model: LoadedModel, image: np.ndarray, want_KHW: np.ndarray, cores: tuple[int, ...] = CORES) -> Compared:
    """Compare tiles with a whole pass; class maps to the pixel, probabilities before they are rounded."""
    found = Compared(0, 0)
    for core in cores:
        p_KHW = np.zeros_like(want_KHW)
        for box in in_memory.Box.of_shape(image.shape[:2]).split(core, core):
            seen = box.round_out(model.stride).grow(model.info.network.margin)
            pixels = in_memory.read_mirrored(ArraySlide(image), seen)
            with torch.inference_mode():
                core_KHW = classes_of(model.net.forward_valid(model.preprocess(pixels)))
            p_KHW[:, *box.slices] = core_KHW[:, : box.shape[0], : box.shape[1]]
        found = found.worse(Compared.of(p_KHW, want_KHW))
    return found


def sliding(net: nn.Module, x_NCHW: Tensor) -> Compared:
    """Compare MONAI's sliding window with one pass over the picture as it is."""
    from monai.inferers import sliding_window_inference  # noqa: PLC0415

    with torch.inference_mode():
        want = classes_of(logits_of(net(x_NCHW)))
        found = sliding_window_inference(x_NCHW, (WINDOW, WINDOW), 1, lambda x: logits_of(net(x)))
    return Compared.of(classes_of(found), want)  # type: ignore[arg-type]


def measured(make: Callable[[], nn.Module], image: np.ndarray) -> dict[str, object]:
    """Measure a library's network."""
    torch.manual_seed(0)
    x_NCHW = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.25
    net, started = Centred(make(), x_NCHW), time.perf_counter()
    try:
        model = slideseg.Model(net, classes=CLASSES, mean=(0.5,) * 3, std=(0.25,) * 3)
    except ModelError as error:
        return {"refused": str(error), "sliding_window": vars(sliding(net, x_NCHW))}
    return compared(model, image, time.perf_counter() - started)


def measured_file(source: Path, image: np.ndarray, **said: Any) -> dict[str, object]:
    """Measure an ONNX file, or a package of one."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        import_network(source, Path(folder) / "m", **said)
        return compared(load_model(Path(folder) / "m"), image, time.perf_counter() - started)


def keras_file(folder: str) -> Path:
    """Return an ONNX file that Keras wrote."""
    file = Path(folder) / "keras.onnx"
    words = [python_of("keras", with_ours=False), str(ASKED / "keras_unet.py"), str(file)]
    subprocess.run(words, check=True, capture_output=True)
    return file


def compared(model: LoadedModel, image: np.ndarray, seconds: float) -> dict[str, object]:
    """Compare tiles, windows and one pass over the picture."""
    network, net, x_NCHW = model.info.config, model.as_trained, model.preprocess(image)
    assert isinstance(network, OtherNetwork)
    want = whole(model, image)
    found: dict[str, object] = {
        "stride": network.stride,
        "reach": network.reach,
        "halo": network.halo,
        "obstacles": len(network.obstacles),
        "first_obstacle": network.obstacles[0].removeprefix("net.") if network.obstacles else None,
        "curable": network.curable,
        "seconds_to_import": round(seconds, 1),
        "multiplications": round(network.multiplications),
        "tiles": vars(tiled(model, image, want) if network.exact else tiled(in_windows(model, OURS), image, want, (SIDE,))),
        "sliding_window": vars(sliding(net, x_NCHW)),
    }
    if network.places and network.curable:
        parts = [x_NCHW[..., y : y + WINDOW, x : x + WINDOW] for y in range(0, SIDE, WINDOW) for x in range(0, SIDE, WINDOW)]
        frozen = ready(model.as_trained, model.info, "", measure(model.as_trained, network.places, torch.cat(parts)))
        frozen_whole = whole(frozen, image)
        found["frozen_tiles"] = vars(tiled(frozen, image, frozen_whole))
        found["frozen_against_itself"] = vars(Compared.of(frozen_whole, want))
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", help="only networks whose names hold one of these; the result is not kept")
    parser.add_argument("--package", type=Path, help="a bioimage.io package of a network for grey images")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    make_torchvision_ready()
    busy, found = hardware(), {}
    image = content()[:SIDE, :SIDE]
    grey = image.mean(2, keepdims=True).astype(np.uint8)
    own = {"mean": [float(grey.mean() / 255)], "std": [float(grey.std() / 255)]}
    with tempfile.TemporaryDirectory() as folder:
        wanted: dict[str, Callable[[], dict[str, object]]] = {
            name: partial(measured, make, image) for name, make in networks().items()
        }
        wanted["Keras U-Net, by ONNX"] = lambda: measured_file(keras_file(folder), image, classes=CLASSES)
        if given.package:
            wanted[f"bioimage.io {given.package.stem}"] = partial(measured_file, given.package, grey, **own)
        for name, measure_it in wanted.items():
            if not given.names or any(word in name for word in given.names):
                found[name] = measure_it()
                print(name, found[name], flush=True)
    if not given.names:
        sides = {"side": SIDE, "cores": CORES, "window": WINDOW, "ours": OURS}
        write_result("networks", {**sides, "networks": found}, busy)


if __name__ == "__main__":
    main()
