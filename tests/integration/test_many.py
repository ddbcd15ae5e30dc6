"""Many slides in one command: on one pool of workers, whatever becomes of one of them."""

import csv
import json
import os
import platform
import random
import signal
import time

import numpy as np
import psutil
import pytest
import tifffile

import slideseg
from tests.clusters import is_worker
from tests.integration.conftest import array_bytes, run_slideseg
from tests.integration.started import start_slideseg
from tests.reliability import long_only, trials

GOOD = trials(6, 28)
SIDES = (40, 700, 1100)
"""Of the slides, in pixels: less than a tile, one shard, four."""


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """A folder of slides of several sizes, with one that is cut off."""
    folder = tmp_path_factory.mktemp("slides")
    rng = np.random.default_rng(0)
    for number in range(GOOD):
        side = SIDES[number % len(SIDES)]
        image = rng.integers(0, 255, (side // 20, side // 20 + number, 3)).astype(np.uint8).repeat(20, 0).repeat(20, 1)
        tifffile.imwrite(folder / f"s{number:02}.tif", image, tile=(256, 256), photometric="rgb", compression="zlib")
    whole = (folder / "s01.tif").read_bytes()
    (folder / "cut.tif").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def manifest(slides):
    """All of them, and one that is not there; some with options of their own."""
    rows = [{"path": f"s{number:02}.tif", "save_probabilities": "yes" if number % 4 == 0 else ""} for number in range(GOOD)]
    rows[3:3] = [{"path": "cut.tif"}]
    rows[5:5] = [{"path": "nowhere.tif"}]
    rows[-1] |= {"output": "renamed.zarr", "level": "0", "fill-holes": ""}
    path = slides / "slides.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "Save_Probabilities", "output", "level", "fill-holes", "patient"])
        writer.writeheader()
        for row in rows:
            writer.writerow({"Save_Probabilities": row.pop("save_probabilities", ""), **row})
    return path


@pytest.fixture(scope="module")
def alone(slides, sparse_model, tmp_path_factory):
    """The bytes of each result as its own command makes it."""
    out = tmp_path_factory.mktemp("alone")
    found = {}
    for number in range(GOOD):
        store = out / ("renamed.zarr" if number == GOOD - 1 else f"s{number:02}.zarr")
        more = {"save_probabilities": number % 4 == 0}
        slideseg.predict(
            slides / f"s{number:02}.tif", store, model=sparse_model[0], objects=True, tissue="none", workers=1, **more
        )
        found[store.name] = array_bytes(store)
    return found


def options(model):
    return ["-m", model[0], "--objects", "--tissue", "none"]


def bytes_in(folder):
    return {store.name: array_bytes(store) for store in sorted(folder.glob("*.zarr"))}


def check(done, alone, out):
    """See that all good slides are there, and the two others named."""
    assert done.status == 1, done.err
    report = json.loads(done.out)
    failed = {slide["input"].rpartition("/")[2]: slide["error"] for slide in report["slides"] if slide["status"] == "failed"}
    assert report["status"] == "partial"
    assert set(failed) == {"cut.tif", "nowhere.tif"}
    assert "No such file" in failed["nowhere.tif"]
    assert [slide["input"].rpartition("/")[2] for slide in report["slides"]][2:5] == ["s02.tif", "cut.tif", "s03.tif"]
    assert bytes_in(out) == alone
    assert not list(out.glob(".*.lease"))


def check_times(report, workers):
    """See that stages add up to a slide's time, and that the workers did all of its shards."""
    good = [slide for slide in report["slides"] if slide["status"] == "ok"]
    for slide in good:
        stages = slide["stage_seconds"]
        assert list(stages) == ["plan", "copy", "segment", "pyramids", "objects", "commit"]
        assert sum(stages.values()) == pytest.approx(slide["seconds"], abs=0.005)
        assert all(stages[name] > 0 for name in ("plan", "segment", "pyramids", "objects", "commit"))
    spent = report["by_worker"]
    assert len(spent) == (0 if workers == 1 else workers)
    if spent:
        shards = sum(slide["shards"]["computed"] for slide in good)
        assert sum(worker["tasks"] for worker in spent) >= 3 * shards  # also parts, labels and rows of objects
        assert {worker["node"] for worker in spent} == {platform.node()}
        assert all(0 < worker["busy"] <= worker["seconds"] for worker in spent)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.ray)])
def test_slides_of_a_manifest_are_as_if_each_had_its_own_command(workers, manifest, alone, sparse_model, tmp_path):
    done = run_slideseg("predict", "--manifest", manifest, "-o", tmp_path, *options(sparse_model), "-w", workers, "--json")

    check(done, alone, tmp_path)
    check_times(done.report, workers)
    assert "columns that are no options are not used: patient" in done.err
    assert "Traceback" not in done.err


def test_parts_of_a_manifest_make_the_same_results_and_the_whole_then_tells_of_all(manifest, alone, sparse_model, tmp_path):
    words = ["predict", "--manifest", manifest, "-o", tmp_path, *options(sparse_model), "-w", 1, "--json"]
    (tmp_path / "report.csv").write_text("mine")
    later, one, early = [run_slideseg(*words, "--rows", rows) for rows in ("6-99", "4", "1-5")]
    assert [[slide["input"].rpartition("/")[2] for slide in part.report["slides"]] for part in (one, early)] == [
        ["cut.tif"], ["s00.tif", "s01.tif", "s02.tif", "cut.tif", "s03.tif"],
    ]  # fmt: skip
    assert (later.status, one.status, early.status) == (1, 2, 1)
    assert bytes_in(tmp_path) == alone
    assert {path.name for path in tmp_path.glob("report.*")} == {"report.csv"}
    assert not any(part.report.get("notes") for part in (later, early)), "nothing was to be written"
    (tmp_path / "report.csv").unlink()
    whole = run_slideseg(*words)
    check(whole, alone, tmp_path)
    assert sum(slide["shards"]["computed"] for slide in whole.report["slides"]) == 0
    assert [slide["status"] for slide in json.loads((tmp_path / "report.json").read_text())["slides"]].count("ok") == GOOD


@pytest.mark.ray
@pytest.mark.parametrize("victim", ["driver", pytest.param("worker", marks=long_only)])
def test_what_is_killed_at_a_random_moment_and_repeated_is_the_same(victim, manifest, alone, sparse_model, tmp_path):
    words = ["predict", "--manifest", manifest, "-o", tmp_path, *options(sparse_model), "-w", 2, "--json"]
    process = start_slideseg(*words)
    wanted = random.Random(victim).randrange(2, 8)
    while len(list(tmp_path.glob("*.zarr/labels/segmentation/0/c/*/*"))) < wanted:
        assert process.poll() is None, process.said()
        time.sleep(0.005)
    if victim == "driver":
        process.kill()
        process.communicate()
        done = run_slideseg(*words, "-w", 1)
        kept = sum(slide["shards"]["kept"] for slide in json.loads(done.out)["slides"])
        assert kept > 0
    else:
        below = psutil.Process(process.pid).children(recursive=True)
        for worker in [child for child in below if is_worker(child)]:
            worker.kill()
        out, err = process.communicate(timeout=200)
        done = type("Done", (), {"status": process.returncode, "out": out, "err": err})
    check(done, alone, tmp_path)


@pytest.mark.ray
def test_two_commands_on_one_folder_share_the_slides(manifest, alone, sparse_model, tmp_path):
    words = ["predict", "--manifest", manifest, "-o", tmp_path, *options(sparse_model), "-w", 2, "--json"]
    both = [start_slideseg(*words) for _ in range(2)]
    ends = [process.communicate(timeout=250) for process in both]

    assert bytes_in(tmp_path) == alone
    for process, (out, err) in zip(both, ends, strict=True):
        assert process.returncode == 1, err
        failed = {slide["input"]: slide["error"] for slide in json.loads(out)["slides"] if slide["status"] == "failed"}
        others = [error for name, error in failed.items() if "cut" not in name and "nowhere" not in name]
        assert all("being written by another run" in error for error in others), failed


@pytest.mark.ray
def test_ctrl_c_ends_it_at_once_and_gives_back_every_lease(manifest, alone, sparse_model, tmp_path):
    words = ["predict", "--manifest", manifest, "-o", tmp_path, *options(sparse_model), "-w", 2, "--json"]
    process = start_slideseg(*words)
    while not list(tmp_path.glob("*.zarr/labels/segmentation/0/c/*/*")):
        assert process.poll() is None, process.said()
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert json.loads(out)["status"] == "failed"
    assert "Traceback" not in err
    assert not list(tmp_path.glob(".*.lease"))
    check(run_slideseg(*words, "-w", 1), alone, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slide\na.tif\n", "want a column path"),
        ("path,mppp\na.tif,1\n", "has a column that is no option (got mppp; try mpp)"),
        ("path,workers\na.tif,1\n", "can't set workers (got an option of the whole run; try --workers)"),
        ("path,mpp\na.tif,0.5\nb.tif,half\n", "line 3 of the manifest"),
        ("path,image\na.tif,all\n", "image can't be like that (got 'all', want 'none' or 'overview' or 'full'"),
        ("path\n", "names no slide"),
        ("path,mpp\n,1\n", "line 2 of the manifest"),
        ("path,output\na.tif,x.zarr\nb.tif,x.zarr\n", "2 slides would share the result"),
        ("path,output\na.tif,x.zarr\nb.tif,./x.zarr\n", "2 slides would share the result"),
        ("path,output\na.tif,x.zarr\nb.tif,x.zarr/y.zarr\n", "a result would lie inside another one"),
        ("path,output\na.tif,.\n", "a result would replace the folder of the results"),
        ("path,output\na.tif,../m.csv\n", "a result would replace what one is made with"),
        ("path\na.tif\na.tif\n", "2 slides would share the result"),
        ("path\na.tif\na.tif\n", "try a row for each, with an output of its own)"),
        ("path;mpp\na.tif;0,5\n", "got semicolons between the columns, want commas"),
        ("path,mpp_of_slide\na.tif,half\n", "line 2 of the manifest"),
        ("path,range\na.tif,5-6\n", "line 2 of the manifest"),
        ("path,level,mpp\na.tif,0,0.5\n", "line 2 of the manifest"),
        ("path,split,objects\na.tif,5,no\n", "line 2 of the manifest"),
    ],
)
def test_a_manifest_that_can_not_be_used_is_refused_before_anything_is_done(text, said, run_here, tmp_path):
    (tmp_path / "m.csv").write_text(text)
    for words in (["--overwrite"], ["--dry-run"]):
        done = run_here("predict", "--manifest", tmp_path / "m.csv", "-o", tmp_path / "out", *words)
        assert done.status == 2
        assert said in done.err
        assert not (tmp_path / "out").exists()


def test_what_is_no_slide_in_a_folder_fails_by_its_name_and_stops_no_other(slides, sparse_model, run_here, tmp_path):
    """Also a name that is not UTF-8, in which no result could be called."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.tif").symlink_to(slides / "s00.tif")
    (tmp_path / "in" / "gone.svs").symlink_to(slides / "nowhere.svs")
    (tmp_path / "in" / os.fsdecode(b"bad\xff.tif")).symlink_to(slides / "s00.tif")
    done = run_here("predict", tmp_path / "in", "-o", tmp_path / "out", *options(sparse_model), "-w", 1)
    assert done.status == 1
    assert "gone.svs can't be read (got No such file or directory)" in done.err
    assert "a path is not UTF-8 (got" in done.err
    assert "panic" not in done.err
    assert [path.name for path in (tmp_path / "out").glob("*.zarr")] == ["good.zarr"]


def test_no_name_of_a_file_makes_a_line_of_its_own_or_steers_the_terminal(slides, sparse_model, run_here, tmp_path):
    for name, to in {"good": "s00.tif", "cut": "cut.tif", "gone": "nowhere.tif"}.items():
        (tmp_path / f"{name}\nerror: all is lost\r\x1b[2J.tif").symlink_to(slides / to)
    (tmp_path / "plain.tif").symlink_to(slides / "s00.tif")
    for more in ((), ("--dry-run",)):
        done = run_here("predict", tmp_path, "-o", tmp_path / "out", *options(sparse_model), "-w", 1, *more)
        said = f"{done.out}\n{done.err}"
        assert done.status == 1
        assert "cut error: all is lost \\x1b[2J.tif" in said
        assert "good error: all is lost \\x1b[2J" in said
        assert "\x1b" not in said
        assert not [line for line in said.splitlines() if line.startswith("error: all is lost")]
    for words in (("info", tmp_path), ("info", next(tmp_path.glob("good*"))), ("verify", next(tmp_path.glob("out/good*")))):
        done = run_here(*words)
        assert "error: all is lost" in done.out
        assert not [line for line in done.out.splitlines() if line.startswith("error: all") or "\x1b" in line]


def test_slides_are_named_by_a_manifest_or_one_by_one(run_here, tmp_path):
    (tmp_path / "m.csv").write_text("path\na.tif\n")
    assert "got both" in run_here("predict", tmp_path / "a.tif", "--manifest", tmp_path / "m.csv").err
    assert run_here("predict").status == 2
