"""Every benchmark of our own still runs, as small as it can be, and its result still makes its section of the page."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALL = {
    "engine": "--widths --rounds 1",
    "overhead": "--side 1024 --models nuclei --rounds 1",
    "whole_run": "--side 2048 --rounds 1",
    "many": "--slides 2 --side 256",
    "memory": "--sides 1024 2048",
    "scale": "--shards 2000 --tasks 200 --waits 0.02",
    "threads": "--width 4 --tiles 2 --repeats 1",
    "train_step": "--widths 4 --side 64 --batch 2 --rounds 1",
    "objects": "--part growth --sides 512",
    "exactness": "",
}
"""What makes each take little; those that need what is not installed for the tests, or hours, are not here."""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_runs_and_makes_its_section(name: str, tmp_path: Path) -> None:
    shutil.copytree(BENCHMARKS, tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    result = tmp_path / "benchmarks" / "results" / f"{name}.json"
    before = result.stat().st_mtime_ns
    words = [sys.executable, str(tmp_path / "benchmarks" / f"bench_{name}.py"), *SMALL[name].split()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=560, check=False)
    assert done.returncode == 0, done.stderr
    assert result.stat().st_mtime_ns > before
    code = f"import json, page; print(page.SECTIONS[{name!r}](json.load(open({str(result)!r}))))"
    section = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path / "benchmarks", text=True)
    assert section.startswith("## ")
