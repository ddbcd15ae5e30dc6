"""R11: two commands on one output at the same moment; one writes, the other is turned away, nothing is lost."""

import pytest

from tests.reliability import report, trials
from tests.reliability.conftest import Run

IN_USE = 3

pytestmark = pytest.mark.timeout(3000)


def test_of_two_commands_at_once_one_writes(workload, tmp_path):
    races, turned_away = trials(1, 50), 0
    for number in range(races):
        out = tmp_path / f"{number}.zarr"
        ends = [run.end() for run in [Run(workload.words(out, 1)) for _ in range(2)]]
        states = sorted(status for status, _, _ in ends)
        assert states in ([0, 0], [0, IN_USE]), ends  # both, where one was done before the other began
        turned_away += states.count(IN_USE)
        assert workload.is_as_undisturbed(out), f"race {number}"
    assert turned_away, "they never met"
    report("R11", races=races, turned_away=turned_away, lost=0)
