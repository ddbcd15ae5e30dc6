"""``slideseg summary`` on what ``slideseg predict`` wrote."""

import csv
import io
import json

import pytest
from PIL import Image

import slideseg
from slideseg.testing.slides import PatternSlide
from tests.integration.conftest import run_slideseg


@pytest.fixture(scope="module")
def results(tmp_path_factory, rgb_model):
    """Two results of slides with names that a spreadsheet would run, and what a killed run leaves."""
    folder = tmp_path_factory.mktemp("summary")
    (folder / "slides").mkdir()
    for name, shape in (("=a", (300, 400)), ("b", (200, 250))):
        Image.fromarray(PatternSlide(shape).read((0, 0, *shape))).save(folder / "slides" / f"{name}.png")
    words = ["predict", "slides", "-m", rgb_model[0], "-w", "1", "--objects", "-o", "results", "--mpp-of-slide", "0.5"]
    assert run_slideseg(*words, cwd=folder).status == 0
    return folder


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_summary_prints_and_writes_a_row_a_result(results):
    printed = run_slideseg("summary", "results", cwd=results)
    assert printed.status == 0, printed.err
    rows = rows_of(printed.out)
    assert [row["result"] for row in rows] == ["results/=a.zarr", "results/b.zarr"]
    for row, (height, width) in zip(rows, [(300, 400), (200, 250)], strict=True):
        assert int(row["pixels"]) == height * width
        told = json.loads(run_slideseg("info", row["result"], "--json", cwd=results).out)
        assert int(row["objects"]) == sum(entry["count"] for entry in told["objects"])
        assert float(row["tissue_mm2"]) == pytest.approx(told["area_mm2"], abs=1e-6)

    written = run_slideseg("summary", "results", "-o", "all.csv", cwd=results)
    assert (written.status, written.out) == (0, "all.csv: 2 rows\n")
    assert (results / "all.csv").read_text() == printed.out
    refused = run_slideseg("summary", "results", "-o", "all.csv", cwd=results)
    assert (refused.status, "the target exists" in refused.err) == (2, True)
    assert run_slideseg("summary", "results", "-o", "all.csv", "--overwrite", cwd=results).status == 0


def test_json_has_what_python_returns(results, monkeypatch):
    told = run_slideseg("summary", "results", "--json", cwd=results)
    monkeypatch.chdir(results)
    assert told.report == {"status": "ok", "error": None, "results": slideseg.summary("results")}


def test_a_result_that_cannot_be_read_is_a_row_and_exit_1(results):
    root = results / "results/b.zarr/zarr.json"
    whole = root.read_bytes()
    root.write_bytes(whole[:40])
    try:
        printed = run_slideseg("summary", "results", cwd=results)
        told = run_slideseg("summary", "results", "--json", cwd=results)
    finally:
        root.write_bytes(whole)
    assert (printed.status, told.status) == (1, 1)
    assert [row["status"] for row in rows_of(printed.out)] == ["complete", "unreadable"]
    errors = [line for line in printed.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "results/b.zarr" in errors[0]
    assert (told.report["status"], told.report["error"] in errors[0]) == ("partial", True)


def test_a_name_that_a_spreadsheet_would_run_is_defused(results):
    printed = run_slideseg("summary", "=a.zarr", cwd=results / "results")
    (row,) = rows_of(printed.out)
    assert row["result"] == "'=a.zarr"


def test_a_typing_error_is_told_before_anything_is_read(results):
    refused = run_slideseg("summary", "results", "resluts", cwd=results)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith("error: no such result (got resluts")
