"""Slides that failed have rows too."""

import json

import pytest

import slideseg
from slideseg.cli.info import facts_of
from slideseg.cohort.failed import failed_rows
from slideseg.cohort.report import write_reports
from slideseg.errors import ConfigError, ResultError
from tests.made_results import blobs, make_result


@pytest.fixture
def folder(tmp_path):
    """A folder with a result, whose run failed at two other slides; one of them has been done since."""
    (tmp_path / "results").mkdir()
    for name in ("a.zarr", "late.zarr"):
        make_result(tmp_path / "results" / name, blobs((64, 64)))
    slides = [
        {"input": "s/a.svs", "output": "results/a.zarr", "status": "ok", "error": None, "notes": []},
        {"input": "s/bad.svs", "output": "results/bad.zarr", "status": "failed", "error": "it is cut off", "notes": []},
        {"input": "s/late.svs", "output": "results/late.zarr", "status": "failed", "error": "not there", "notes": []},
    ]
    assert write_reports(str(tmp_path / "results"), {"status": "partial", "error": "it is cut off", "slides": slides}) == {}
    return tmp_path / "results"


def test_a_slide_that_failed_is_a_row_of_the_summary(folder):
    rows = slideseg.summary(folder)
    assert [(row["result"].rpartition("/")[2], row["status"], row["error"]) for row in rows] == [
        ("a.zarr", "complete", None), ("late.zarr", "complete", None), ("bad.zarr", "failed", "it is cut off"),
    ]  # fmt: skip
    assert (rows[2]["slide"], set(rows[2])) == ("s/bad.svs", set(rows[0]))


def test_a_run_over_other_slides_keeps_what_failed_before_it(folder):
    make_result(folder / "new.zarr", blobs((64, 64)))
    new = {"input": "s/new.svs", "output": "results/new.zarr", "status": "ok", "error": None, "notes": []}
    for run in range(2):
        assert write_reports(str(folder), {"status": "ok", "error": None, "slides": [new]}) == {}, run
        rows = {row["result"].rpartition("/")[2]: row["error"] for row in slideseg.summary(folder)}
        assert rows == {"a.zarr": None, "late.zarr": None, "new.zarr": None, "bad.zarr": "it is cut off"}
        page = (folder / "report.html").read_text()
        assert "Failed before" in page
        assert page.count("it is cut off") == 1

    again = {"input": "s/bad.svs", "output": "results/bad.zarr", "status": "failed", "error": "still cut off", "notes": []}
    assert write_reports(str(folder), {"status": "failed", "error": "still cut off", "slides": [again]}) == {}
    assert [row["error"] for row in slideseg.summary(folder)][-1] == "still cut off", "what a run tries again it tells itself"
    assert "Failed before" not in (folder / "report.html").read_text()


def test_info_of_a_result_that_is_not_there_tells_why(folder, monkeypatch):
    with pytest.raises(ResultError, match=r"there is no result .*/bad\.zarr, as its slide failed \(got it is cut off\)"):
        facts_of(str(folder / "bad.zarr"))
    monkeypatch.chdir(folder)
    with pytest.raises(ResultError, match=r"there is no result bad\.zarr, as its slide failed"):
        facts_of("bad.zarr")
    with pytest.raises(ConfigError, match=r"no such file or folder \(got lat\.zarr, .*; try late\.zarr\)"):
        facts_of("lat.zarr")


def test_named_one_by_one_there_are_only_results(folder):
    assert [row["status"] for row in slideseg.summary([folder / "a.zarr", folder / "late.zarr"])] == ["complete", "complete"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"slides": [{"status": "failed"}]}', '{"report of": "slideseg 1", "slides": 3}', "[" * 10_000],
)
def test_what_is_no_report_tells_nothing(folder, text):
    (folder / "report.json").write_text(text)
    assert list(failed_rows(folder, [])) == []


def test_damaged_entries_are_passed_over(folder):
    said = json.loads((folder / "report.json").read_bytes())
    said["slides"] += [7, {"status": "failed", "input": 3, "output": "x.zarr", "error": "x"}]
    (folder / "report.json").write_text(json.dumps(said))
    assert [row["slide"] for row in failed_rows(folder, ["x/late.zarr"])] == ["s/bad.svs"]


@pytest.mark.parametrize("output", ["x/..", "", ".", "/"])
def test_a_report_can_not_name_a_folder_around_the_results(folder, output):
    said = json.loads((folder / "report.json").read_bytes())
    said["slides"] = [{"status": "failed", "input": "x.svs", "output": output, "error": "x"}]
    (folder / "report.json").write_text(json.dumps(said))
    assert list(failed_rows(folder, [])) == []
