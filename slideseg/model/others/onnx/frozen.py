"""An ONNX network whose statistics are frozen: what it takes of the whole image is measured once, and is constant from then on.

As `slideseg.model.reach.frozen` has it for PyTorch's networks: norms become batch norms, and poolings and means over the image
give what they gave of the sample. Nodes are measured one after the other, each behind those that are frozen already. A node's
number is its place in the graph, from 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from slideseg.model.others.onnx.graph import attribute
from slideseg.model.reach.frozen import EPSILON, Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from onnx import ModelProto, NodeProto
    from torch import Tensor

NORM = "InstanceNormalization"
"""Group norms are written as one, too, of an image whose channels were put together."""


def frozen_graph(data: bytes, statistics: Mapping[int, tuple[Tensor, ...]]) -> bytes:
    """Return a network that uses statistics in place of its images' own."""
    model = onnx.load_model_from_string(data)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for number, node in enumerate(nodes, 1):
        if number in statistics:
            names = [f"slideseg_{number}_{at}" for at in range(len(statistics[number]))]
            for name, tensor in zip(names, statistics[number], strict=True):
                model.graph.initializer.append(numpy_helper.from_array(tensor.numpy(), name))
            model.graph.node.extend(_frozen(node, number, names))
        else:
            model.graph.node.append(node)
    made: bytes = model.SerializeToString(deterministic=True)
    return made


def measure_graph(data: bytes, places: Collection[int], run: Callable[[bytes], np.ndarray]) -> Statistics:
    """Return the statistics of some nodes; ``run`` gives what a graph makes of the sample, two images or more."""
    found: dict[int, tuple[Tensor, ...]] = {}
    for number in sorted(places):
        node = onnx.load_model_from_string(data).graph.node[number - 1]
        is_norm = node.op_type == NORM
        values = run(_giving(frozen_graph(data, found), node.input[0] if is_norm else node.output[0]))
        found[number] = _of_norm(values) if is_norm else _of_pool(values)
    return Statistics(found)


def _frozen(node: NodeProto, number: int, names: list[str]) -> list[NodeProto]:
    """Return what a node becomes that uses tensors of these names."""
    output = node.output[0]
    if node.op_type == NORM:
        epsilon = attribute(node, "epsilon", EPSILON)
        return [helper.make_node("BatchNormalization", [*node.input[:3], *names], [output], name=node.name, epsilon=epsilon)]
    own, sides = f"slideseg_{number}_own", f"slideseg_{number}_sides"
    node.output[0] = own  # it still says how many images there are
    return [node, helper.make_node("Shape", [own], [sides]), helper.make_node("Expand", [names[0], sides], [output])]


def _giving(data: bytes, name: str) -> bytes:
    """Return a graph that gives one of its tensors alone."""
    model: ModelProto = onnx.load_model_from_string(data)
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=name))
    made: bytes = model.SerializeToString()
    return made


def _of_norm(values: np.ndarray) -> tuple[Tensor, ...]:
    """Return mean and variance (C) of what a norm is given."""
    axes = (0, *range(2, values.ndim))
    exact = values.astype(np.float64)
    return tuple(torch.from_numpy(found.astype(np.float32)) for found in (exact.mean(axes), exact.var(axes)))


def _of_pool(values: np.ndarray) -> tuple[Tensor, ...]:
    """Return the mean over images of what a pooling gives of each, in the numbers that it gives."""
    mean = values.astype(np.float64).mean(0, keepdims=True)
    return (torch.from_numpy(mean.astype(values.dtype)),)
