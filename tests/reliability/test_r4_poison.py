"""R4: a shard that kills whoever touches it is named after three deaths; all others are done, of its slide and of others."""

import functools
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from slideseg.tasks.base import STRIKES, Done, Failed
from slideseg.tasks.ray import RayExecutor
from tests.reliability import report, trials

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]


@dataclass
class Poisoned:
    """Dies as a decoder does that writes where it must not."""

    folder: str
    poison: int

    def __call__(self, task):
        if task == self.poison:
            with Path(self.folder, "deaths").open("a") as deaths:
                deaths.write("x")
            os.kill(os.getpid(), signal.SIGSEGV)
            time.sleep(60)  # which another thread may get
        return task

    def close(self):
        pass


def test_a_poisoned_shard_is_named_and_nothing_else_is_lost(tmp_path):
    deaths = []
    with RayExecutor(2) as executor:
        for poison in range(trials(1, 10)):
            folder = tmp_path / str(poison)
            folder.mkdir()
            events = list(executor.run(functools.partial(Poisoned, str(folder), 3 * poison), range(40)))
            failed = [event for event in events if isinstance(event, Failed)]
            assert [event.task for event in failed] == [3 * poison]
            assert "killed its worker" in failed[0].error
            assert {event.task for event in events if isinstance(event, Done)} == set(range(40)) - {3 * poison}
            deaths.append((folder / "deaths").stat().st_size)
    assert set(deaths) == {STRIKES}
    report("R4", poisoned=len(deaths), deaths_each=STRIKES, others_lost=0)
