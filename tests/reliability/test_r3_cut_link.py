"""R3: a link is cut, and mended: that of a machine at work, and that of the machine where the command is, away from the head.

The hosts are network namespaces, so that Ray's own timers decide who is lost. Needs root, and is skipped else.
"""

import json
import os
import random
import time

import pytest

from tests.clusters import PATIENCE, Cluster
from tests.namespaces import Hosts, permitted
from tests.reliability import long_only, report
from tests.reliability.conftest import PLANES, Run

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(3400),
    long_only,
    pytest.mark.skipif(not permitted(), reason="no network namespaces may be made here"),
]

SOON = {f"RAY_health_check_{name}_ms": "1000" for name in ("initial_delay", "period", "timeout")}
"""The head asks every second whether a node is there, and has a second's patience. Five silent times and it is lost."""
GLANCE, AGES = 2.0, 40.0
"""Seconds for which a link is cut: fewer than Ray needs to lose a node, and many more."""


@pytest.fixture
def hosts():
    made = Hosts("head", "near", "far", "desk")
    yield made
    made.end()


@pytest.fixture
def cluster(hosts):
    """A head and two nodes with a core each, and one without any, where the command is given."""
    started = Cluster(1, SOON, hosts)
    for host, cores in (("near", 1), ("far", 1), ("desk", 0)):
        started.add_node(cores, host)
    yield started
    hosts.end()  # and all that runs there
    started.end()


def begun(cluster, hosts, workload, out, shards):
    """Give the command at the desk; return it when some shards are there."""
    words = workload.words(out, 3, "--address", cluster.address, "--wait-for-workers", 120)
    run = Run(words, {**os.environ, **cluster.env}, hosts.within("desk"))
    assert run.until(out, shards), run.end()
    return run


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("seconds", [GLANCE, AGES])
def test_a_machine_that_is_cut_off_and_comes_back(cluster, hosts, workload, tmp_path, seconds, seed):
    out, far = tmp_path / "cut.zarr", cluster.nodes[1]
    run = begun(cluster, hosts, workload, out, random.Random(seed).randrange(1, PLANES // 3))
    hosts.cut("far")
    time.sleep(seconds)
    hosts.mend("far")
    status, said, err = run.end()
    assert status == 0, err
    assert json.loads(said)["slides"][0]["shards"]["total"] == PLANES
    assert workload.is_as_undisturbed(out)
    if seconds == GLANCE:
        assert far.poll() is None
    else:
        far.wait(PATIENCE)  # Ray had lost it, and it has learnt so
    report("R3", cut_for=seconds, cuts=1, cut_identical=1)


def test_a_command_that_is_cut_off_from_its_cluster_is_given_again(cluster, hosts, workload, tmp_path):
    out = tmp_path / "cut.zarr"
    run = begun(cluster, hosts, workload, out, 3)
    hosts.cut("desk")
    time.sleep(AGES)
    hosts.mend("desk")
    run.end()  # as it may: what counts is what can be done about it
    cluster.nodes[-1].wait(PATIENCE)  # Ray had lost the desk's node, too
    cluster.add_node(0, "desk")
    again = begun(cluster, hosts, workload, out, 0).end()
    assert again[0] == 0, again
    assert workload.is_as_undisturbed(out)
    report("R3", cut_for=AGES, cuts=1, cut_identical=1)
