"""What a cluster's nodes say to settings that are left open."""

import pytest

from slideseg.errors import ClusterError
from slideseg.prediction.choices.cluster import LEAST_MEMORY, settle
from slideseg.prediction.options import PredictOptions
from slideseg.tasks.base import Node

GIB = 2**30
HEAD = Node(4, 0, 32 * GIB)
SMALL, LARGE = Node(8, 0, 16 * GIB), Node(16, 2, 256 * GIB, ("H100",))
OLD = Node(8, 1, 64 * GIB, ("T4",))


@pytest.mark.parametrize(
    ("nodes", "device", "workers", "memory", "precision"),
    [
        ([HEAD], "cpu", 4, 8 * GIB, "auto"),
        ([HEAD, SMALL], "cpu", 12, 2 * GIB, "auto"),
        ([HEAD, LARGE], "cuda", 2, 128 * GIB, "bf16"),
        ([LARGE, SMALL, OLD], "cuda", 3, 64 * GIB, "fp32"),
        ([Node(1, 0, 100)], "cpu", 1, LEAST_MEMORY, "auto"),
    ],
)
def test_what_is_left_open_follows_from_the_nodes(nodes, device, workers, memory, precision):
    found = settle(PredictOptions(address="head:1"), nodes)
    assert (found.device, found.workers, int(found.memory), found.precision) == (device, workers, memory, precision)


def test_what_the_user_says_stays():
    said = PredictOptions(address="head:1", device="cpu", workers=3, memory="5GiB", precision="fp32")
    assert settle(said, [HEAD, LARGE]) == said


def test_a_gpu_that_no_node_has_is_refused_and_a_head_without_cores_is_waited_for():
    with pytest.raises(ClusterError, match=r"no node of the cluster has a GPU \(got 2 nodes"):
        settle(PredictOptions(address="head:1", device="cuda"), [HEAD, SMALL])
    assert settle(PredictOptions(address="head:1"), [Node(0, 0, GIB)]).workers == "auto"
