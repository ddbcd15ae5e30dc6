"""What an ONNX file says of its network: checked, freed of the sizes that it was exported with, without other files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import checker, numpy_helper

from slideseg.errors import ModelError, explain, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

Layout = Literal["NCHW", "NHWC"]
"""Where an image's channels are."""
Activation = Literal["none", "sigmoid", "softmax"]
"""What a network does last: its output is logits, or probabilities."""
MOST_CHANNELS = 64
"""Of an image; more in a place are a side."""
AXES = 4
BODIES = ("If", "Loop", "Scan")
"""Operators with a graph inside."""
AFTERWARDS = ("Identity", "Transpose", "Cast")
"""What may come after the last activation."""


@dataclass(frozen=True, slots=True)
class OnnxForm:
    """How a network is given its image, and what it gives."""

    channels: int
    """Channels of the image."""
    layout: Layout
    """Where these are."""
    activation: Activation
    """What it does last."""


def read_graph(data: bytes, what: str) -> ModelProto:
    """Return a model that is valid, whole, and takes images of any size; ``what`` names it in errors.

    Raises:
        ModelError: if it is none, keeps weights in other files, has a loop, or numbers that are none.
    """
    try:
        model = onnx.load_model_from_string(data)
        checker.check_model(model)
    except (DecodeError, checker.ValidationError, ValueError, TypeError) as error:
        raise ModelError(explain(f"{what} is no valid ONNX file", got=one_line(str(error))[:200])) from error
    if loops := [node.op_type for node in model.graph.node if node.op_type in BODIES]:
        raise ModelError(explain(f"{what} decides while it runs what it does", got=loops[0], want="a network without"))
    for weight in model.graph.initializer:
        if weight.data_location == onnx.TensorProto.EXTERNAL:
            raise ModelError(explain(f"{what} keeps weights in other files", got=weight.name, want="one file"))
        values = numpy_helper.to_array(weight)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ModelError(explain(f"weight {weight.name} of {what} is not finite", try_="the file it was copied from"))
    _free_sizes(model.graph)
    return model


def form_of(model: ModelProto, what: str) -> OnnxForm:
    """Return how a network is given its image.

    Raises:
        ModelError: if it takes something else than one image of numbers with fractions.
    """
    inputs = inputs_of(model.graph)
    sizes = [[dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in inputs]
    if len(inputs) != 1 or len(sizes[0]) != AXES or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        got = ", ".join(f"{one.name} {size}" for one, size in zip(inputs, sizes, strict=True))
        raise ModelError(explain(f"{what} takes something else than an image", got=got, want="float32 (N, C, H, W)"))
    channels, layout = _channels(sizes[0])
    if not channels:
        want = "a number in (N, C, H, W) or (N, H, W, C)"
        raise ModelError(explain(f"{what} does not say how many channels its image has", got=sizes[0], want=want))
    return OnnxForm(channels, layout, _activation(model.graph))


def _channels(sides: list[int]) -> tuple[int, Layout]:
    """Return how many channels an image has, and where: the fewer of what stands in either place; 0 if neither is said."""
    _, first, _, last = (side if 0 < side <= MOST_CHANNELS else 0 for side in sides)
    return (last, "NHWC") if last and (not first or last < first) else (first, "NCHW")


def inputs_of(graph: GraphProto) -> list[ValueInfoProto]:
    """Return what a graph is given, without its weights."""
    weights = {weight.name for weight in graph.initializer}
    return [one for one in graph.input if one.name not in weights]


def _activation(graph: GraphProto) -> Activation:
    """Return what a graph does last, before what only moves numbers about."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get(graph.output[0].name)
    while node is not None and node.op_type in AFTERWARDS:
        node = makers.get(node.input[0])
    kinds: dict[str, Activation] = {"Sigmoid": "sigmoid", "Softmax": "softmax"}
    return "none" if node is None else kinds.get(node.op_type, "none")


def _free_sizes(graph: GraphProto) -> None:
    """Let images have any batch and sides: exporters write down those of the image that they tried."""
    for value in inputs_of(graph):
        shape = value.type.tensor_type.shape.dim
        if len(shape) != AXES:
            continue
        _, layout = _channels([dim.dim_value for dim in shape])
        for place, name in zip((0, 1, 2) if layout == "NHWC" else (0, 2, 3), ("batch", "height", "width"), strict=True):
            shape[place].dim_param = name
    for value in graph.output:
        for number, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}_{number}"
    del graph.value_info[:]


def attribute(node: NodeProto, name: str, default: object) -> object:
    """Return a node's attribute."""
    return next((onnx.helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)


def weights_in(graph: GraphProto) -> Iterator[int]:
    """Yield how many numbers each of a graph's weights has."""
    return (int(np.prod(weight.dims)) for weight in graph.initializer)
