"""What a cluster says to settings that are left open: the machine that the command is typed on may be quite another one."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from slideseg.errors import ClusterError, explain
from slideseg.tasks.run_shards import cluster_nodes
from slideseg.words import many

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.prediction.job import Precision
    from slideseg.prediction.options import PredictOptions
    from slideseg.tasks.base import Node

WITHOUT_BF16 = ("K80", "P100", "P4", "T4", "V100")
"""What Ray calls GPUs that have no bfloat16."""
LEAST_MEMORY = 2**30
"""Bytes of RAM that a worker is given at least, where a node seems to have less."""


@contextmanager
def settled(options: PredictOptions) -> Iterator[PredictOptions]:
    """Be connected to the cluster that options name, and give them with what it says to those left open; else as they are.

    Raises:
        ClusterError: if the cluster can't be reached, or has no GPU where one is wanted.
    """
    with cluster_nodes(options.address) as nodes:
        yield settle(options, nodes) if nodes else options


def settle(options: PredictOptions, nodes: Sequence[Node]) -> PredictOptions:
    """Return options with device, workers, memory and precision as a cluster's ``nodes`` allow, where the user left them open.

    Workers are one a GPU where a node has some, else one a core. RAM is that of the node with the least for each.

    Raises:
        ClusterError: if a GPU is wanted and no node has one.
    """
    device = options.device
    if device == "auto":
        device = "cuda" if any(node.gpus for node in nodes) else "cpu"
    units = [(node, int(node.gpus if device == "cuda" else node.cores)) for node in nodes]
    able = [(node, number) for node, number in units if number]
    if not able and device == "cuda":
        what = "no node of the cluster has a GPU"
        raise ClusterError(explain(what, got=many(len(nodes), "node"), want="--device cuda", try_="--device cpu"))
    workers, memory = options.workers, options.memory
    if workers == "auto" and able:
        workers = sum(number for _, number in able)
    if memory == "auto" and able:
        memory = str(max(LEAST_MEMORY, min(node.memory // number for node, number in able)))
    precision = _precision([node for node, _ in able]) if (device, options.precision) == ("cuda", "auto") else options.precision
    return replace(options, device=device, workers=workers, memory=memory, precision=precision)


def _precision(nodes: Sequence[Node]) -> Precision:
    """Return bfloat16 where all GPUs have it and are known."""
    kinds = {kind for node in nodes for kind in node.gpu_kinds or ("unknown",)}
    return "fp32" if kinds & {"unknown", *WITHOUT_BF16} else "bf16"
