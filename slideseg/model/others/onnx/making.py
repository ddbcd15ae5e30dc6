"""From the bytes of an ONNX file to a network that runs, and to what is found out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.model.others.describe import Ways, describe
from slideseg.model.others.onnx.bioimageio import to_package
from slideseg.model.others.onnx.cost import cost_of_graph
from slideseg.model.others.onnx.export import to_onnx
from slideseg.model.others.onnx.graph import form_of, read_graph
from slideseg.model.others.onnx.net import OnnxNet
from slideseg.model.others.onnx.package import read_package
from slideseg.model.others.onnx.probe import probe_onnx
from slideseg.model.others.onnx.trusted import graph_of_program

if TYPE_CHECKING:
    from slideseg.model.others.described import OtherNetwork
    from slideseg.model.reach.probe import Reach

__all__ = ["describe_file", "graph_of_program", "network_of", "probe_file", "read_package", "to_onnx", "to_package"]
NAME = "graph"
"""What a network is called whose graph has no name."""


def describe_file(data: bytes, what: str) -> tuple[bytes, OtherNetwork]:
    """Return a checked network that takes images of any size, and what is found out of it; ``what`` names it in errors.

    Raises:
        ModelError: if it is no valid ONNX file, or its network can't be used.
    """
    model = read_graph(data, what)
    form = form_of(model, what)
    freed = model.SerializeToString(deterministic=True)
    net = OnnxNet(freed, form.layout, form.activation)
    ways = Ways(
        lambda *_: probe_onnx(model, net, form),
        lambda _net, _channels, stride: cost_of_graph(model, form, stride),
    )
    arguments = {"layout": form.layout, "activation": form.activation}
    return freed, describe(net, form.channels, "onnx", model.graph.name or NAME, arguments, ways)


def probe_file(data: bytes, what: str) -> Reach:
    """Return how far the network of a file sees.

    Raises:
        ModelError: as `describe_file`.
    """
    model = read_graph(data, what)
    form = form_of(model, what)
    return probe_onnx(model, OnnxNet(data, form.layout, form.activation), form)


def network_of(data: bytes, arguments: dict[str, Any], what: str) -> OnnxNet:
    """Return the network of a model folder's file.

    Raises:
        ModelError: if it is no valid ONNX file, or another one than its description says.
    """
    form = form_of(read_graph(data, what), what)
    return OnnxNet(data, arguments.get("layout", form.layout), arguments.get("activation", form.activation))
