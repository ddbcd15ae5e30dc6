"""Import what imports torchvision, where its compiled part does not fit PyTorch: there is no build beside one without CUDA."""

from __future__ import annotations

from functools import cache

import torch


@cache  # which keeps the operators for as long as the process lives
def make_torchvision_ready() -> object:
    """Declare the operators that torchvision looks for when it is imported, where it will have none.

    They are never called: what others import of it are layers and transforms.
    """
    if hasattr(torch.ops.torchvision, "nms"):
        return None
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators
