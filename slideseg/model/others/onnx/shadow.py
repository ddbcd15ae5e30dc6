"""An ONNX network's shadow: a graph that says which output pixels an input pixel can change, with ones for yes.

Weights are ones, constants and biases are nothing, what decides pixel by pixel lets everything through, and after each sum
there are zeros and ones again: nothing cancels, nothing is too small for a float. Of a picture of zeros with a single one the
output is one exactly where that pixel is seen.

What takes something of the whole image is noted by its node's name and then left out, as if it was frozen. What is not known
is noted, too: nothing is believed to be exact that might not be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from slideseg.model.others.onnx.frozen import NORM
from slideseg.model.others.onnx.graph import attribute
from slideseg.model.reach.shadow import Obstacle

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnx import ModelProto, NodeProto

PIXELWISE = frozenset({
    "Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Elu", "Selu", "Celu", "Gelu", "Mish", "Swish", "Sigmoid", "HardSigmoid",
    "HardSwish", "Tanh", "Softplus", "Softsign", "Clip", "Erf", "Exp", "Log", "Sqrt", "Abs", "Neg", "Reciprocal", "Pow",
    "Floor", "Ceil", "Round", "Sin", "Cos", "Sign", "Dropout", "Identity", "Cast", "CastLike", "BatchNormalization",
})  # fmt: skip
"""Operators that make of a pixel what lies in the same place, of their first input."""
CHOICES = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Xor", "Not", "IsNaN", "IsInf"})
"""Operators that say yes or no of each pixel: here they say of what the answer is made."""
ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Where", "Mod"})
"""Operators that make one image of several."""
MOVING = frozenset({
    "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "Tile", "Expand", "DepthToSpace",
    "SpaceToDepth", "MaxPool", "Upsample",
})  # fmt: skip
"""Operators that move numbers about, or take the largest: of zeros and ones these are zeros and ones."""
SUMS = frozenset({"Conv", "ConvTranspose", "Gemm", "AveragePool"})
"""Operators whose weights are their second input."""
NORMS = frozenset({"InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization", "LpNormalization"})
POOLS = frozenset({"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"})
SPATIAL_AXES = 2
"""Axes of an image that are reduced at once where all of it is."""


class _Shadow:
    """A graph on its way to its shadow."""

    def __init__(self, model: ModelProto) -> None:
        inferred = shape_inference.infer_shapes(model)
        values = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
        self._kinds = {value.name: value.type.tensor_type.elem_type for value in values}
        self._ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
        self.constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        """Numbers that the graph holds."""
        self.fixed = set(self.constants)
        """Names of what is made of no image."""
        self.nodes: list[NodeProto] = []
        self.places: list[int] = []
        """Numbers of the nodes that can be frozen; see `slideseg.model.others.onnx.frozen`."""
        self._number = 0
        self.obstacles: dict[Obstacle, None] = {}

    def take(self, node: NodeProto) -> None:
        """Take the next node of the network."""
        self._number += 1
        if all(name in self.fixed for name in node.input if name) or node.op_type == "Shape":
            self.nodes.append(node)
            self.fixed |= set(node.output) if node.op_type != "Shape" else set()
            if node.op_type == "Constant" and (value := attribute(node, "value", None)) is not None:
                self.constants[node.output[0]] = numpy_helper.to_array(value)  # type: ignore[arg-type]
            return
        if not self._is_number(node.output[0]) and node.op_type not in CHOICES:
            if self.images(node):
                self.note(node, f"{node.op_type}, which decides by the image's values")
            self.nodes.append(node)  # a size, or a place
            return
        if node.op_type in CHOICES and not self.images(node):
            self.nodes.append(node)  # of sizes
            return
        self._kinds[node.output[0]] = onnx.TensorProto.FLOAT
        rule = RULES.get(node.op_type)
        if rule is None:
            self.note(node, f"{node.op_type}, which is not known")
            self.nodes.append(node)
        else:
            rule(self, node)

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node; return its output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def nothing(self, name: str) -> str:
        """Return the name of zeros in the form of something."""
        return self.add("Mul", [name, ZERO], f"{name}_nothing_{len(self.nodes)}")

    def note(self, node: NodeProto, kind: str, *, curable: bool = False) -> None:
        """Note that a node is an obstacle, and whether it can be frozen."""
        self.obstacles[Obstacle(node.name, kind, curable)] = None
        self.places += [self._number] if curable else []

    def summed(self, node: NodeProto) -> None:
        """Take a node whose result is ones and zeros again once ones are made of all that is not zero."""
        output = node.output[0]
        node.output[0] = f"{output}_raw"
        self.nodes.append(node)
        self.add("Sign", [self.add("Abs", [f"{output}_raw"], f"{output}_abs")], output)

    def images(self, node: NodeProto) -> list[str]:
        """Return which of a node's inputs are made of the image and have numbers with fractions."""
        return [name for name in node.input if name and name not in self.fixed and self._is_number(name)]

    def rank(self, name: str) -> int:
        """Return how many axes something has; 0 if that is not known."""
        return self._ranks.get(name, 0)

    def _is_number(self, name: str) -> bool:
        return self._kinds.get(name, onnx.TensorProto.FLOAT) in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, 0)


ZERO = "slideseg_zero"
ONE = "slideseg_one"


def shadow_of(model: ModelProto) -> tuple[bytes, tuple[Obstacle, ...], tuple[int, ...]]:
    """Return the shadow of a network as a model of its own, what was noted, and the numbers of nodes that can be frozen."""
    model = _in_single(model)
    shadow = _Shadow(model)
    for node in model.graph.node:
        shadow.take(onnx.NodeProto.FromString(node.SerializeToString()))
    made = onnx.ModelProto.FromString(model.SerializeToString())
    del made.graph.node[:]
    made.graph.node.extend(shadow.nodes)
    numbers = ((ZERO, 0.0), (ONE, 1.0))
    made.graph.initializer.extend(numpy_helper.from_array(np.array(number, np.float32), name) for name, number in numbers)
    return made.SerializeToString(), tuple(shadow.obstacles), tuple(shadow.places)


def _in_single(model: ModelProto) -> ModelProto:
    """Return a network whose numbers of half precision are of single precision."""
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    made: ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    held = [*made.graph.initializer, *(one.t for node in made.graph.node for one in node.attribute if one.HasField("t"))]
    for tensor in (tensor for tensor in held if tensor.data_type == half):
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    for value in (*made.graph.input, *made.graph.output, *made.graph.value_info):
        if value.type.tensor_type.elem_type == half:
            value.type.tensor_type.elem_type = single
    for node in (node for node in made.graph.node if node.op_type == "Cast"):
        for one in (one for one in node.attribute if one.name == "to" and one.i == half):
            one.i = single
    return made


# --- what becomes of nodes ---------------------------------------------------------------------------------------------------


def _through(shadow: _Shadow, node: NodeProto) -> None:
    images = shadow.images(node)
    if len(images) > 1:
        _elementwise(shadow, node)
    elif not images:
        shadow.nodes.append(node)  # of sizes and places
    else:
        shadow.add("Identity", [node.input[0]], node.output[0])


def _elementwise(shadow: _Shadow, node: NodeProto) -> None:
    """Add up what is made of the image; the rest only says how large the result is."""
    images = shadow.images(node)
    said = node.input[1:] if node.op_type == "Where" and node.input[0] not in images else node.input
    parts = [*images, *(shadow.nothing(name) for name in said if name in shadow.fixed)]
    shadow.summed(helper.make_node("Sum", parts, [node.output[0]]))


def _moving(shadow: _Shadow, node: NodeProto) -> None:
    shadow.nodes.append(node)


def _sum(shadow: _Shadow, node: NodeProto) -> None:
    """Do it with ones for weights, and no bias."""
    output = node.output[0]
    if node.op_type != "AveragePool":
        weight = shadow.add("Add", [shadow.nothing(node.input[1]), ONE], f"{output}_weight")
        kept = [node.input[0], weight]
        del node.input[:]
        node.input.extend(kept)
    shadow.summed(node)


def _product(shadow: _Shadow, node: NodeProto) -> None:
    if len(shadow.images(node)) > 1:
        shadow.note(node, "attention")
        shadow.nodes.append(node)  # of zeros and a few ones nothing is left
        return
    output, place = node.output[0], 0 if node.input[0] in shadow.fixed else 1
    node.input[place] = shadow.add("Add", [shadow.nothing(node.input[place]), ONE], f"{output}_weight")
    shadow.summed(node)


def _norm(shadow: _Shadow, node: NodeProto) -> None:
    shadow.note(node, node.op_type.removesuffix("Normalization").lower() + " norm", curable=node.op_type == NORM)
    _through(shadow, node)


def _layer_norm(shadow: _Shadow, node: NodeProto) -> None:
    axis, rank = int(attribute(node, "axis", -1)), shadow.rank(node.input[0])  # type: ignore[call-overload]
    if axis not in (-1, rank - 1):
        shadow.note(node, "layer norm")
        _through(shadow, node)
        return
    _with_its_sum(shadow, node, -1)


def _softmax(shadow: _Shadow, node: NodeProto) -> None:
    axis, rank = int(attribute(node, "axis", -1)), shadow.rank(node.input[0])  # type: ignore[call-overload]
    if rank == SPATIAL_AXES + 2:  # over the channels of an image
        _with_its_sum(shadow, node, axis)
        return
    shadow.note(node, "attention")
    _through(shadow, node)


def _with_its_sum(shadow: _Shadow, node: NodeProto, axis: int) -> None:
    """Add to each number the sum along an axis."""
    output, x = node.output[0], node.input[0]
    axes = f"{output}_axes"
    shadow.add("Constant", [], axes, value=numpy_helper.from_array(np.array([axis], np.int64)))
    total = shadow.add("ReduceSum", [x, axes], f"{output}_sum", keepdims=1)
    shadow.summed(helper.make_node("Sum", [x, total], [output]))


def _pool(shadow: _Shadow, node: NodeProto) -> None:
    shadow.note(node, "global pooling", curable=shadow.rank(node.input[0]) == SPATIAL_AXES + 2)
    output = node.output[0]
    node.output[0] = f"{output}_raw"
    shadow.nodes.append(node)
    shadow.add("Mul", [f"{output}_raw", ZERO], output)


def _reduction(shadow: _Shadow, node: NodeProto) -> None:
    """Note one over several axes, or over all; along one it stays."""
    given = shadow.constants.get(node.input[1]) if len(node.input) > 1 else attribute(node, "axes", None)
    if given is None or np.size(given) >= SPATIAL_AXES:  # type: ignore[arg-type]
        _pool(shadow, node)
        return
    node.op_type = "ReduceSum" if node.op_type == "ReduceSum" else "ReduceMean"
    shadow.summed(node)


def _resize(shadow: _Shadow, node: NodeProto) -> None:
    mode = attribute(node, "coordinate_transformation_mode", b"half_pixel")
    if mode in (b"align_corners", b"tf_crop_and_resize"):
        shadow.note(node, "align_corners=True" if mode == b"align_corners" else "crop and resize")
        kept = [one for one in node.attribute if one.name != "coordinate_transformation_mode"]
        del node.attribute[:]
        node.attribute.extend(kept)
    if len(node.input) > SIZES and node.input[SIZES] in shadow.fixed:
        shadow.note(node, "resizing to a given size")
    shadow.summed(node)


def _pad(shadow: _Shadow, node: NodeProto) -> None:
    del node.input[2:3]  # the value: zero
    shadow.nodes.append(node)


def _concat(shadow: _Shadow, node: NodeProto) -> None:
    parts = [shadow.nothing(name) if name in shadow.fixed else name for name in node.input]
    del node.input[:]
    node.input.extend(parts)
    shadow.nodes.append(node)


SIZES = 3
"""The place of a resizing's sizes among its inputs."""
RULES: dict[str, Callable[[_Shadow, NodeProto], None]] = {
    **dict.fromkeys(PIXELWISE, _through),
    **dict.fromkeys(ELEMENTWISE | CHOICES, _elementwise),
    **dict.fromkeys(MOVING, _moving),
    **dict.fromkeys(SUMS, _sum),
    **dict.fromkeys(NORMS, _norm),
    **dict.fromkeys(POOLS, _pool),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare"), _reduction),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    "LayerNormalization": _layer_norm,
    "MatMul": _product,
    "Resize": _resize,
    "Pad": _pad,
    "Concat": _concat,
}
"""What becomes of each operator."""
