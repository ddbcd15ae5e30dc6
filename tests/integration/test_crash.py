"""Runs that are killed, interrupted or run out of room: the same command again gives the same bytes, nothing is done twice."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import psutil
import pytest
import tifffile

from tests.clusters import is_worker
from tests.integration.conftest import array_bytes, command, run_slideseg
from tests.integration.started import start_slideseg

SHARDS = 30


@pytest.fixture(scope="module")
def stack(data):
    return data / "isbi2012" / "test-volume.tif"


@pytest.fixture(scope="module")
def undisturbed(stack, grey_model, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "x.zarr"
    assert run_slideseg(*arguments(stack, grey_model, out, 1)).status == 0
    return array_bytes(out)


def arguments(stack, model, out, workers):
    return ["predict", stack, "-o", out, "-m", model[0], "-w", workers, "--save-probabilities", "--json"]


def shards_in(out):
    return len([p for p in out.glob("labels/segmentation/0/c/*/*/*") if "#" not in p.name])


def started(words, out, shards):
    """Start a command and return its process as soon as so many shards are there."""
    process = start_slideseg(*words)
    while shards_in(out) < shards:
        assert process.poll() is None, process.said()
        time.sleep(0.005)
    return process


def test_a_killed_command_goes_on_where_it_was(stack, grey_model, undisturbed, tmp_path):
    """With workers, and more often: R2."""
    out = tmp_path / "x.zarr"
    process = started(arguments(stack, grey_model, out, 1), out, 8)
    process.kill()
    process.wait()
    kept = shards_in(out)
    assert 8 <= kept < SHARDS, "the command was killed too late for this test to mean anything"

    again = run_slideseg(*arguments(stack, grey_model, out, 1))

    assert again.status == 0, again.err
    assert again.slide["shards"] == {"total": SHARDS, "computed": SHARDS - kept, "kept": kept}
    assert array_bytes(out) == undisturbed


@pytest.mark.ray
def test_where_ray_is_killed_with_its_workers_it_is_said_and_the_same_command_goes_on(stack, grey_model, undisturbed, tmp_path):
    """Ray itself would end the command some seconds later, without a word."""
    out = tmp_path / "x.zarr"
    process = started(arguments(stack, grey_model, out, 2), out, 3)
    below = psutil.Process(process.pid).children(recursive=True)
    for victim in [child for child in below if child.name() == "raylet" or is_worker(child)]:
        victim.kill()
    stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == 1, stderr
    assert "error: Ray was killed on this machine, and the workers with it (try the same command again" in stderr
    assert json.loads(stdout)["status"] == "failed"
    assert run_slideseg(*arguments(stack, grey_model, out, 1)).status == 0
    assert array_bytes(out) == undisturbed


@pytest.mark.parametrize("what", ["the result", "the folder it lies in"])
def test_a_result_that_is_removed_while_it_is_written_is_one_line_and_can_be_made_anew(
    what, stack, grey_model, undisturbed, tmp_path
):
    folder = tmp_path / "results"
    folder.mkdir()
    out = folder / "x.zarr"
    process = started(arguments(stack, grey_model, out, 1), out, 3)
    shutil.rmtree(out if what == "the result" else folder, ignore_errors=True)
    _, stderr = process.communicate(timeout=200)

    assert process.returncode in (1, 2), stderr
    assert stderr.count("error: ") >= 1
    assert "somebody removed" in stderr or "does not exist" in stderr, stderr
    assert "Traceback" not in stderr
    folder.mkdir(exist_ok=True)
    again = run_slideseg(*arguments(stack, grey_model, out, 1))
    assert again.status == 0, again.err
    assert array_bytes(out) == undisturbed


def test_ctrl_c_stops_cleanly_and_a_third_call_has_nothing_to_do(stack, grey_model, undisturbed, tmp_path):
    out = tmp_path / "x.zarr"
    process = started(arguments(stack, grey_model, out, 1), out, 3)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "interrupted" in stderr
    assert '"failed"' in stdout
    assert "Traceback" not in stderr
    assert run_slideseg(*arguments(stack, grey_model, out, 1)).slide["shards"]["kept"] >= 3
    finished = (out / "zarr.json").read_bytes()
    assert run_slideseg(*arguments(stack, grey_model, out, 1)).slide["shards"]["computed"] == 0
    assert (out / "zarr.json").read_bytes() == finished
    assert array_bytes(out) == undisturbed


def test_a_second_run_on_the_same_output_is_turned_away(stack, grey_model, tmp_path):
    out = tmp_path / "x.zarr"
    process = started(arguments(stack, grey_model, out, 1), out, 1)
    os.kill(process.pid, signal.SIGSTOP)  # alive, and sure not to be done meanwhile
    try:
        second = run_slideseg(*arguments(stack, grey_model, out, 1))
    finally:
        process.kill()
        process.communicate()

    assert second.status == 3
    assert second.err.count("\n") == 1
    assert "is being written by another run" in second.err


def test_a_full_disk_is_one_line_and_nothing_is_torn(stack, grey_model, undisturbed, tmp_path):
    out = tmp_path / "x.zarr"
    process = subprocess.run(
        command(*arguments(stack, grey_model, out, 1)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 1
    errors = [line for line in process.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "can't be written" in errors[0]
    assert "Traceback" not in process.stderr
    assert run_slideseg(*arguments(stack, grey_model, out, 1)).status == 0
    assert array_bytes(out) == undisturbed


def test_another_run_s_result_is_refused_and_replaced_only_on_request(grey_model, tmp_path):
    out, image = tmp_path / "x.zarr", tmp_path / "x.tif"
    tifffile.imwrite(image, np.random.default_rng(0).integers(0, 255, (3, 100, 120), np.uint8), photometric="minisblack")
    first = ["predict", image, "-o", out, "-m", grey_model[0], "-w", 1, "--json"]
    assert run_slideseg(*first).status == 0
    before = array_bytes(out)

    other = run_slideseg(*first, "--save-probabilities")

    assert other.status == 2
    assert "probabilities differs" in other.err
    assert array_bytes(out) == before
    replaced = run_slideseg(*first, "--save-probabilities", "--overwrite")
    assert replaced.status == 0, replaced.err
    assert (out / "probabilities" / "0").exists()
