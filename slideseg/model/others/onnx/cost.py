"""What an ONNX network costs, by the sizes of all that it makes of a small image."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import onnx
import torch

from slideseg.model.others.cost import SIDE
from slideseg.model.others.described import Cost
from slideseg.model.others.onnx.graph import inputs_of, weights_in
from slideseg.model.others.onnx.net import OnnxNet

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from slideseg.model.others.onnx.graph import OnnxForm

Sizes = dict[str, tuple[int, ...]]
"""The sides of each tensor."""


def cost_of_graph(model: ModelProto, form: OnnxForm, stride: int) -> Cost:
    """Return the cost a pixel."""
    side = -(-SIDE // stride) * stride
    sizes = _sizes(model, form, side)
    pixels, values = side * side, {name: prod(size) for name, size in sizes.items()}
    weights = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    return Cost(
        weights=sum(weights_in(model.graph)),
        multiplications=sum(_multiplications(node, sizes | weights) for node in model.graph.node) / pixels,
        values=_most_alive(model, values) / pixels,
        widest=max(values.values()) / pixels,
    )


def _sizes(model: ModelProto, form: OnnxForm, side: int) -> Sizes:
    """Return the sizes of all that is made of an image of so many pixels a side: by making it, with all of it for an output."""
    told = onnx.ModelProto.FromString(model.SerializeToString())
    del told.graph.output[:]
    names = [name for node in told.graph.node for name in node.output if name]
    told.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    net = OnnxNet(told.SerializeToString(), form.layout, "none")
    (given,) = inputs_of(model.graph)
    image = torch.zeros((1, form.channels, side, side))
    return {given.name: tuple(image.shape), **dict(zip(names, net.sizes(image), strict=True))}


def _multiplications(node: NodeProto, sizes: Sizes) -> int:
    """Return those of a convolution or a product of matrices."""
    out = prod(sizes.get(node.output[0], (0,)))
    if node.op_type == "Conv":
        return out * prod(sizes.get(node.input[1], (0,))[1:])
    if node.op_type == "ConvTranspose":
        return prod(sizes.get(node.input[0], (0,))) * prod(sizes.get(node.input[1], (0,))[1:])
    if node.op_type in ("MatMul", "Gemm"):
        return out * sizes.get(node.input[0], (0,))[-1]
    return 0


def _most_alive(model: ModelProto, values: dict[str, int]) -> int:
    """Return the most values alive at once, each from when it is made until nobody needs it any more."""
    nodes = model.graph.node
    last = {name: at for at, node in enumerate(nodes) for name in node.input}
    alive = {one.name: values.get(one.name, 0) for one in inputs_of(model.graph)}
    most = 0
    for at, node in enumerate(nodes):
        alive |= {name: values.get(name, 0) for name in node.output}
        most = max(most, sum(alive.values()))
        for name in [name for name in alive if last.get(name, len(nodes)) <= at]:
            del alive[name]
    return most
