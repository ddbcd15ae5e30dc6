"""R3: machines vanish while they work, and others join; the result is the same to the byte, and no shard is blamed."""

import json
import os
import random
import subprocess
import time

import pytest

from tests.clusters import Cluster
from tests.integration.conftest import command, run_slideseg
from tests.reliability import long_only, report, trials
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


@long_only
@pytest.mark.parametrize(("at", "there"), [("segmentation", 3), ("objects", PLANES)])
def test_a_head_that_vanishes_is_told_and_the_same_command_goes_on(at, there, workload, tmp_path):
    """Ray would end the command after a minute, without a word or a document, and at once as it begins with other tasks."""
    cluster, out = Cluster(2), tmp_path / "x.zarr"
    words = workload.words(out, 2, "--address", cluster.address)
    run = subprocess.Popen(
        command(*words), env={**os.environ, **cluster.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(list(out.glob(f"labels/{at}/0/c/*/*/*"))) < there:
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.005)
    cluster.lose_head()
    said, err = run.communicate(timeout=90)
    assert (run.returncode, json.loads(said)["status"]) == (1, "failed"), err
    assert "error: the head of the cluster at " in err
    assert not list(tmp_path.glob(".*.lease"))
    cluster.end()
    assert run_slideseg(*workload.words(out, 1)).status == 0
    assert workload.is_as_undisturbed(out)


def longest_stall(run, out):
    """Return the longest time in which no shard came, until all are there."""
    longest, last, there = 0.0, time.monotonic(), shards_in(out)
    while there < PLANES and run.process.poll() is None:
        time.sleep(0.02)
        if shards_in(out) > there:
            there, longest, last = shards_in(out), max(longest, time.monotonic() - last), time.monotonic()
    return longest
