"""Creating, resuming and refusing results; writing and listing shards."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from obstore.store import MemoryStore

from slideseg.arrays import shards as arrays
from slideseg.errors import ConfigError, ResultError, RunError
from slideseg.result.create import create_result
from slideseg.result.layout import ResultLayout
from slideseg.result.manifest import MAP_PART
from slideseg.result.record import RunRecord
from slideseg.result.shards import ShardStore
from slideseg.space.grid import ShardGrid
from slideseg.storage import store as location
from slideseg.testing.records import made_classes, made_coordinates, made_record

ROOT = Path(__file__).parents[3]
CLASSES = made_classes("background", "nucleus")


def layout(shape=(300, 600), planes=1, axis=None, probabilities=0, side=256, mpp=0.5) -> ResultLayout:
    return ResultLayout(ShardGrid(shape, planes, side), axis, CLASSES, probabilities, made_coordinates(mpp))


def record(**run) -> RunRecord:
    made = made_record(classes=CLASSES)
    return replace(made, run=replace(made.run, **run))


def create(path, a_layout=None, *, overwrite=False, **run) -> str:
    return create_result(str(path), a_layout or layout(), record(**run), overwrite=overwrite)


def fill(path, a_layout, value=1) -> None:
    shards = ShardStore(str(path), a_layout)
    for shard in a_layout.grid:
        shape = shard.write_box.shape
        kept = a_layout.probabilities
        shards.write(shard, np.full(shape, value, np.uint8), np.full((kept, *shape), 9, np.uint8) if kept else None)


def tree(path: Path) -> dict[str, bytes]:
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize(("planes", "axis"), [(1, None), (2, "z"), (2, "t")])
@pytest.mark.parametrize("shape", [(1, 1), (300, 600)])
def test_a_result_is_filled_shard_by_shard(tmp_path, planes, axis, shape):
    path, lay = tmp_path / "x.zarr", layout(shape, planes, axis, probabilities=2)
    assert create(path, lay) == "new"
    shards = ShardStore(str(path), lay)
    assert shards.finished() == set()
    for shard in reversed(list(lay.grid)):
        box = shard.write_box.shape
        shards.write(shard, np.full(box, shard.index, np.uint8), np.full((2, *box), 100 + shard.index, np.uint8))
    assert shards.finished() == set(range(len(lay.grid)))
    group = zarr.open_group(str(path), mode="r")
    assert group.attrs["slideseg"]["status"] == "running"
    lead = () if axis is None else (planes,)
    assert group["labels/segmentation/0"].shape == (*lead, *shape)
    assert group["probabilities/0"].shape == {None: (2, *shape), "t": (2, 2, *shape), "z": (2, 2, *shape)}[axis]
    second_channel = {None: np.s_[1], "t": np.s_[:, 1], "z": np.s_[1]}[axis]
    np.testing.assert_array_equal(group["probabilities/0"][second_channel], 100 + group["labels/segmentation/0"][:])


def test_many_threads_write_different_shards(tmp_path):
    path, lay = tmp_path / "x.zarr", layout((1500, 1500), probabilities=1)
    create(path, lay)
    shards, labels = ShardStore(str(path), lay), np.random.default_rng(0).integers(0, 9, (1500, 1500)).astype(np.uint8)
    with ThreadPoolExecutor(8) as pool:
        parts = [(shard, labels[shard.write_box.slices]) for shard in lay.grid]
        list(pool.map(lambda part: shards.write(*part, part[1][None]), parts))
    group = zarr.open_group(str(path), mode="r")
    np.testing.assert_array_equal(group["labels/segmentation/0"][:], labels)
    np.testing.assert_array_equal(group["probabilities/0"][0], labels)


def test_one_file_a_shard_and_no_other(tmp_path):
    path, lay = tmp_path / "x.zarr", layout(probabilities=1)
    create(path, lay)
    before = set(tree(path))
    fill(path, lay)
    keys = {plan.key(i) for plan in lay.arrays() for i in range(len(lay.grid))}
    assert set(tree(path)) - before == keys


def test_the_same_run_is_resumed_untouched(tmp_path):
    path, lay = tmp_path / "x.zarr", layout()
    create(path)
    fill(path, lay)
    before = tree(path)
    for left in ("0.123.partial", "0#1", "0#23"):
        (path / "labels/segmentation/0/c/0" / left).write_bytes(b"torn")
    assert create(path) == "resumed"
    assert tree(path) == before


@pytest.mark.parametrize("damaged", ["zarr.json", MAP_PART.copy])
def test_of_a_root_and_its_copy_the_damaged_one_is_mended(tmp_path, damaged):
    path = tmp_path / "x.zarr"
    create_result(path, layout(), record(), overwrite=False)
    whole = {name: (path / name).read_bytes() for name in ("zarr.json", MAP_PART.copy)}
    (path / damaged).write_bytes(b"{")
    assert create_result(path, layout(), record(), overwrite=False) == "resumed"
    assert {name: (path / name).read_bytes() for name in whole} == whole


def test_a_missing_array_is_created_again(tmp_path):
    path = tmp_path / "x.zarr"
    create(path)
    (path / "labels/segmentation/0/zarr.json").unlink()
    assert create(path) == "resumed"
    assert (path / "labels/segmentation/0/zarr.json").is_file()


def test_a_killed_creation_is_resumed(tmp_path, monkeypatch):
    path = tmp_path / "x.zarr"
    monkeypatch.setattr("slideseg.result.create.create_array", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        create(path)
    monkeypatch.undo()
    assert create(path) == "resumed"


def test_a_different_run_is_refused_by_name(tmp_path):
    path = tmp_path / "x.zarr"
    create(path)
    with pytest.raises(ResultError, match=r"--precision differs \(got fp32, want bf16; try --precision fp32, or --overwrite\)"):
        create(path, precision="bf16")


def test_overwrite_replaces_a_result(tmp_path):
    path, lay = tmp_path / "x.zarr", layout()
    create(path)
    fill(path, lay)
    assert create(path, overwrite=True, level=2) == "new"
    assert ShardStore(str(path), lay).finished() == set()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.zarr"]


def test_a_killed_overwrite_leaves_nothing_half_under_the_name(tmp_path, monkeypatch):
    path = tmp_path / "x.zarr"
    create(path)
    monkeypatch.setattr(location.shutil, "rmtree", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        create(path, overwrite=True)
    assert not path.exists()
    monkeypatch.undo()
    assert create(path) == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.zarr"]


def test_a_deletion_killed_at_its_start_goes_on(tmp_path, monkeypatch):
    path, lay = tmp_path / "x.zarr", layout()
    create(path)
    fill(path, lay)
    monkeypatch.setattr("slideseg.result.create.delete", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        create(path, overwrite=True)
    monkeypatch.undo()
    assert create(path) == "new"
    assert ShardStore(str(path), lay).finished() == set()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["file", "folder", "zarr", "torn"])
def test_foreign_data_is_never_touched(tmp_path, kind, overwrite):
    path = tmp_path / "x.zarr"
    if kind == "file":
        path.write_bytes(b"precious")
    elif kind == "zarr":
        zarr.create_group(str(path), attributes={"slide": 1})
    else:
        path.mkdir()
        (path / ("zarr.json" if kind == "torn" else "precious.txt")).write_bytes(b"{")
    before = path.read_bytes() if kind == "file" else tree(path)
    with pytest.raises(ResultError, match="is no slideseg result"):
        create(path, overwrite=overwrite)
    assert (path.read_bytes() if kind == "file" else tree(path)) == before


def test_an_empty_folder_will_do(tmp_path):
    assert create(tmp_path) == "new"


def test_places_where_nothing_can_be_created(tmp_path):
    with pytest.raises(ResultError, match="does not exist"):
        create(tmp_path / "no" / "x.zarr")
    with pytest.raises(ConfigError, match="is not supported"):
        create_result("gopher://x/y", layout(), record(), overwrite=False)
    with pytest.raises(ResultError, match="needs a name"):
        create_result("s3://bucket", layout(), record(), overwrite=False)


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    path, lay = tmp_path / "x.zarr", layout()
    create(path)
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(arrays, "write_key", lambda *_: (_ for _ in ()).throw(full))
    with pytest.raises(RunError, match="No space left on device") as caught:
        fill(path, lay)
    assert "\n" not in str(caught.value)


def test_an_object_store_s_error_is_cut_short():
    error = OSError('Status 404: <?xml version="1.0"?>\n<Error>NoSuchBucket</Error> Debug source: Generic { ... }')
    assert location.reason(error) == "Status 404"
    assert len(location.reason(OSError("x" * 5000))) == 300


def test_wrong_values_are_refused(tmp_path):
    path, lay = tmp_path / "x.zarr", layout()
    create(path)
    shards, shard = ShardStore(str(path), lay), lay.grid[0]
    with pytest.raises(ValueError, match="not"):
        shards.write(shard, np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="not"):
        shards.write(shard, np.zeros(shard.write_box.shape, np.int64))
    with pytest.raises(ValueError, match="layout"):
        shards.write(shard, np.zeros(shard.write_box.shape, np.uint8), np.zeros((1, *shard.write_box.shape), np.uint8))
    assert shards.finished() == set()


def test_a_shard_without_its_class_map_is_not_done(tmp_path, monkeypatch):
    path, lay = tmp_path / "x.zarr", layout(probabilities=1)
    create(path, lay)
    written = []

    def stop_at_second(store, key, data):
        written.append(key)
        if len(written) == 2:
            raise KeyboardInterrupt
        location.write_key(store, key, data)

    monkeypatch.setattr(arrays, "write_key", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        fill(path, lay)
    assert written[0].startswith("probabilities/0/")
    assert ShardStore(str(path), lay).finished() == set()


KILLED = """
    import sys
    import numpy as np
    from slideseg.arrays.shards import write_shard
    from slideseg.arrays.plan import ArrayPlan
    from slideseg.storage.store import open_store
    store = open_store(sys.argv[1])
    plan = ArrayPlan("labels/segmentation/0", "yx", (2048, 2048), 2048)
    value = np.random.default_rng(0).integers(0, 255, (2048, 2048)).astype(np.uint8)
    sys.stdout.write("go\\n"); sys.stdout.flush()
    while True:
        write_shard(store, plan, 0, value)
"""


def test_kill_9_in_a_write_leaves_no_torn_shard(tmp_path):
    path, lay = tmp_path / "x.zarr", layout((2048, 2048), side=2048)
    create(path, lay)
    plan = lay.segmentation()
    script = tmp_path / "writer.py"
    script.write_text(textwrap.dedent(KILLED))
    partial = 0
    for _ in range(40):
        if partial >= 3:
            break
        command, environment = [sys.executable, str(script), str(path)], {**os.environ, "PYTHONPATH": str(ROOT)}
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert writer.stdout.readline() == b"go\n"
        folder, deadline = path / "labels/segmentation/0/c/0", time.monotonic() + 20
        while time.monotonic() < deadline and not (folder.is_dir() and any("#" in n for n in os.listdir(folder))):
            pass
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        partial += sum("#" in name for name in os.listdir(folder))
        store = location.open_store(str(path))
        for index in arrays.finished_shards(store, plan):
            assert arrays.read_shard(store, plan, index).shape == (2048, 2048)
        assert create(path, lay) == "resumed"
        assert not any("#" in name for name in os.listdir(folder))
    assert partial, "no attempt hit a write"


def test_a_bucket_works_like_a_folder(tmp_path, monkeypatch):
    bucket = MemoryStore()
    monkeypatch.setattr(location, "_open_bucket", lambda *_: bucket)
    url, lay = "s3://bucket/run/x.zarr", layout(probabilities=2)
    assert create_result(url, lay, record(), overwrite=False) == "new"
    fill(url, lay)
    assert ShardStore(url, lay).finished() == set(range(len(lay.grid)))
    assert create_result(url, lay, record(), overwrite=False) == "resumed"
    with pytest.raises(ResultError, match="level differs"):
        create_result(url, lay, record(level=1), overwrite=False)
    assert create_result(url, lay, record(level=1), overwrite=True) == "new"
    assert ShardStore(url, lay).finished() == set()


@pytest.mark.parametrize(("broken", "call"), [("read_key", arrays.create_array), ("list_keys", arrays.finished_shards)])
def test_storage_that_fails_at_any_point_is_one_line(tmp_path, monkeypatch, broken, call):
    path, lay = tmp_path / "x.zarr", layout()
    create(path)
    monkeypatch.setattr(arrays, broken, lambda *_: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(RunError, match="gone"):
        call(location.open_store(str(path)), lay.segmentation())
