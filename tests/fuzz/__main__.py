"""Fuzz the readers for as long as it takes: python -m tests.fuzz --mutants 10000."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.fuzz.child import in_child
from tests.fuzz.judge import GOOD, Case, Judge
from tests.fuzz.seeds import other_seeds, slide_seeds

if TYPE_CHECKING:
    from tests.fuzz.seeds import Seed


def main() -> int:
    options = _options()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        seeds = [seed for seed in all_seeds(Path(folder)) if options.only in seed.name]
        shares = [options.mutants // len(seeds) + (index < options.mutants % len(seeds)) for index in range(len(seeds))]
        work = partial(fuzz, random=options.random, keep=options.keep)
        with ProcessPoolExecutor(options.processes) as pool:
            cases = [case for part in pool.map(work, seeds, shares) for case in part]
    table = count(cases)
    print(json.dumps(table, indent=1))
    if options.result:
        keep_result({**table, "seeds": len(seeds), "seconds": round(time.perf_counter() - begun)})
    for case in cases:
        if case.verdict not in GOOD or case.verdict in options.show:
            print(f"{case.verdict}: {case.seed}: {case.how}: {case.detail[:300]}")
    bad = sum(case.verdict not in GOOD for case in cases)
    print(f"{len(cases)} mutants of {len(seeds)} seeds in {time.perf_counter() - begun:.0f} s, {bad} finds")
    return 1 if bad else 0


def all_seeds(folder: Path) -> list[Seed]:
    """Make the seeds of every kind; what loads libraries with threads does so in a child."""
    for kind in ("slides", "others"):
        (folder / kind).mkdir()
    others = in_child(partial(other_seeds, folder / "others"), seconds=300, memory=8 << 30)
    assert others.end == "done", others
    return [*slide_seeds(folder / "slides"), *others.value]


def fuzz(seed: Seed, mutants: int, random: int, keep: Path | None = None) -> list[Case]:
    """Judge so many mutants of a seed; those that are finds are kept in the folder ``keep``."""
    rng = Random(f"{random} {seed.name}")
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(seed, Path(folder))
        for number in range(mutants):
            case = judge.judge(judge.mutant(rng))
            if keep is not None and case.verdict not in GOOD:
                keep.mkdir(exist_ok=True, parents=True)
                name = f"{case.verdict}-{seed.name.replace('/', '_')}-{number}{seed.target.suffix}"
                (keep / name).write_bytes(case.data)
            cases.append(case if case.verdict not in GOOD else Case(*_without_data(case)))
    return cases


def _without_data(case: Case) -> tuple[str, str, str, str, float, int, bytes]:
    return case.seed, case.how, case.verdict, case.detail, case.seconds, case.memory, b""


def count(cases: list[Case]) -> dict[str, object]:
    """Return how many cases had each verdict, by kind of seed, and what the costliest took."""
    by_kind: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for case in cases:
        by_kind[case.seed.partition("_")[0].partition(":")[0]][case.verdict] += 1
    return {
        "mutants": len(cases),
        "verdicts": dict(Counter(case.verdict for case in cases).most_common()),
        "most_seconds": round(max(case.seconds for case in cases), 2),
        "most_mebibytes": max(case.memory for case in cases) >> 20,
        "by_kind": {kind: dict(verdicts) for kind, verdicts in sorted(by_kind.items())},
    }


def keep_result(result: dict[str, object]) -> None:
    """Write the numbers to where `benchmarks/page.py` finds them."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    from common import hardware, write_result  # noqa: PLC0415 - it loads PyTorch

    write_result("fuzz", result, hardware())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--random", type=int, default=0, help="seed of the mutations")
    parser.add_argument("--only", default="", help="a part of the seeds' names")
    parser.add_argument("--show", default="", help="verdicts of which each case is printed, besides finds")
    parser.add_argument("--result", action="store_true", help="keep the numbers in benchmarks/results/fuzz.json")
    parser.add_argument("--keep", type=Path, help="folder for finds")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
