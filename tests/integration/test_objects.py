"""``slideseg objects`` as a command, and what other commands say of its objects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import slideseg
from slideseg.instances.labelling.paint import label_image
from slideseg.model.objects import ObjectRules
from tests.integration.conftest import run_slideseg
from tests.results_of_discs import a_class_map, files, labels_of, write_result


def run_cli(*arguments) -> str:
    done = run_slideseg(*arguments)
    assert done.status == 0, done.err
    return done.out


def test_the_command_does_the_same_and_tells_what_it_found(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    report = json.loads(run_cli("objects", url, "--min-area", "30", "--connectivity", "8", "--json"))
    want = label_image(a_class_map((300, 280)), ObjectRules((1,), border=2, grow=4, connectivity=8, min_area=120))
    np.testing.assert_array_equal(labels_of(url), want)
    assert (report["status"], report["number"], report["computed"]) == ("ok", want.max(), 4)
    assert len(report["notes"]) == 1
    assert "objects: their table is whole; " in run_cli("verify", url)
    assert f"{want.max()} objects" in run_cli("objects", url, "--min-area", "30", "--connectivity", "8")


def test_the_command_says_that_it_keeps_what_is_there(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url, grow=2)
    before = files(url)
    done = run_slideseg("objects", url)
    assert (done.status, files(url)) == (0, before)
    assert (
        "warning: the objects that are there stay as they are, with --grow of 2 pixels; the model's would be 4 pixels"
        in done.err
    )


def test_one_class_of_objects_has_nothing_to_put_together(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    before = files(url)
    run_cli("objects", url, "--together")
    assert files(url) == before


def test_a_bad_table_is_told_by_info_and_put_right_by_verify(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    before, path = files(url), Path(url, "tables/objects.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    done = run_slideseg("info", url)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("error: tables/objects.parquet is damaged")
    assert "result" in done.out
    done = run_slideseg("info", url, "--json")
    assert (done.status, done.report["status"]) == (1, "failed")
    assert done.err == f"error: {done.report['error']}\n"
    done = run_slideseg("verify", url, "--repair")
    assert done.status == 1
    assert "their table is bad: " in done.out
    run_cli("objects", url)
    assert files(url) == before
