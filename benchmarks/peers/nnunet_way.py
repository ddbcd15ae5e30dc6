"""nnU-Net's sliding window: half-overlapping windows, weighted by a Gaussian, and by default also mirrored four ways."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from plain import TILE, Plain, classes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def _way(plain: Plain, side: int, step: float, *, mirrored: bool) -> Callable[[], np.ndarray]:
    predictor = nnUNetPredictor(
        tile_step_size=step,
        use_mirroring=mirrored,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.network = plain.net
    predictor.configuration_manager = SimpleNamespace(patch_size=(side, side))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=plain.net.config.out_channels)
    predictor.allowed_mirroring_axes = (0, 1) if mirrored else None
    image_CZHW = plain.x_NCHW[0][:, None].contiguous()
    return lambda: classes_of(predictor.predict_sliding_window_return_logits(image_CZHW)[:, 0][None].float())


def default(plain: Plain) -> Callable[[], np.ndarray]:
    """As it comes."""
    return _way(plain, TILE, 0.5, mirrored=True)


def best(plain: Plain) -> Callable[[], np.ndarray]:
    """Larger windows that overlap little, in the faster layout, nothing mirrored."""
    return _way(plain, 576, 0.9, mirrored=False)


WAYS = {"default": default, "best": best}
