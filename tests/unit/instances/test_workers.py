"""What finding objects reads and leaves: what is missing is an error, and only what readers of Zarr know stays."""

import shutil

import numpy as np
import pytest
import zarr

import slideseg
from slideseg.arrays.pyramid import write_pyramid
from slideseg.arrays.shards import plan_of
from slideseg.errors import ResultError
from slideseg.instances.measurements import MeasureWorker, TableJob
from slideseg.instances.rows import RowForm
from slideseg.instances.workers import WORK, ObjectsJob, PartsWorker, clear_work
from slideseg.model.objects import ObjectRules
from slideseg.storage.store import open_store
from slideseg.verification import verify
from tests.damage import delete_chunk
from tests.made_results import make_result


def test_no_folder_of_the_work_is_left(tmp_path):
    make_result(tmp_path / "x.zarr", np.ones((600, 600), np.uint8))
    slideseg.objects(tmp_path / "x.zarr")
    assert not (tmp_path / "x.zarr" / WORK).exists()
    assert sorted(zarr.open_group(tmp_path / "x.zarr", mode="r")["labels/objects"].array_keys()) == ["0", "1"]


def test_a_finished_result_loses_the_folder_that_is_left(tmp_path):
    make_result(tmp_path / "x.zarr", np.ones((300, 300), np.uint8))
    slideseg.objects(tmp_path / "x.zarr")
    (tmp_path / "x.zarr" / WORK / "parts").mkdir(parents=True)
    assert slideseg.objects(tmp_path / "x.zarr").computed == 0
    assert not (tmp_path / "x.zarr" / WORK).exists()


def test_what_another_removes_at_the_same_moment_is_no_failure(tmp_path, monkeypatch):
    (tmp_path / WORK / "parts").mkdir(parents=True)
    remove = shutil.rmtree

    def removed_by_another(path, *arguments, **options):
        remove(path)
        remove(path, *arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", removed_by_another)
    clear_work(open_store(str(tmp_path)))
    assert not (tmp_path / WORK).exists()


def test_a_chunk_that_is_missing_beside_a_shard_is_no_background(tmp_path):
    url = str(tmp_path / "x.zarr")
    make_result(url, np.ones((512, 1024), np.uint8), side=512)
    delete_chunk(tmp_path / "x.zarr/labels/segmentation/0/c/0/1", 512, 0, 0)
    job = ObjectsJob(url, plan_of(open_store(url), "labels/segmentation/0"), ObjectRules((1,), border=2))
    line = r"^shard labels/segmentation/0/c/0/1 is damaged \(got a chunk is missing; try slideseg verify --repair\)$"

    with pytest.raises(ResultError, match=line):
        PartsWorker(job)(0)
    with pytest.raises(ResultError, match=line):
        slideseg.objects(url)
    assert slideseg.open_result(url).objects is None
    assert verify(url).bad_keys == ("labels/segmentation/0/c/0/1",)


def test_a_chunk_that_is_missing_from_labels_is_no_background_to_those_who_measure_and_verify(tmp_path):
    url, key = str(tmp_path / "x.zarr"), "labels/objects/0/c/0/1"
    make_result(url, np.ones((512, 1024), np.uint8), side=512)
    slideseg.objects(url)
    delete_chunk(tmp_path / "x.zarr" / key, 512, 0, 0)
    assert verify(url).bad_keys == (key,)
    store = open_store(url)
    labels, class_map = plan_of(store, "labels/objects/0"), plan_of(store, "labels/segmentation/0")
    job = TableJob(url, labels, class_map, None, RowForm((1,), ("background", "nucleus"), (1.0, 1.0), None))
    with pytest.raises(ResultError, match=f"shard {key} is damaged"):
        MeasureWorker(job)(0)
    (tmp_path / "x.zarr/labels/objects/1/c/0/0").unlink()
    with pytest.raises(ResultError, match=f"shard {key} is damaged"):
        write_pyramid(url, labels, "mode", 2)
