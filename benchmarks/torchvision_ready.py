"""Import what imports torchvision, where its compiled part does not fit PyTorch: there is no build beside one without CUDA."""

from __future__ import annotations

import torch


def make_torchvision_ready() -> object:
    """Declare the operators that torchvision looks for when it is imported, where it will have none.

    They are never called: what others import of it are layers and transforms. Keep what is returned for as long as it is used.
    """
    if hasattr(torch.ops.torchvision, "nms"):
        return None
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators
