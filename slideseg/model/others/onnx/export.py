"""A model as an ONNX file for other programs: from pixels on the scale where white is 1 to logits, of images of any size."""

from __future__ import annotations

import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import onnx
import torch
from torch import Tensor, nn

from slideseg.errors import ModelError, explain, one_line
from slideseg.model.network.same_form import logits_of
from slideseg.model.others.onnx.net import OnnxNet

if TYPE_CHECKING:
    from slideseg.model.info import ModelInfo, ModelInput

OPSET = 17
TRIED = 4
"""Strides of a side of the image that the network is traced with."""
SAME = 1e-4
"""Differences of logits that are but rounding, as a share of the largest."""


class OnUnitScale(nn.Module):
    """A network that is given pixels as they are, where white is 1."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, net: nn.Module, seen: ModelInput) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(seen.mean)[:, None, None])
        self.register_buffer("deviation", torch.tensor(seen.std)[:, None, None])

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """Return the logits (N, K, H, W)."""
        found: Tensor = logits_of(self.net((image_NCHW - self.mean) / self.deviation))
        return found


def to_onnx(net: nn.Module, info: ModelInfo) -> bytes:
    """Return a network as it was trained as a file, which is tried on images of another size than it was made with.

    Raises:
        ModelError: if it can't be written as a graph, or that gives something else.
    """
    stride, channels = info.network.stride, info.network.in_channels
    made = OnUnitScale(net, info.input).eval()
    axes = {0: "batch", 2: "height", 3: "width"}
    file, side = io.BytesIO(), TRIED * stride
    to_file: Any = file  # older exporters write there too
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.onnx.export(
                made, (torch.rand(1, channels, side, side),), to_file, dynamo=False, opset_version=OPSET,
                input_names=["image"], output_names=["logits"], dynamic_axes={"image": axes, "logits": axes},
            )  # fmt: skip
    except (RuntimeError, TypeError, ValueError) as error:
        what = f"the network of {info.name} can't be written as ONNX"
        raise ModelError(explain(what, got=one_line(str(error))[:200])) from error
    model = onnx.load_model_from_string(file.getvalue())
    onnx.helper.set_model_props(model, {"slideseg": json.dumps(info.to_dict(), sort_keys=True)})
    data: bytes = model.SerializeToString(deterministic=True)
    _check_same(made, data, info, side)
    return data


def _check_same(made: nn.Module, data: bytes, info: ModelInfo, side: int) -> None:
    image = torch.rand((2, info.network.in_channels, 2 * side, 3 * side), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        want, found = made(image), OnnxNet(data, "NCHW", "none")(image)
    difference = float((want - found).abs().max() / want.abs().max())
    if not difference <= SAME:
        what = f"the ONNX file of {info.name} gives something else than its network"
        raise ModelError(explain(what, got=f"{difference:.1e} of the largest logit", want=f"at most {SAME}"))
