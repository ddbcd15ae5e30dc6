"""R18: slide after slide into a failing bucket, while workers are killed and machines vanish and join: the same bytes, and the
command's memory does not grow. ``SLIDESEG_SOAK=14400`` has it go on for four hours.
"""

import json
import os
import random
import signal
import time

import numpy as np
import psutil
import pytest

from tests.clusters import Cluster, kill
from tests.fault_proxy import Faults, failing
from tests.reliability import long_only, report
from tests.reliability.conftest import Run
from tests.s3_server import running

SECONDS = float(os.environ.get("SLIDESEG_SOAK", "1200"))
APART = 20.0
"""Seconds between two things that happen, in the mean; every third is the loss of a machine."""
FAULTS = Faults(slow_down=0.05, reset=0.01, truncate=0.02, lose_reply=0.02)

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(SECONDS + 600),
    long_only,
]


@pytest.fixture
def bucket():
    """A bucket that fails now and then."""
    with running() as server, failing(server, FAULTS, seed=1):
        server.buckets["lab"] = {}
        yield server.buckets["lab"]


@pytest.fixture
def cluster(bucket):
    started = Cluster(1)
    started.add_node(1)
    yield started
    started.end()


def test_hours_of_mishaps_change_no_byte_and_take_no_memory(bucket, cluster, workload, tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    for number in range(int(SECONDS)):  # more than there is time for
        os.link(workload.slide, slides / f"{number:05}.tif")
    words = ["predict", slides, *workload.words("s3://lab/results", 2, "--address", cluster.address)[2:]]
    run = Run(words, {**os.environ, **cluster.env})
    happened, memory = mishaps(run, cluster)
    run.process.send_signal(signal.SIGINT)
    status = run.end()[0]
    assert status == 130

    names = [f"results/{path.stem}.zarr/" for path in slides.iterdir()]
    done = [name for name in names if "ome" in json.loads(bucket.get(f"{name}zarr.json", b"{}")).get("attributes", {})]
    for name in done:
        keys = {key.removeprefix(name): data for key, data in bucket.items() if key.startswith(name) and "c" in key.split("/")}
        assert keys == workload.bytes, name
    assert len(done) > SECONDS / 60
    grown = {"mebibytes_an_hour": round(slope(memory), 1), "mebibytes": [round(held) for _, held in memory[::60]]}
    report("R18", seconds=SECONDS, slides=len(done), identical=len(done), **happened, **grown)


def mishaps(run, cluster):
    """Kill workers and machines until the time is over; return how many, and the command's memory: seconds, MiB."""
    started, chance = time.monotonic(), random.Random(18)
    happened, memory, following = {"kills": 0, "losses": 0}, [], 1
    command, next_one = psutil.Process(run.process.pid), started + APART
    while (now := time.monotonic()) < started + SECONDS:
        assert run.process.poll() is None, run.end()
        memory.append((now - started, command.memory_info().rss / 2**20))
        if now > next_one and following % 3:
            for worker in chance.sample(cluster.workers(), min(1, len(cluster.workers()))):
                kill(worker)
                happened["kills"] += 1
        elif now > next_one:
            cluster.lose(cluster.nodes[0])
            cluster.add_node(1)
            happened["losses"] += 1
        if now > next_one:
            following, next_one = following + 1, now + APART * chance.uniform(0.5, 1.5)
        time.sleep(0.5)
    return happened, memory


def slope(memory):
    """Return by how many MiB an hour the memory grows in the second half."""
    seconds, mebibytes = np.array(memory[len(memory) // 2 :]).T
    return 3600 * float(np.polyfit(seconds, mebibytes, 1)[0])
