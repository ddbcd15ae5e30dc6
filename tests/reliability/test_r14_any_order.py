"""R14: whatever happens to a result, in whatever order: once the command has ended well, it is the undisturbed one."""

import random

import pytest

from tests.integration.conftest import run_slideseg
from tests.reliability import report, trials
from tests.reliability.conftest import PLANES, Run, shards_in

pytestmark = pytest.mark.timeout(3400)


def test_any_order_of_mishaps_ends_in_the_same_bytes(workload, tmp_path):
    runs, steps = trials(1, 20), 0
    for seed in range(runs):
        chance, out = random.Random(seed), tmp_path / f"{seed}.zarr"
        told = []
        for _ in range(trials(4, 7)):
            mishap = chance.choice([killed, twice, flipped, cut, removed, verified, repaired, ended])
            told.append(mishap.__name__)
            mishap(workload, out, chance)
            steps += 1
        repaired(workload, out, chance)
        ended(workload, out, chance)
        assert run_slideseg("verify", out).status == 0, told
        assert workload.is_as_undisturbed(out), told
    report("R14", runs=runs, steps=steps, identical=runs)


def killed(workload, out, chance):
    """The command is killed at some shard."""
    run = Run(workload.words(out, 1))
    run.until(out, min(PLANES, shards_in(out) + chance.randrange(1, 9)))
    run.process.kill()
    run.process.wait()


def twice(workload, out, _):
    """Two commands start at once."""
    for run in [Run(workload.words(out, 1)) for _ in range(2)]:
        assert run.end()[0] in (0, 1, 2, 3)


def flipped(_, out, chance):
    """A bit of a file is another one."""
    path = some_file(out, chance)
    if path is not None and path.stat().st_size:
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)


def cut(_, out, chance):
    """A file lost its end."""
    path = some_file(out, chance)
    if path is not None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def removed(_, out, chance):
    """A file is gone."""
    path = some_file(out, chance)
    if path is not None:
        path.unlink()


def verified(_, out, __):
    """Somebody looks."""
    assert run_slideseg("verify", out).status in (0, 1, 2)


def repaired(_, out, __):
    """Somebody removes what is damaged."""
    assert run_slideseg("verify", out, "--repair").status in (0, 1, 2)


def ended(workload, out, _):
    """The command is given again; what is damaged may be in its way until it is repaired."""
    assert run_slideseg(*workload.words(out, 1)).status in (0, 1, 2)


def some_file(out, chance):
    """Return a file of the result that holds pixels or objects; what describes it is R12's."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and "c" in path.relative_to(out).parts]
    return chance.choice(files) if files else None
