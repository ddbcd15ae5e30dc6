"""R3: machines vanish while they work, and others join; the result is the same to the byte, and no shard is blamed."""

import json
import os
import random
import time

import pytest

from tests.clusters import Cluster
from tests.reliability import report, trials
from tests.reliability.conftest import PLANES, Run, shards_in

pytestmark = [pytest.mark.ray, pytest.mark.timeout(3400)]


@pytest.fixture(scope="module")
def cluster():
    """A head that works too, and one node more; a lost one is replaced."""
    started = Cluster(1)
    started.add_node(1)
    yield started
    started.end()


def test_lost_nodes_change_no_byte(cluster, workload, tmp_path):
    runs, stall = trials(1, 20), 0.0
    for seed in range(runs):
        out, chance = tmp_path / f"{seed}.zarr", random.Random(seed)
        words = workload.words(out, 2, "--address", cluster.address)
        run = Run(words, {**os.environ, **cluster.env})
        assert run.until(out, chance.randrange(1, PLANES // 2)), run.end()
        cluster.lose(cluster.nodes[0])
        stall = max(stall, longest_stall(run, out))
        cluster.add_node(1)
        status, said, err = run.end()
        assert status == 0, err
        assert json.loads(said)["slides"][0]["shards"]["total"] == PLANES
        assert workload.is_as_undisturbed(out), f"seed {seed}"
    report("R3", losses=runs, identical=runs, longest_stall=round(stall, 1))


def longest_stall(run, out):
    """Return the longest time in which no shard came, until all are there."""
    longest, last, there = 0.0, time.monotonic(), shards_in(out)
    while there < PLANES and run.process.poll() is None:
        time.sleep(0.02)
        if shards_in(out) > there:
            there, longest, last = shards_in(out), max(longest, time.monotonic() - last), time.monotonic()
    return longest
