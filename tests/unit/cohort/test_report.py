"""The three files that a run over several slides leaves."""

import base64
import csv
import hashlib
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import slideseg
from slideseg.cohort import report
from slideseg.cohort.report import write_reports
from slideseg.cohort.thumbnail import thumbnail
from slideseg.words import duration
from tests.made_results import blobs, make_result
from tests.s3_server import running
from tests.unit.cohort.test_markup import EVIL, Parsed


def told(slide, output, status="ok", **facts):
    counts = {"seconds": 2.5, "pixels": 240_000, "shards": {"total": 4, "computed": 3, "kept": 1}}
    return {"input": slide, "output": str(output), "status": status, "error": None, **counts, "notes": [], **facts}


def run_of(*slides, **facts):
    return {"status": "partial", "error": "broken.tif is broken", "slides": list(slides), **facts}


@pytest.fixture
def made(tmp_path):
    for seed, name in enumerate("ab"):
        url = tmp_path / f"{name}.zarr"
        make_result(url, blobs((400, 600), seed), image=np.full((400, 600, 3), 200, np.uint8))
        slideseg.objects(url)
    return run_of(
        told("slides/a.tif", tmp_path / "a.zarr", notes=["dark", "small"]),
        told(
            "slides/broken.tif",
            tmp_path / "broken.zarr",
            "failed",
            error="broken.tif is broken",
            shards={"total": 0, "computed": 0, "kept": 0},
        ),
        told("slides/b.tif", tmp_path / "b.zarr"),
        seconds=61.0,
        workers=2,
        idle=0.034,
        by_worker=[{"node": "n", "tasks": 9, "seconds": 9.0, "busy": 8.7, "idle": 0.034}],
    )


def page_of(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def rows_of(folder):
    return list(csv.DictReader(io.StringIO((folder / "report.csv").read_text())))


def test_json_has_the_run_and_the_summary_of_each_result(made, tmp_path):
    assert write_reports(str(tmp_path), made) == {}
    found = json.loads((tmp_path / "report.json").read_text())
    rows = {
        row["result"]: row for row in slideseg.summary([slide["output"] for slide in made["slides"] if slide["error"] is None])
    }
    assert {name: value for name, value in found.items() if name not in ("slides", "report of")} == {
        name: value for name, value in made.items() if name != "slides"
    }
    for slide, wanted in zip(found["slides"], made["slides"], strict=True):
        assert slide == {**wanted, "summary": rows.get(wanted["output"])}


def test_csv_has_a_row_a_slide_with_its_numbers(made, tmp_path):
    write_reports(str(tmp_path), made)
    rows, wanted = rows_of(tmp_path), slideseg.summary(tmp_path)
    assert [row["status"] for row in rows] == ["ok", "failed", "ok"]
    assert (rows[0]["warnings"], rows[1]["error"], rows[1]["objects"]) == ("dark; small", "broken.tif is broken", "")
    assert [int(rows[number]["objects"]) for number in (0, 2)] == [row["objects"] for row in wanted[:2]]
    assert (wanted[2]["status"], wanted[2]["error"]) == ("failed", "broken.tif is broken")
    assert float(rows[2]["per_mm2_nucleus"]) == wanted[1]["per_mm2_nucleus"]
    assert not {"result", "slide"} & set(rows[0])


def test_the_page_tells_of_each_slide_failed_ones_first(made, tmp_path):
    write_reports(str(tmp_path), made)
    page = page_of(tmp_path)
    assert re.findall(r'<tr id="s(\d)" class="(.*?)">|<tr id="s(\d)">', page) == [
        ("1", "failed", ""),
        ("0", "warned", ""),
        ("", "", "2"),
    ]
    parsed = Parsed(page)
    for words in ("2 of 3", "1:01 min", "workers, 3.4 % idle", "broken.tif is broken", "2 warnings", "dark", "per mm\u00b2"):
        assert words in parsed.data, words
    (row,) = slideseg.summary(tmp_path / "a.zarr")
    assert f"{row['objects']:,}" in parsed.data
    links = [attributes["href"] for kind, attributes in parsed.tags if kind == "a"]
    assert links == ["./a.zarr", "./b.zarr"]
    pictures = [base64.b64decode(attributes["src"].partition(",")[2]) for kind, attributes in parsed.tags if kind == "img"]
    assert pictures == [thumbnail(slideseg.open_result(tmp_path / f"{name}.zarr"), 480) for name in "ab"]


def test_a_run_that_computed_nothing_has_no_rate_and_tells_how_long_the_results_took(tmp_path):
    make_result(tmp_path / "a.zarr", blobs((400, 600), 1))
    slides = [told("a.tif", tmp_path / "a.zarr", shards={"total": 4, "computed": 0, "kept": 4}, kept_pixels=240_000)]
    made_in = slideseg.open_result(tmp_path / "a.zarr").record.seconds
    workers = {"workers": 1, "idle": 0.0, "by_worker": [{"node": "n", "tasks": 1, "seconds": 1.0, "busy": 1.0, "idle": 0.0}]}
    write_reports(str(tmp_path), run_of(*slides, seconds=2.7, **workers))
    words = Parsed(page_of(tmp_path)).data
    assert "2.7 s" in words
    assert "nothing to compute" in words
    assert "a second" not in words
    assert "% idle" not in words
    assert f"{duration(made_in)}4 shards, 4 kept by this run of 2.5 s" in words

    part = [{**slides[0], "shards": {"total": 4, "computed": 2, "kept": 2}, "kept_pixels": 120_000}]
    write_reports(str(tmp_path), run_of(*part, seconds=2.0, **workers))
    words = Parsed(page_of(tmp_path)).data
    assert "0.06 Mpx a second" in words
    assert "2.5 s4 shards, 2 kept" in words
    assert "kept by" not in words


def test_the_page_loads_nothing_and_runs_only_its_own_script(made, tmp_path):
    write_reports(str(tmp_path), made)
    page = page_of(tmp_path)
    parsed = Parsed(page)
    places = [
        attributes.get(key) for _, attributes in parsed.tags for key in ("src", "href", "action", "data") if attributes.get(key)
    ]
    assert all(place.startswith(("data:image/jpeg;base64,", "./", "#")) for place in places)
    assert not re.search(r"https?://|@import|url\(", page)
    assert not any(key.startswith("on") for _, attributes in parsed.tags for key in attributes)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    policy = next(attributes["content"] for _, attributes in parsed.tags if attributes.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy


def test_names_and_messages_are_text_wherever_they_stand(made, tmp_path):
    write_reports(str(tmp_path), made)
    harmless = [kind for kind, _ in Parsed(page_of(tmp_path)).tags]
    for slide in made["slides"]:
        slide |= {"input": f"s/{EVIL}.tif", "notes": [EVIL] * len(slide["notes"]), "error": slide["error"] and EVIL}
    made["slides"][1]["output"] = f"x/{EVIL}.zarr"
    made["error"] = EVIL
    (tmp_path / "report.json").unlink()
    assert write_reports(str(tmp_path), made) == {}
    assert [kind for kind, _ in Parsed(page_of(tmp_path)).tags] == harmless
    json.loads((tmp_path / "report.json").read_text())
    assert len(rows_of(tmp_path)) == 3


def test_a_result_that_is_damaged_has_its_row_and_why(made, tmp_path):
    shard = tmp_path / "a.zarr" / "labels/objects/0/c/0/0"
    shard.write_bytes(shard.read_bytes()[:-9])
    (tmp_path / "b.zarr" / "zarr.json").write_text("{")
    assert write_reports(str(tmp_path), made) == {}
    parsed = Parsed(page_of(tmp_path))
    assert not any(kind == "img" for kind, _ in parsed.tags)
    assert "labels/objects/0/c/0/0" in parsed.data
    rows = rows_of(tmp_path)
    assert (rows[0]["objects"] != "", rows[2]["objects"], "zarr.json is damaged" in rows[2]["warnings"]) == (True, "", True)


def test_files_of_others_stay_and_ours_are_replaced(made, tmp_path):
    assert write_reports(str(tmp_path), made) == {}
    before = page_of(tmp_path)
    made["slides"][0]["notes"] = []
    assert write_reports(str(tmp_path), made) == {}
    assert page_of(tmp_path) != before
    mine = {
        "report.json": '{"status": "complete", "epochs": 3}',
        "report.csv": "a,b\n",
        "report.html": "<!doctype html>\n<html>",
    }
    for name, content in mine.items():
        (tmp_path / name).write_text(content)
    notes = list(write_reports(str(tmp_path), made).values())
    assert [note.split(" is not written")[0] for note in notes] == list(mine)
    assert {name: (tmp_path / name).read_text() for name in mine} == mine
    (tmp_path / "report.html").unlink()
    (tmp_path / "report.html").mkdir()
    notes = list(write_reports(str(tmp_path), made).values())
    assert [note.split(" is not written")[0] for note in notes] == list(mine)
    assert not any("partial" in path.name for path in tmp_path.iterdir())


def test_what_cannot_be_written_is_said(made, tmp_path):
    (tmp_path / "file").write_text("")
    notes = list(write_reports(str(tmp_path / "file"), made).values())
    assert len(notes) == 3
    assert all("can't be written" in note and "\n" not in note for note in notes)


@pytest.mark.parametrize(("sides", "sizes", "remark"), [
    (((2, 480),), [(320, 480), (320, 480)], None),
    (((1, 480), (2, 240)), [(160, 240), (160, 240)], "Pictures are small"),
    (((1, 480),), [], "There are no pictures"),
])  # fmt: skip
def test_the_more_slides_the_smaller_the_pictures_and_it_is_said(made, tmp_path, monkeypatch, sides, sizes, remark):
    monkeypatch.setattr(report, "SIDES", sides)
    write_reports(str(tmp_path), made)
    parsed = Parsed(page_of(tmp_path))
    found = [base64.b64decode(attributes["src"].partition(",")[2]) for kind, attributes in parsed.tags if kind == "img"]
    assert [size_of(one) for one in found] == sizes
    assert (remark is None) == ("as there are" not in parsed.data)
    assert remark is None or remark in parsed.data


def size_of(jpeg):
    return Image.open(io.BytesIO(jpeg)).size[::-1]


def test_reports_go_to_a_bucket(made, tmp_path, monkeypatch):
    with running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.buckets["lab"] = {
            f"runs/{path.relative_to(tmp_path).as_posix()}": path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
        }
        for slide in made["slides"]:
            slide["output"] = slide["output"].replace(str(tmp_path), "s3://lab/runs")
        assert write_reports("s3://lab/runs", made) == {}
        assert write_reports("s3://lab/runs", made) == {}
        page = server.buckets["lab"]["runs/report.html"].decode()
        server.buckets["lab"]["runs/report.csv"] = b"mine"
        assert [note.partition(" ")[0] for note in write_reports("s3://lab/runs", made).values()] == ["report.csv"]
    assert (page.count("<img"), 'href="./a.zarr"' in page) == (2, True)


def test_it_is_told_how_far_it_is(made, tmp_path):
    seen = []
    write_reports(str(tmp_path), made, watch=lambda *state: seen.append(state))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("folder", ["", ".", "../work"])
def test_the_page_is_called_as_its_folder_is(tmp_path, monkeypatch, folder):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    make_result("a.zarr", blobs((64, 64)))
    assert write_reports(folder, run_of(told("a.tif", "a.zarr"))) == {}
    page = page_of(tmp_path / "work")
    assert "<title>work</title>" in page
    assert 'href="./a.zarr"' in page


def test_a_run_without_slides_or_facts_has_reports(tmp_path):
    assert write_reports(str(tmp_path), {"status": "ok", "error": None, "slides": []}) == {}
    assert json.loads((tmp_path / "report.json").read_text())["slides"] == []
    assert rows_of(tmp_path) == []
