"""R1: workers are killed while they work; the run goes on, and the result is the same to the byte."""

import json
import random
import time

import psutil
import pytest

from tests.reliability import report, trials
from tests.reliability.conftest import PLANES, Run

KILLS = 2
"""In one run: a shard that was under way at three deaths is put aside, whoever killed its workers (R4)."""
APART = PLANES // (KILLS + 2)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(3000)]


def test_killed_workers_change_no_byte(workload, tmp_path):
    runs, same, killed, seconds = trials(1, 50), 0, 0, []
    quiet = disturbed(workload, tmp_path / "quiet.zarr", None)[0] if runs > 1 else 0
    for seed in range(runs):
        out = tmp_path / f"{seed}.zarr"
        wall, kills, status, err = disturbed(workload, out, random.Random(seed))
        assert status == 0, err
        assert workload.is_as_undisturbed(out), f"seed {seed}"
        same, killed = same + 1, killed + kills
        seconds.append((wall - quiet) / max(1, kills))
    assert killed >= runs, "the kills came too late to mean anything"
    report("R1", runs=runs, kills=killed, identical=same, seconds_a_kill=round(sum(seconds) / runs, 2), quiet=round(quiet, 1))


def disturbed(workload, out, chance):
    """Run it and kill a worker now and then; return the seconds, the kills, the status and what was said."""
    started, kills = time.monotonic(), 0
    run = Run(workload.words(out, 2))
    for number in range(KILLS if chance else 0):
        if not run.until(out, chance.randrange(1, APART) + number * APART):
            break
        for victim in chance.sample(run.workers(), 1) if run.workers() else []:
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
            kills += 1
    status, said, err = run.end()
    if status == 0:
        assert json.loads(said)["status"] == "ok"
    return time.monotonic() - started, kills, status, err
