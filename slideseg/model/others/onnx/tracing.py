"""From a PyTorch network to an ONNX graph: of what it does with one image, tried on images of another size."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import onnx
import torch

from slideseg.errors import ModelError, explain, one_line
from slideseg.model.network.same_form import logits_of
from slideseg.model.others.onnx.net import FAULTS as OF_ONNX
from slideseg.model.others.onnx.net import OnnxNet

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

OPSET = 17
IMAGE, LOGITS = "image", "logits"
"""What goes in and out is called."""
FAULTS = (*OF_ONNX, TypeError, AttributeError, AssertionError, LookupError, ArithmeticError, ImportError)
"""What PyTorch's exporter, onnxruntime and people's networks raise."""
ANY_SIZE = "one that takes images of any size (dynamic_shapes of torch.export)"
SAME = 1e-4
"""Differences of logits that are but rounding, as a share of the largest."""


def trace(net: nn.Module, channels: int, side: int, what: str) -> ModelProto:
    """Return a network as a graph for images (N, C, H, W) of any size, traced with one of so many pixels a side.

    Raises:
        ModelError: if it can't be written as a graph, or that gives something else for another size; ``what`` names it.
    """
    axes = {0: "batch", 2: "height", 3: "width"}
    file = io.BytesIO()
    to_file: Any = file  # older exporters write there too
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.onnx.export(
                net, (torch.rand(1, channels, side, side),), to_file, dynamo=False, opset_version=OPSET,
                input_names=[IMAGE], output_names=[LOGITS], dynamic_axes={IMAGE: axes, LOGITS: axes},
            )  # fmt: skip
    except FAULTS as error:
        got, try_ = one_line(f"{type(error).__name__}: {error}")[:200], ANY_SIZE
        raise ModelError(explain(f"{what} can't be written as ONNX", got=got, try_=try_)) from error
    _check_same(net, file.getvalue(), channels, side, what)
    return onnx.load_model_from_string(file.getvalue())


def _check_same(net: nn.Module, data: bytes, channels: int, side: int, what: str) -> None:
    image = torch.rand((2, channels, 2 * side, 3 * side), generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode(), warnings.catch_warnings(action="ignore"):
            want = torch.cat([logits_of(net(one)) for one in image[:, None]])  # programs may be for one image at a time
            found = OnnxNet(data, "NCHW", "none")(image)
    except FAULTS as error:
        got = one_line(f"{type(error).__name__}: {error}")[:200]
        raise ModelError(explain(f"{what} can't be written as ONNX for images of any size", got=got, try_=ANY_SIZE)) from error
    difference = float((want - found).abs().max() / want.abs().max()) if want.shape == found.shape else float("inf")
    if not difference <= SAME:
        got, limit = f"{difference:.1e} of the largest logit", f"at most {SAME}"
        raise ModelError(explain(f"the ONNX graph of {what} gives something else than it", got=got, want=limit))
