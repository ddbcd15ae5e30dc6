"""Networks that are code as ONNX graphs, once their user trusts them; see `slideseg.model.others.trusted`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.model.others.onnx.tracing import trace
from slideseg.model.others.trusted import channels_in, run_program

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from slideseg.model.others.trusted import Program

TRIED = 128
"""Pixels a side of the image that a network is traced with, whose stride is not known."""


def graph_of_program(path: Path, kind: Program, channels: int | None) -> bytes:
    """Return the graph of a program for images of so many channels; None for those of its first kernel.

    Raises:
        ModelError: if it can't be read, or written as a graph.
    """
    with path.open("rb") as file:
        net = run_program(file, kind, str(path))
    return graph_of(net, channels or channels_in(net, str(path)), str(path))


def graph_of(net: nn.Module, channels: int, what: str) -> bytes:
    """Return the graph of a network.

    Raises:
        ModelError: if it can't be written as one; ``what`` names it.
    """
    data: bytes = trace(net, channels, TRIED, what).SerializeToString(deterministic=True)
    return data
