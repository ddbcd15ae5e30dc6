"""Objects that were damaged: found in one line, and written again with the same bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import zarr
from pyarrow import parquet

import slideseg
from slideseg import verification
from slideseg.cli.info import facts_of
from slideseg.errors import ConfigError, ResultError
from slideseg.instances import run as instances
from slideseg.instances import workers
from slideseg.result.commit import commit, commit_objects
from slideseg.result.layout import ResultLayout
from slideseg.result.manifest import MAP_PART
from slideseg.space.grid import ShardGrid
from slideseg.storage.store import open_store
from slideseg.testing.records import made_coordinates, made_record, made_slide
from slideseg.verification import discard_damage, verify
from tests.damage import flipped
from tests.results_of_discs import CLASSES, a_class_map, files, labels_of, names_in, write_result


def test_damage_is_one_clear_line_and_can_be_repaired(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map())
    slideseg.objects(url)
    before = files(url)
    shard = Path(url, "labels/objects/0/c/1/1")
    shard.write_bytes(shard.read_bytes()[:-50])
    report = verify(url)
    assert report.bad_keys == ("labels/objects/0/c/1/1",)
    discard_damage(url, report)
    layout = ResultLayout(ShardGrid((700, 600), 1, 256), None, CLASSES, 0, made_coordinates())
    commit(url, layout, made_record(slide=made_slide(mpp=0.5), classes=CLASSES, pixels=700 * 600))
    assert names_in(url) == ["segmentation"]
    assert slideseg.objects(url).computed == 1
    told = {key: files(url)[key] for key in (MAP_PART.document, MAP_PART.copy)}  # of another time
    assert files(url) == before | told

    lost = Path(url, "labels/segmentation/0/c/0/1")
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(ResultError, match="1 shard of the class map missing"):
        slideseg.objects(url, overwrite=True)
    lost.write_bytes(content[:100])
    with pytest.raises(ResultError, match="labels/segmentation/0/c/0/1 is damaged"):
        slideseg.objects(url, overwrite=True, border="none")


def test_verification_finds_the_objects_at_seams_again(tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "WINDOW", 200)
    url = write_result(tmp_path / "x.zarr", a_class_map())
    assert verify(url).objects is None
    slideseg.objects(url, min_area=5)
    found = verify(url).objects
    assert (found.table, found.different) == (None, 0)
    assert found.windows > 9
    assert found.compared > 20
    before = files(url)
    labels = labels_of(url)
    y, x = max(zip(*np.nonzero((labels[:-1] == labels[1:]) & (labels[1:] > 0)), strict=True), key=lambda at: -abs(at[0] - 255))
    array = zarr.open_array(url, path="labels/objects/0", mode="r+")
    lower = labels[256:].copy()
    lower[lower == labels[y, x]] = 9999
    array[256:] = lower  # as if nothing had joined it across the seam
    assert set(verify(url).bad_keys) == {f"labels/objects/0/c/{y}/{x}" for y in (1, 2) for x in range(3)}
    commit_objects(open_store(url), slideseg.open_result(url).layout)
    report = verify(url)
    assert (report.ok, report.bad_keys) == (False, ())
    assert report.objects.different >= 2
    discard_damage(url, report)
    assert slideseg.open_result(url).objects is None
    slideseg.objects(url, min_area=5)
    assert files(url) == before


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "fewer rows", "other ids"])
def test_a_bad_table_is_found_and_written_again(tmp_path, damage):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    before, path = files(url), Path(url, "tables/objects.parquet")
    data, table = path.read_bytes(), parquet.read_table(path)
    match damage:
        case "gone":
            path.unlink()
        case "cut":
            path.write_bytes(data[:-9])
        case "flipped":
            path.write_bytes(flipped(data, 200))
        case "fewer rows":
            parquet.write_table(table[:-1], path)
        case "other ids":
            parquet.write_table(table.take(list(range(table.num_rows))[::-1]), path)
    if damage in ("fewer rows", "other ids"):  # as if they had been written so
        commit_objects(open_store(url), slideseg.open_result(url).layout)
    report = verify(url)
    assert (report.ok, report.bad_keys) == (False, ("tables/objects.parquet",))
    discard_damage(url, report)
    assert slideseg.open_result(url).table is None
    assert slideseg.objects(url).computed == 0
    assert files(url) == before
    assert verify(url).objects.table is None


def test_reading_a_flipped_bit_of_the_table_is_an_error(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    path = Path(url, "tables/objects.parquet")
    data = path.read_bytes()
    for at in range(0, len(data), 397):
        path.write_bytes(flipped(data, at))
        with pytest.raises(ResultError, match=r"tables/objects\.parquet is damaged"):
            _ = slideseg.open_result(url).table
        with pytest.raises(ResultError, match=r"tables/objects\.parquet is damaged"):
            slideseg.open_result(url).object_counts()
        assert "objects" not in facts_of(url)
        assert facts_of(url)["error"].startswith("tables/objects.parquet is damaged")
    with pytest.raises(ResultError, match=r"tables/objects\.parquet is damaged .*try slideseg verify --repair"):
        slideseg.objects(url)


def test_facts_of_what_is_unfinished_and_of_nothing(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    root = Path(url, "zarr.json")
    about = json.loads(root.read_text())
    del about["attributes"]["ome"]
    root.write_text(json.dumps(about))
    assert not {"error", "objects"} & set(facts_of(url))
    with pytest.raises(ConfigError, match=r"no such file or folder .*want a slide, a result or a model"):
        facts_of(str(tmp_path / "nope.zarr"))
    (tmp_path / "crop.png").write_bytes(b"a picture")
    with pytest.raises(ResultError, match="this is no slideseg result"):
        slideseg.objects(tmp_path / "crop.png")
    with pytest.raises(ResultError, match="no such result"):
        slideseg.objects(tmp_path / "nope.png")


def test_objects_that_lost_their_description_are_one_clear_line(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    Path(url, "labels/objects/0/zarr.json").unlink()
    with pytest.raises(ResultError, match=r"labels/objects/0/zarr\.json is missing"):
        slideseg.open_result(url).object_counts()


@pytest.mark.parametrize("key", ["labels/objects/zarr.json", "labels/objects/0/zarr.json", "labels/zarr.json"])
def test_a_damaged_description_of_objects_is_found_and_written_again(tmp_path, key):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    before = files(url)
    Path(url, key).write_text("{")
    report = verify(url)
    assert report.bad_keys == (key,)
    discard_damage(url, report)
    slideseg.objects(url)
    assert files(url) == before


def test_labels_whose_rules_are_lost_are_not_taken_for_others(tmp_path):
    url, other = (write_result(tmp_path / name, a_class_map()) for name in ("x.zarr", "y.zarr"))
    slideseg.objects(url, min_area=30)
    Path(url, "labels/objects/0/zarr.json").unlink()
    discard_damage(url, verify(url))
    slideseg.objects(url)
    slideseg.objects(other)
    assert files(url) == files(other)


def test_rules_of_a_newer_version_are_one_line_when_objects_are_verified(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    path = Path(url, "labels/objects/0/zarr.json")
    described = json.loads(path.read_text())
    described["attributes"]["slideseg"]["rules"]["shape"] = "round"
    path.write_text(json.dumps(described))
    assert verify(url).bad_keys == ("labels/objects/0/zarr.json",)
    commit_objects(open_store(url), slideseg.open_result(url).layout)
    with pytest.raises(ResultError, match=r"objects' description can't be used \(got rules\.shape"):
        verify(url)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 a torn file"])
@pytest.mark.parametrize(
    ("what", "after"), [("parts", "number_objects"), ("measures/0", "missing_strips"), ("rows/0", "write_table")]
)
def test_a_torn_file_of_the_work_is_made_anew_by_another_try(tmp_path, monkeypatch, what, after, content):
    url, other = (write_result(tmp_path / name, a_class_map()) for name in ("x.zarr", "y.zarr"))
    slideseg.objects(other)
    with monkeypatch.context() as patch:
        patch.setattr(instances, after, raises_interrupt)
        with pytest.raises(KeyboardInterrupt):
            slideseg.objects(url)
    Path(url, workers.WORK, what, "1").write_bytes(content)
    with pytest.raises(ResultError, match=r"work/.*/1 was damaged and is removed .*try the same command again"):
        slideseg.objects(url)
    slideseg.objects(url)
    assert files(url) == files(other)


def raises_interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("path", ["labels/segmentation/0", "labels/objects/0"])
def test_an_array_whose_description_tells_another_size_is_damaged(tmp_path, path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    described = Path(url, path, "zarr.json")
    described.write_text(re.sub(r'"shape":\s*\[\s*300,\s*280\s*\]', '"shape": [300, 279]', described.read_text()))
    assert verify(url).bad_keys == (f"{path}/zarr.json",)


def test_objects_that_a_killed_command_did_not_name_are_named_by_the_next(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    without = Path(url, "labels/zarr.json").read_bytes()
    slideseg.objects(url)
    before = files(url)
    Path(url, "labels/zarr.json").write_bytes(without)
    assert verify(url).bad_keys == ("labels/zarr.json",)
    slideseg.objects(url)
    assert files(url) == before


def test_objects_may_be_replaced_and_all_is_sealed_again(tmp_path):
    url, other = (write_result(tmp_path / name, a_class_map()) for name in ("x.zarr", "y.zarr"))
    slideseg.objects(url, min_area=30)
    slideseg.objects(url, min_area=5, overwrite=True)
    slideseg.objects(other, min_area=5)
    assert verify(url).ok
    assert files(url) == files(other)
    Path(url, "labels/objects/1/c/0/0").write_bytes(Path(url, "labels/objects/0/c/0/0").read_bytes())
    assert verify(url).bad_keys == ("labels/objects/1/c/0/0",)
