"""Which results are meant by what was typed."""

import os

import pytest

from slideseg.cohort.facts import facts_of
from slideseg.cohort.listing import find_results, several_results
from slideseg.conversion import convert
from slideseg.errors import ConfigError, ResultError
from slideseg.result.create import read_attributes
from slideseg.testing.slides import PatternSlide, write_pyramid
from tests.made_results import blobs, make_result
from tests.s3_server import running


@pytest.fixture
def folder(tmp_path):
    for name in ("b.zarr", "a.zarr"):
        make_result(tmp_path / "results" / name, blobs((64, 64)))
    make_result(tmp_path / "results" / "c.zarr", blobs((64, 64)), finish=False)
    return tmp_path / "results"


@pytest.fixture(autouse=True)
def _there(tmp_path):
    (tmp_path / "results").mkdir()


def names(found, folder):
    return [place.removeprefix(f"{folder}/") for place in found]


def test_a_folder_stands_for_its_results_by_name(folder):
    assert names(find_results(folder), folder) == ["a.zarr", "b.zarr", "c.zarr"]
    assert names(find_results(f"{folder}/"), folder) == ["a.zarr", "b.zarr", "c.zarr"]
    assert names(find_results([folder / "b.zarr", folder]), folder) == ["b.zarr", "a.zarr", "c.zarr"]


def test_what_is_no_result_is_left_out_and_a_damaged_one_is_not(folder, tmp_path):
    write_pyramid(tmp_path / "s.tif", PatternSlide((300, 300)), levels=1)
    convert(tmp_path / "s.tif", folder / "slide.zarr")
    (folder / "other").mkdir()
    (folder / "a.zarr.deleting-77" / "labels/segmentation").mkdir(parents=True)
    (folder / "a.zarr.deleting-77" / "labels/segmentation/zarr.json").write_text("{}")
    (folder / "report.json").write_text("{}")
    (folder / "b.zarr" / "zarr.json").write_text("{")
    (folder / "c.zarr" / "zarr.json").unlink()
    assert names(find_results(folder), folder) == ["a.zarr", "b.zarr", "c.zarr"]


def test_links_that_lead_nowhere_are_told_and_stop_no_other(folder, tmp_path):
    (tmp_path / "here.zarr").symlink_to(folder / "a.zarr")
    for name, to in {
        "gone.zarr": "gone", "loop.zarr": "loop.zarr", "loop": "loop", "elsewhere.zarr": str(tmp_path / "here.zarr"),
    }.items():  # fmt: skip
        (folder / name).symlink_to(to)
    (folder / os.fsdecode(b"bad\xff.zarr")).mkdir()
    found = find_results(folder)
    assert names(found, folder) == ["a.zarr", "b.zarr", "c.zarr", "elsewhere.zarr", "gone.zarr", "loop.zarr"]
    rows = [facts_of(one) for one in found[3:]]
    assert [row["status"] == "complete" for row in rows] == [True, False, False]
    assert all(row["error"] for row in rows[1:])


def test_what_is_not_there_is_an_error(folder):
    with pytest.raises(ResultError, match="no such result"):
        find_results([folder, folder / "none.zarr"])
    (folder / "empty").mkdir()
    with pytest.raises(ResultError, match="there are no results"):
        find_results(folder / "empty")
    with pytest.raises(ConfigError, match="no result was given"):
        find_results([])


def test_a_prefix_of_a_bucket_stands_for_its_results(folder, monkeypatch):
    with running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        files = [path for path in folder.rglob("*") if path.is_file()]
        server.buckets["lab"] = {f"runs/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}
        assert find_results("s3://lab/runs/") == [f"s3://lab/runs/{name}.zarr" for name in "abc"]
        assert find_results("s3://lab/runs/b.zarr") == ["s3://lab/runs/b.zarr"]
        with pytest.raises(ResultError, match="no such result"):
            find_results("s3://lab/none")
        with pytest.raises(ResultError, match="results can't be listed"):
            find_results("s3://nobody/none")


def test_a_result_that_can_not_be_read_is_one_and_stops_no_other(folder, monkeypatch):
    """As where a file's rights forbid it; root, who runs tests in containers, may read all."""

    def forbidden(store):
        if store.folder is not None and store.folder.name in ("b.zarr", "notes"):
            raise PermissionError(13, "Permission denied")
        return read_attributes(store)

    (folder / "notes").mkdir()
    monkeypatch.setattr("slideseg.cohort.listing.read_attributes", forbidden)
    assert names(find_results(folder), folder) == ["a.zarr", "b.zarr", "c.zarr"]
    assert several_results([folder / "a.zarr", folder / "none"]) == [str(folder / "a.zarr"), str(folder / "none")]
