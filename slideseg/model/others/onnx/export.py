"""A model as an ONNX file for other programs: from pixels on the scale where white is 1 to logits, of images of any size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import onnx
import torch
from torch import Tensor, nn

from slideseg.model.network.same_form import logits_of
from slideseg.model.others.onnx.tracing import trace

if TYPE_CHECKING:
    from slideseg.model.info import ModelInfo, ModelInput

TRIED = 4
"""Strides of a side of the image that the network is traced with."""


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
    made = OnUnitScale(net, info.input).eval()
    model = trace(made, info.network.in_channels, TRIED * info.network.stride, f"the network of {info.name}")
    onnx.helper.set_model_props(model, {"slideseg": json.dumps(info.to_dict(), sort_keys=True)})
    data: bytes = model.SerializeToString(deterministic=True)
    return data
