"""An ONNX network as a PyTorch module; onnxruntime runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as errors
from torch import Tensor, nn

from slideseg.errors import ModelError, explain, one_line
from slideseg.model.network.probabilities import logits_of_probabilities
from slideseg.model.others.onnx.frozen import frozen_graph, measure_graph

if TYPE_CHECKING:
    from collections.abc import Collection

    from slideseg.model.others.onnx.graph import Activation, Layout
    from slideseg.model.reach.frozen import Statistics

PROVIDERS = {"cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"], "cpu": ["CPUExecutionProvider"]}
FAULTS = (
    *(errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.NotImplemented, errors.RuntimeException),
    *(errors.InvalidProtobuf, errors.EPFail, RuntimeError, ValueError),
)
"""What onnxruntime raises."""


class OnnxNet(nn.Module):
    """Images (N, C, H, W) to logits (N, K, H, W), in float32 whatever the number format of what it is given."""

    def __init__(self, data: bytes, layout: Layout, activation: Activation) -> None:
        """Take a checked model's bytes, where its channels are, and what it does last."""
        super().__init__()
        self.data, self._layout, self._activation = data, layout, activation
        self._sessions: dict[str, Any] = {}

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the logits.

        Raises:
            RuntimeError: if it can't be run on such images.
        """
        out = torch.from_numpy(self.run(x_NCHW)[0]).to(x_NCHW.device)
        out = out.movedim(-1, 1) if self._layout == "NHWC" else out
        return out if self._activation == "none" else logits_of_probabilities(out.double())

    def sizes(self, x_NCHW: Tensor) -> list[tuple[int, ...]]:
        """Return the sides of each of its outputs."""
        return [tuple(found.shape) for found in self.run(x_NCHW)]

    def measured(self, places: Collection[int], sample_NCHW: Tensor) -> Statistics:
        """Return the statistics of some nodes, by their numbers, over a sample of images."""

        def run(data: bytes) -> Any:
            return OnnxNet(data, self._layout, "none").run(sample_NCHW)[0]

        return measure_graph(self.data, places, run)

    def frozen(self, statistics: Statistics) -> OnnxNet:
        """Return a network that uses statistics in place of its images' own."""
        return OnnxNet(frozen_graph(self.data, statistics.of_calls), self._layout, self._activation)

    def run(self, x_NCHW: Tensor) -> list[Any]:
        """Return all its outputs, as it gives them.

        Raises:
            RuntimeError: if it can't be run on such images.
        """
        session = self._session(x_NCHW.device.type)
        image = x_NCHW.detach().float()
        image = image.movedim(1, -1) if self._layout == "NHWC" else image
        try:
            found: list[Any] = session.run(None, {session.get_inputs()[0].name: image.contiguous().cpu().numpy()})
        except FAULTS as error:
            raise RuntimeError(one_line(str(error))) from error
        return found

    def _session(self, device: str) -> Any:
        if device not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.log_severity_level = 4
            options.enable_cpu_mem_arena = False  # what a tile took is given back
            try:
                self._sessions[device] = onnxruntime.InferenceSession(self.data, options, providers=PROVIDERS[device])
            except FAULTS as error:
                raise ModelError(explain("onnxruntime can't run the network", got=one_line(str(error))[:200])) from error
        return self._sessions[device]

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the sessions, which stay in their process."""
        return {**self.__dict__, "_sessions": {}}
