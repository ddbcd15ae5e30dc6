"""Commands that are given several results, or a folder of them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import slideseg
from slideseg.cli import cli
from slideseg.cli.output.each import together
from slideseg.errors import ResultError
from slideseg.storage.lease import Lease
from tests.made_results import blobs, make_result


@pytest.fixture
def folder(tmp_path):
    """A folder of two results, one that is unfinished, and one that is damaged."""
    for seed, name in enumerate(("a.zarr", "b.zarr")):
        make_result(tmp_path / "results" / name, blobs((300, 300), seed))
        slideseg.objects(tmp_path / "results" / name)
    make_result(tmp_path / "results" / "c.zarr", blobs((64, 64)), finish=False)
    make_result(tmp_path / "results" / "d.zarr", blobs((64, 64)))
    (tmp_path / "results" / "d.zarr" / "labels/segmentation/0/c/0/0").write_bytes(b"")
    return tmp_path / "results"


@pytest.fixture(autouse=True)
def _there(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)


def ran(*words):
    done = CliRunner().invoke(cli, list(map(str, words)), standalone_mode=False)
    assert done.exception is None, done.exception
    return done


def test_verify_looks_at_each_result_of_a_folder(folder):
    done = ran("verify", folder)
    said = [line for line in done.stdout.splitlines() if ": complete" in line or ": unfinished" in line]
    assert [line.split(": ")[0].rpartition("/")[2] for line in said] == ["a.zarr", "b.zarr", "c.zarr", "d.zarr"]
    assert done.return_value == 1
    told = json.loads(ran("verify", folder, "--json").stdout)
    assert [(one["result"], one["status"]) for one in told["results"]] == [
        (f"{folder}/{name}.zarr", "failed" if name in "cd" else "ok") for name in "abcd"
    ]
    assert (told["status"], told["results"][3]["bad"]) == ("partial", ["labels/segmentation/0/c/0/0"])
    assert ran("verify", folder / "a.zarr", folder / "b.zarr").return_value == 0


def test_one_result_is_told_as_before(folder):
    told = json.loads(ran("verify", folder / "a.zarr", "--json").stdout)
    assert (told["status"], told["url"], "results" in told) == ("ok", f"{folder}/a.zarr", False)
    with pytest.raises(ResultError, match="unfinished"):
        CliRunner().invoke(cli, ["objects", f"{folder}/c.zarr"], standalone_mode=False, catch_exceptions=False)


def test_objects_finds_those_of_each_and_a_failure_stops_no_other(folder):
    done = ran("objects", folder, "--min-area", "20", "--overwrite")
    assert [line.split(": ")[0].rpartition("/")[2] for line in done.stdout.splitlines()] == ["a.zarr", "b.zarr"]
    failed = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert [("c.zarr" in line, "d.zarr" in line) for line in failed] == [(True, False), (False, True)]
    assert done.return_value == 1
    (folder / "e.zarr").symlink_to("nowhere")
    told = json.loads(ran("objects", folder, "--json").stdout)
    assert [one["status"] for one in told["results"]] == ["ok", "ok", "failed", "failed", "failed"]
    assert told["error"] == told["results"][2]["error"]


def test_results_that_other_runs_are_at_give_3_if_that_is_all(folder):
    for name in "cd":
        (folder / f"{name}.zarr").rename(folder.parent / f"{name}.zarr")
    with Lease(str(folder / "b.zarr")):
        assert ran("objects", folder, "--overwrite").return_value == 3
        assert ran("objects", folder, folder.parent / "c.zarr", "--overwrite").return_value == 1


def test_exports_of_a_folder_go_into_one_named_as_the_results(folder):
    done = ran("export", folder, "--to", "csv", "-o", "tables/of all")
    assert sorted(path.name for path in (folder.parent / "tables/of all").iterdir()) == ["a.csv", "b.csv"]
    assert done.return_value == 1
    told = json.loads(ran("export", folder / "a.zarr", folder / "b.zarr", "--to", "geojson", "--json").stdout)
    assert [one["output"] for one in told["results"]] == ["a.geojson", "b.geojson"]
    assert (told["status"], told["results"][0]["features"] > 10) == ("ok", True)


def test_two_exports_of_one_name_are_refused_before_any_is_written(folder, tmp_path):
    make_result(tmp_path / "a.zarr", blobs((64, 64)))
    with pytest.raises(Exception, match="two exports would have one name") as refused:
        CliRunner().invoke(
            cli, ["export", str(folder), "a.zarr", "--to", "csv", "--overwrite"], standalone_mode=False, catch_exceptions=False
        )
    assert "a.zarr and " in str(refused.value)
    assert not list(tmp_path.glob("*.csv"))


def test_info_of_a_folder_is_a_table(folder):
    done = ran("info", folder)
    lines = done.stdout.splitlines()
    assert (done.return_value, lines[0]) == (1, "kind     results")
    assert lines[2].startswith("results  4, 2 of them not complete, ")
    head = lines[3].split()
    assert head == ["result", "status", "tissue", "objects", "density", "median", "model"]
    assert [line.split()[:2] for line in lines[4:]] == [
        ["a.zarr", "complete"], ["b.zarr", "complete"], ["c.zarr", "unfinished"], ["d.zarr", "unreadable"],
    ]  # fmt: skip
    assert done.stderr.startswith(f"error: {folder}/c.zarr")
    told = json.loads(ran("info", folder, "--json").stdout)
    assert (told["kind"], told["status"], len(told["results"])) == ("results", "failed", 4)


def test_info_of_several_things(folder, tmp_path):
    np.save(tmp_path / "s.npy", np.zeros((8, 9, 3), np.uint8))
    done = ran("info", "s.npy", folder / "a.zarr", "gone.tif")
    kinds = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("kind")]
    assert kinds == ["slide", "result, complete"]
    assert (done.return_value, done.stderr) == (
        1, "error: there is no such file or folder (got gone.tif, want a slide, a result or a model)\n"
    )  # fmt: skip
    told = json.loads(ran("info", "s.npy", folder / "a.zarr", "gone.tif", "--json").stdout)
    assert [one["kind"] for one in told["of"]] == ["slide", "result", None]


def test_info_of_a_folder_with_slides_and_results_tells_both(folder, tmp_path):
    np.save(folder / "s.npy", np.zeros((8, 9, 3), np.uint8))
    told = json.loads(ran("info", folder, "--json").stdout)
    assert (told["kind"], told["slides"], len(told["results"])) == ("folder", [f"{folder}/s.npy"], 4)


def test_what_is_said_of_several_together():
    ok, bad = {"status": "ok"}, {"status": "failed", "error": "x"}
    assert together([ok, ok]) == {"status": "ok", "error": None, "results": [ok, ok]}
    assert together([ok, bad])["status"] == "partial"
    assert together([bad, bad]) == {"status": "failed", "error": "x", "results": [bad, bad]}
