"""nnU-Net's sliding window: half-overlapping windows, weighted by a Gaussian, and by default also mirrored four ways."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from plain import TILE, Net, Plain, classes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor


def _predictor(net: Net, side: int, step: float, *, mirrored: bool) -> nnUNetPredictor:
    predictor = nnUNetPredictor(
        tile_step_size=step,
        use_mirroring=mirrored,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.network = net.net
    predictor.configuration_manager = SimpleNamespace(patch_size=(side, side))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=net.net.config.out_channels)
    predictor.allowed_mirroring_axes = (0, 1) if mirrored else None
    return predictor


def default(plain: Plain) -> Callable[[], np.ndarray]:
    """As it comes."""
    return lambda: classes(plain, plain.x_NCHW, "default")


def best(plain: Plain) -> Callable[[], np.ndarray]:
    """Larger windows that overlap little, in the faster layout, nothing mirrored."""
    return lambda: classes(plain, plain.x_NCHW, "best")


def classes(net: Net, x_NCHW: Tensor, way: str) -> np.ndarray:
    """Return the classes (y, x) of an image."""
    default = way == "default"
    predictor = _predictor(net, TILE if default else 576, 0.5 if default else 0.9, mirrored=default)
    image_CZHW = x_NCHW[0][:, None].contiguous()
    return classes_of(predictor.predict_sliding_window_return_logits(image_CZHW)[:, 0][None].float())


WAYS = {"default": default, "best": best}
