"""What finding objects leaves in a result: only what readers of Zarr know."""

import shutil

import numpy as np
import zarr

import slideseg
from slideseg.instances.workers import WORK, clear_work
from slideseg.storage.store import open_store
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
