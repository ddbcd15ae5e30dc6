"""ONNX files: exported by PyTorch, and written node by node as other frameworks do."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def exported(net: torch.nn.Module, *, sides: tuple[str, ...] = ("height", "width"), channels: int = 3) -> bytes:
    """Return a network as PyTorch writes it, for images of any size unless ``sides`` is empty."""
    axes = dict(enumerate(sides, 2))
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            net.eval(), (torch.rand(1, channels, 64, 64),), file, dynamo=False, input_names=["image"], output_names=["found"],
            dynamic_axes={"image": axes, "found": axes} if axes else None,
        )  # fmt: skip
    return file.getvalue()


def written(
    nodes: list,
    weights: dict[str, np.ndarray],
    shape: list,
    opset: int = 18,
    kind: int = TensorProto.FLOAT,
    found_kind: int = TensorProto.FLOAT,
) -> bytes:
    """Return a graph of nodes from ``image`` to ``found``."""
    kept = {name: values.astype(np.float32) if values.dtype.kind == "f" else values for name, values in weights.items()}
    given = helper.make_tensor_value_info("image", kind, shape)
    found = helper.make_tensor_value_info("found", found_kind, ["n", "k", "y", "x"])
    graph = helper.make_graph(
        nodes, "written", [given], [found], [numpy_helper.from_array(values, name) for name, values in kept.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10).SerializeToString()


def like_tensorflow(last: str = "Softmax", seed: int = 0) -> bytes:
    """Return a U-Net of one level with its channels last, as converters from TensorFlow write them: transposed and back."""
    draw = np.random.default_rng(seed)
    weights = {
        "k1": draw.normal(0, 0.3, (8, 3, 3, 3)), "b1": draw.normal(0, 0.1, 8), "k2": draw.normal(0, 0.2, (8, 8, 3, 3)),
        "k3": draw.normal(0, 0.2, (3, 16, 3, 3)), "b3": draw.normal(0, 0.5, 3), "scales": np.array([1, 1, 2, 2], np.float32),
    }  # fmt: skip
    node, same = helper.make_node, {"auto_pad": "SAME_UPPER"}
    nodes = [
        node("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2], name="in"),
        node("Conv", ["x", "k1", "b1"], ["c1"], name="conv1", **same),
        node("Relu", ["c1"], ["r1"], name="relu1"),
        node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2], name="pool"),
        node("Conv", ["p1", "k2"], ["c2"], name="conv2", **same),
        node("Relu", ["c2"], ["r2"], name="relu2"),
        node(
            "Resize",
            ["r2", "", "scales"],
            ["u"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            name="up",
        ),
        node("Concat", ["r1", "u"], ["both"], axis=1, name="join"),
        node("Conv", ["both", "k3", "b3"], ["logits"], name="conv3", **same),
        node("Transpose", ["logits"], ["back"], perm=[0, 2, 3, 1], name="out"),
        node(last, ["back"], ["found"], name="last", **({"axis": -1} if last == "Softmax" else {})),
    ]
    return written(nodes, weights, ["batch", 64, 64, 3])
