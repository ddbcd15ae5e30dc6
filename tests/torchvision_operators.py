"""torchvision without operators of its own, as `tests/networks.txt` brings it: some libraries only want to find it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

_KEPT: list[Any] = []


def define_operators() -> None:
    """Have the two operators that it asks for when it is imported, where it was built for another PyTorch."""
    if _KEPT or find_spec("torchvision") is None:
        return
    import torch  # noqa: PLC0415 - tests that need neither do without

    try:
        found = torch._C._dispatch_has_kernel_for_dispatch_key("torchvision::nms", "CPU")
    except RuntimeError:
        found = False
    if not found:
        _KEPT.append(torch.library.Library("torchvision", "DEF"))
        for name in ("nms", "qnms"):
            _KEPT[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
