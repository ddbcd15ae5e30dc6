"""What is asked of a GPU runs, on a processor, so that the minutes for which one is lent are not spent on mending it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_HERE = {"engines"}
"""It compiles for half a minute."""


def ask(out, *words):
    env = {**os.environ, "PYTHON": sys.executable}
    command = ["benchmarks/gpu/run.sh", "ask", "-", str(out), "--device", "cpu", *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=250, check=False)


@pytest.mark.timeout(280)
def test_every_question_has_an_answer_and_the_right_one_where_a_processor_knows_it(tmp_path):
    asked = ("exact", "flips", "rates", "whole_run", "back_off", "training", "profile")
    done = ask(tmp_path, "--only", *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads((tmp_path / "gpu.json").read_text())
    answers = said["answers"]
    assert tuple(answers) == asked
    assert said["hardware"]["gpu"] is None
    assert answers["exact"] == {"pixels": 65536, "device_differs_from_cpu": 0, "tiles_differ_from_whole": 0}
    assert answers["flips"]["fp32"] == 0 < answers["flips"]["bf16"] < 0.01
    assert answers["back_off"] == {"other_classes": 0}
    assert 0 <= answers["whole_run"]["first"]["idle"] < 1
    assert min(answers["training"][name] for name in ("alone", "shared", "all_reduce_ms")) > 0


def test_a_question_that_fails_stops_no_other_and_time_that_is_over_is_told(tmp_path):
    done = ask(tmp_path, "--seconds", "0", "--only", "exact", "flips")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "gpu.json").read_text())["answers"] == dict.fromkeys(("exact", "flips"), "no time was left")
