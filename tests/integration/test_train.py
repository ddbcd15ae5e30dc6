"""`slideseg train` as users run it: one process, several workers, kills, bad input, and prediction with what was learnt."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import tifffile

import slideseg
from slideseg.errors import SlidesegError
from tests.integration.conftest import Outcome, run_slideseg
from tests.integration.started import Started, start_slideseg
from tests.reliability import long_only, report

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
TINY = ROOT / "configs" / "tiny.yaml"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A stack of bright discs and its masks, as settings for the tiny recipe."""
    folder = tmp_path_factory.mktemp("stack")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :128]
    masks = np.zeros((6, 96, 128), np.uint8)
    for plane in masks:
        for cy, cx, radius in zip(rng.uniform(0, 96, 9), rng.uniform(0, 128, 9), rng.uniform(5, 12, 9), strict=True):
            plane[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = 255
    images = np.clip(80 + masks / 2.5 + rng.normal(0, 20, masks.shape), 0, 255).astype(np.uint8)
    tifffile.imwrite(folder / "images.tif", images)
    tifffile.imwrite(folder / "masks.tif", masks)
    paths = {"images": folder / "images.tif", "labels": folder / "masks.tif"}
    made_for = ("-s", "about.made_for.images=discs", "-s", "about.made_for.color=false")
    return [*(word for key, path in paths.items() for word in ("-s", f"data.sources.0.{key}={path}")), *made_for]


def train(run: Path, stack: list[str], *more: str, code: int = 0) -> Outcome:
    done = run_slideseg("train", TINY, "-o", run, *stack, *more)
    assert done.status == code, done.err
    return done


@pytest.fixture(scope="module")
def finished(stack: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run in one process."""
    run = tmp_path_factory.mktemp("train") / "run"
    report = train(run, stack, "--workers", "1", "--json").report
    assert report["status"] == "ok"
    assert report["epochs"] == 4
    return run


def test_the_run_folder_holds_what_the_interface_says(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    wanted = {
        "config.yaml",
        "data.json",
        "metrics.csv",
        "curves.png",
        "checkpoints",
        "best.safetensors",
        "last.safetensors",
        "report.json",
    }
    assert wanted | {"tensorboard", "pictures"} == names
    with (finished / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert sorted(path.name for path in (finished / "pictures").iterdir()) == ["epoch-0002.png", "epoch-0004.png"]


def test_the_same_command_again_does_nothing(finished: Path, stack: list[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    train(finished, stack, "--workers", "1")
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before


def test_other_settings_are_refused_and_resume_takes_them(finished: Path, stack: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    done = train(run, stack, "--workers", "1", "-s", "training.epochs=5", code=2)
    assert "training.epochs" in done.err
    assert "--resume" in done.err
    other_network = train(run, stack, "--workers", "1", "-s", "network.depth=3", "--resume", code=2)
    assert "network.depth" in other_network.err
    words = ("--workers", "1", "-s", "training.epochs=5", "-s", "optimiser.rate=0.003", "--resume", "--json")
    assert train(run, stack, *words).report["epochs"] == 5
    with (run / "metrics.csv").open() as file:
        assert [float(row["lr"]) for row in csv.DictReader(file)] == [0.01, 0.01, 0.01, 0.01, 0.003]


def test_predict_takes_the_run_folder_as_model(finished: Path, stack: list[str], tmp_path: Path) -> None:
    images = stack[1].partition("=")[2]
    predicted = run_slideseg("predict", images, "-m", finished, "-o", tmp_path / "out.zarr", "--workers", "1")
    assert predicted.status == 0, predicted.err
    assert "model: tiny, made for discs (grey)" in predicted.out
    found = np.asarray(slideseg.open_result(tmp_path / "out.zarr").segmentation)
    assert found.shape == (6, 96, 128)
    masks = stack[3].partition("=")[2]
    evaluated = run_slideseg("evaluate", tmp_path / "out.zarr", masks, "--metrics", "semantic", "--json")
    planes = [image["semantic"]["dice"] for image in evaluated.report["images"]]
    validated = float(best_row(finished)["val_dice"])
    assert min(abs(dice - validated) for dice in planes) < 1e-6, "validation does not see what prediction sees"


def best_row(run: Path) -> dict[str, str]:
    best = json.loads((run / "report.json").read_text())["best_epoch"]
    with (run / "metrics.csv").open() as file:
        return next(row for row in csv.DictReader(file) if int(row["epoch"]) == best)


def weights(run: Path) -> bytes:
    return (run / "last.safetensors").read_bytes()


def start(run: Path, stack: list[str], *more: str) -> Started:
    return start_slideseg("train", TINY, "-o", run, *stack, *more)


def wait_for(what: Callable[[], bool], process: Started, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, process.said()
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def epochs_done(run: Path) -> int:
    return max((int(path.stem.removeprefix("epoch-")) for path in run.glob("checkpoints/epoch-*.pt")), default=0)


def training_workers(process: Started, doing: str = "") -> list[psutil.Process]:
    """Return the processes that train, below ``process``; Ray's names for them say what they are ``doing``."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            title = " ".join(one.cmdline())
            found += [one] if "RayTrainWorker" in title and doing in title else []
    return found


EPOCHS = 10
LONGER = ("-s", f"training.epochs={EPOCHS}", "-s", "training.samples=32")
"""Enough that several kills fall into the middle."""


@pytest.fixture(scope="module")
def undisturbed(stack: list[str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], bytes]:
    """The final weights of runs that nobody disturbs, by number of workers."""
    made: dict[int, bytes] = {}

    def weights_with(workers: int) -> bytes:
        if workers not in made:
            run = tmp_path_factory.mktemp("undisturbed") / "run"
            train(run, stack, "--workers", str(workers), *LONGER)
            made[workers] = weights(run)
        return made[workers]

    return weights_with


@pytest.mark.parametrize(
    ("workers", "request_to_stop"), [(1, signal.SIGINT), pytest.param(2, signal.SIGTERM, marks=[pytest.mark.ray, long_only])]
)
def test_a_command_that_was_stopped_and_killed_gives_the_same_weights_in_the_end(
    workers: int, request_to_stop: signal.Signals, stack: list[str], undisturbed: Callable[[int], bytes], tmp_path: Path
) -> None:
    """It is asked to stop, typed again, killed, and typed again."""
    run = tmp_path / "run"
    words = ("--workers", str(workers), *LONGER)
    process = start(run, stack, *words)
    wait_for(lambda: epochs_done(run) >= 1, process)
    process.send_signal(request_to_stop)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "try the same command again" in errors
    stopped = epochs_done(run)
    process = start(run, stack, *words)
    wait_for(lambda: epochs_done(run) > stopped, process)
    process.kill()
    process.communicate()
    assert not (run / "report.json").exists()
    train(run, stack, *words)
    assert epochs_done(run) == EPOCHS
    assert weights(run) == undisturbed(workers)
    report("R15", workers=workers, runs=1, identical=1, kills=1)


LIBRARIES = {
    "monai": "{library: monai, architecture: UNet, form: same, arguments: {channels: [4, 8], strides: [2], norm: batch}}",
    "segmentation_models_pytorch": "{library: smp, architecture: Unet, encoder: mobilenet_v2, form: same,"
    " arguments: {encoder_depth: 3, decoder_channels: [8, 8, 4]}}",
}


@long_only
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_s_network_that_is_killed_has_the_same_weights_in_the_end(
    library: str, stack: list[str], tmp_path: Path
) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    words = ("--workers", "1", *LONGER, "-s", f"network={LIBRARIES[library]}")
    train(tmp_path / "undisturbed", stack, *words)
    run = tmp_path / "run"
    for epochs in (1, 4):
        process = start(run, stack, *words)
        wait_for(lambda wanted=epochs: epochs_done(run) >= wanted, process)
        process.kill()
        process.communicate()
        assert epochs <= epochs_done(run) < EPOCHS
    train(run, stack, *words)
    assert weights(run) == weights(tmp_path / "undisturbed")
    report("R15", workers=1, runs=1, identical=1, kills=2)


def test_a_run_that_is_removed_while_it_is_trained_is_one_line_and_begins_anew(stack: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(run, stack, "--workers", "1", "-s", "training.epochs=40")
    wait_for(lambda: epochs_done(run) >= 1, process)
    shutil.rmtree(run)
    errors = process.communicate(timeout=100)[1]
    assert (process.returncode, errors.splitlines()[-1].startswith("error: the run folder was removed")) == (1, True), errors
    train(run, stack, "--workers", "1")


@long_only
@pytest.mark.ray
def test_a_command_whose_workers_are_killed_gives_the_same_weights_in_the_end(
    stack: list[str], undisturbed: Callable[[int], bytes], tmp_path: Path
) -> None:
    """One dies as Ray hands it its work, which Ray itself does not get over, the other in the middle of an epoch."""
    run = tmp_path / "run"
    process = start(run, stack, "--workers", "2", *LONGER)
    wait_for(lambda: bool(training_workers(process, "run_train_fn")), process)
    training_workers(process)[-1].kill()
    wait_for(lambda: epochs_done(run) > 0, process)
    training_workers(process)[-1].kill()
    assert epochs_done(run) < EPOCHS
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert epochs_done(run) == EPOCHS
    assert weights(run) == undisturbed(2)
    report("R15", workers=2, runs=1, identical=1, kills=2)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (("training.epochs=0",), "training.epochs"),
        (("training.patch=30",), "stride"),
        (("training.speed=9",), "training.speed"),
        (("network.depth=two",), "network.depth"),
        (("optimiser.name=sdg",), "optimiser.name"),
        (("classes=[cell, wall]",), "bce"),
        (("data.sources.0.images=/no/such.tif",), "/no/such.tif"),
        (("data.split={validation: [99]}",), "split"),
        (("network.start=no/such/model",), "no/such/model"),
        (("network.start=nuclei",), "another form"),
        (("nonsense",), "key.path=value"),
    ],
)
def test_a_wrong_recipe_is_one_line_before_anything_is_written(
    settings: tuple[str, ...], complaint: str, stack: list[str], tmp_path: Path
) -> None:
    """In this process: that every refusal is printed in one form is seen elsewhere, and for one of them below."""
    with pytest.raises(SlidesegError) as refused:
        slideseg.train(TINY, tmp_path / "run", settings=(*stack[1::2], *settings))
    assert complaint in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_batch_smaller_than_the_workers_is_refused(stack: list[str], tmp_path: Path) -> None:
    done = train(tmp_path / "run", stack, "--workers", "5", code=2)
    assert done.err.startswith("error: every worker needs a sample for each forward pass (got batch 4 for 5 workers")
    assert len(done.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.ray
def test_what_a_worker_finds_in_the_data_is_the_line_that_a_single_process_tells(stack: list[str], tmp_path: Path) -> None:
    """A label outside the classes, which only decoding tells; nothing is written but what Ray needs."""
    words = ("-s", "data.sources.0.labels_are=classes")
    told = [train(tmp_path / "run", stack, *words, "--workers", workers, code=2).err.splitlines() for workers in ("1", "2")]
    lines = [[line for line in one if not line.startswith("info: ")] for one in told]  # what Ray sends is not awaited
    assert "masks.tif: a label is outside the classes (got 255, want 0, 1;" in lines[0][0]
    assert lines[0] == lines[1]
    assert (len(lines[0]), told[0][0]) == (1, "info: reading 6 images and their labels")
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_explodes_is_told_and_no_checkpoint_keeps_it(stack: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = train(run, stack, "--workers", "1", "-s", "optimiser.name=sgd", "-s", "optimiser.rate=1.0e+30", code=1)
    assert "not finite" in done.err
    assert epochs_done(run) == 0


def test_the_preview_shows_samples_and_trains_nothing(stack: list[str], tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    train(tmp_path / "run", stack, "--preview", str(sheet))
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "run").exists()
