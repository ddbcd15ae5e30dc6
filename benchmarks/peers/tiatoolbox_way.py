"""TIAToolbox's SemanticSegmentor: patches of a slide's file, of which the middle is kept and averaged where they overlap."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
import torch
import zarr
from plain import Net, Plain, picture
from torchvision_ready import make_torchvision_ready

make_torchvision_ready()

from tiatoolbox.models.engine.io_config import IOSegmentorConfig  # noqa: E402
from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor  # noqa: E402
from tiatoolbox.models.models_abc import ModelABC  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

BASELINE = [{"units": "baseline", "resolution": 1.0}]
SIDES = {"default": (1024, 512, 450, 8), "best": (1216, 1024, 1024, 1)}
"""Sides of a patch and of what is kept of it, the step to the next, and patches at once. By default those of its own U-Net
(``fcn_resnet50_unet-bcss``); at best no pixel is computed twice but those that others need around them."""


class _Model(ModelABC):  # type: ignore[misc]
    """The network as TIAToolbox runs one."""

    def __init__(self, net: Net, kept: int) -> None:
        super().__init__()
        self.net, self.layout, self.kept = net.net, net.layout, kept
        self.mean, self.std = (torch.tensor(of) for of in (net.model.info.input.mean, net.model.info.input.std))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return probabilities of the classes."""
        p_NKHW = self.net(x_NCHW.contiguous(memory_format=self.layout))
        return p_NKHW.softmax(1) if p_NKHW.shape[1] > 1 else torch.cat((1 - p_NKHW.sigmoid(), p_NKHW.sigmoid()), 1)

    @staticmethod
    def infer_batch(model: _Model, batch_data: Tensor, *, device: str) -> np.ndarray:
        """Return probabilities (N, y, x, K) of the middle of patches (N, y, x, 3)."""
        x_NHWC = (batch_data.to(device, torch.float32) / 255 - model.mean) / model.std
        cut = (x_NHWC.shape[1] - model.kept) // 2
        with torch.inference_mode():
            p_NKHW = model(x_NHWC.permute(0, 3, 1, 2))[..., cut : cut + model.kept, cut : cut + model.kept]
        return np.asarray(p_NKHW.permute(0, 2, 3, 1))

    @staticmethod
    def postproc(image: np.ndarray) -> np.ndarray:
        """Return the likeliest class."""
        return np.argmax(image, axis=-1)


def segment(net: Net, slide: Path, out: Path, way: str) -> None:
    """Write the classes of a slide's file into an array of Zarr."""
    side, kept, step, batch = SIDES[way]
    settings = IOSegmentorConfig(
        input_resolutions=BASELINE, output_resolutions=BASELINE, save_resolution=BASELINE[0],
        patch_input_shape=[side] * 2, patch_output_shape=[kept] * 2, stride_shape=[step] * 2,
    )  # fmt: skip
    engine = SemanticSegmentor(_Model(net, kept), batch_size=batch, verbose=False)
    folder = out.with_suffix(".tiatoolbox")
    written = engine.run(
        [slide], patch_mode=False, ioconfig=settings, save_dir=folder, output_type="zarr", auto_get_mask=False, overwrite=True
    )
    Path(written[slide], "predictions").rename(out)


def default(plain: Plain) -> Callable[[], np.ndarray]:
    """As its own U-Net is run."""
    return lambda: _classes(plain, "default")


def best(plain: Plain) -> Callable[[], np.ndarray]:
    """Patches that overlap by what the network sees, in the faster layout."""
    return lambda: _classes(plain, "best")


def _classes(plain: Plain, way: str) -> np.ndarray:
    """Return the classes (y, x) of the picture, which goes over the disk as it does for its users."""
    with tempfile.TemporaryDirectory() as name:
        slide, out = Path(name, "slide.tif"), Path(name, "out.zarr")
        tifffile.imwrite(slide, picture(), tile=(256, 256), photometric="rgb")
        segment(plain, slide, out, way)
        return np.asarray(zarr.open(out, mode="r")[:]).astype(np.uint8)


WAYS = {"default": default, "best": best}
