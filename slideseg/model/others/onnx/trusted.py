"""Networks that are code as ONNX graphs, once their user trusts them; see `slideseg.model.others.trusted`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from slideseg.errors import ModelError, explain
from slideseg.model.others.onnx.tracing import trace
from slideseg.model.others.trusted import channels_in, run_program, running, unpickle

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.model.others.trusted import Program

TRIED = 128
"""Pixels a side of the image that a network is traced with, whose stride is not known."""


def graph_of_program(path: Path, kind: Program | None, channels: int | None) -> bytes:
    """Return the graph of a program, or of a pickled network.

    Args:
        path: the file.
        kind: which program it is; None for a pickled network.
        channels: of its images; None for those that its first kernel has.

    Raises:
        ModelError: if it can't be read, is no network, or can't be written as a graph.
    """
    with path.open("rb") as file:
        net = unpickle(file, str(path)) if kind is None else run_program(file, kind, str(path))
    if not isinstance(net, nn.Module):
        what, try_ = f"{path} holds no network", "--network, to say what the weights in it are of"
        raise ModelError(explain(what, got=type(net).__name__, try_=try_))
    given = channels or channels_in(net, str(path))
    guessed = "" if channels else f" of {given} channel(s), as its first kernel has them (--mean says others)"
    return graph_of(net.eval() if kind is None else net, given, f"{path}{guessed}")


def graph_of(net: nn.Module, channels: int, what: str) -> bytes:
    """Return the graph of a network.

    Raises:
        ModelError: if it can't be written as one; ``what`` names it.
    """
    with running(f"{what} can't be written as ONNX"):
        data: bytes = trace(net, channels, TRIED, what).SerializeToString(deterministic=True)
    return data
