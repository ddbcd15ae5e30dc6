"""R2: the command itself is killed, and killed again while it goes on; the same command ends it, and redoes next to nothing.

Nothing of a killed one stays: no process, no socket, no folder. Ray's own would stay for a minute, its folder for ever.
"""

import json
import os
import random
import tempfile
import time

import psutil
import pytest

from tests.integration.conftest import run_slideseg
from tests.reliability import long_only, report, trials
from tests.reliability.conftest import PLANES, Run, shards_in

WORKERS, IN_FLIGHT = 2, 2
MINUTE = 60.0

pytestmark = pytest.mark.timeout(3000)


@pytest.fixture
def short(monkeypatch):
    """A folder for temporary files; Ray's sockets are in it, whose names may not be long."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="k") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield folder


@pytest.mark.ray
@pytest.mark.parametrize(("name", "times", "long"), [("driver", 1, 20), pytest.param("double", 2, 10, marks=long_only)])
def test_a_killed_command_goes_on_to_the_same_bytes(name, times, long, workload, short, tmp_path):
    runs, redone, survivors, longest = trials(1, long), 0, 0, 0.0
    for seed in range(runs):
        out, chance = tmp_path / f"{seed}.zarr", random.Random(f"{name} {seed}")
        for _ in range(times):
            run = Run(workload.words(out, WORKERS))
            left = PLANES - shards_in(out)
            if run.until(out, shards_in(out) + chance.randrange(1, max(2, left // 2))):
                below = run.below()
                assert os.listdir(short), "Ray's folder is elsewhere"
                assert any("raylet" in one.name() for one in below)
                run.process.kill()
                died = time.monotonic()
                run.process.wait()
                survivors += len(psutil.wait_procs(below, timeout=MINUTE)[1])
                while os.listdir(short):
                    assert time.monotonic() < died + MINUTE, os.listdir(short)
                    time.sleep(0.05)
                longest = max(longest, time.monotonic() - died)
        kept = shards_in(out)
        last = run_slideseg(*workload.words(out, WORKERS))
        assert last.status == 0, last.err
        shards = json.loads(last.out)["slides"][0]["shards"]
        assert (shards["total"], shards["kept"]) == (PLANES, kept)
        redone = max(redone, shards["computed"] - (PLANES - kept))
        assert workload.is_as_undisturbed(out), f"seed {seed}"
    assert redone == 0
    assert survivors == 0
    gone = {"survivors": survivors, "seconds_until_gone": round(longest, 1)}
    report("R2", kind=name, runs=runs, identical=runs, redone_beyond_missing=redone, **gone)


def test_a_killed_command_without_ray_goes_on_too(workload, tmp_path):
    runs = trials(1, 20)
    for seed in range(runs):
        out = tmp_path / f"{seed}.zarr"
        run = Run(workload.words(out, 1))
        run.until(out, random.Random(seed).randrange(1, PLANES))
        run.process.kill()
        run.process.wait()
        last = run_slideseg(*workload.words(out, 1))
        assert last.status == 0, last.err
        assert workload.is_as_undisturbed(out), f"seed {seed}"
    report("R2", kind="one process", runs=runs, identical=runs)
