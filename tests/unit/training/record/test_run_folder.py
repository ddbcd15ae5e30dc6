"""The run folder: whose it is, what an epoch adds to it, and that a kill between any two writes is made good."""

from __future__ import annotations

import csv
import io
import json
import math
import struct
from dataclasses import asdict

import numpy as np
import pytest
import torch
from obstore.store import MemoryStore
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from slideseg.errors import ConfigError, ResultError, ResultInUseError, RunError
from slideseg.model.config import UNetConfig
from slideseg.model.file import load_model_file
from slideseg.model.info import ModelClass, ModelInfo, ModelInput
from slideseg.model.network.unet import UNet
from slideseg.storage.lease import Holder, Lease
from slideseg.storage.store import list_keys, write_key
from slideseg.training.record import run_folder as module
from slideseg.training.record.beginning import Beginning
from slideseg.training.record.checkpoint import Checkpoint
from slideseg.training.record.pictures import picture
from slideseg.training.record.run_folder import RunFolder

SOURCES = "sources:\n- {images: /a, labels: /a}\n- {images: /b, labels: /b}\n"
CONFIG = f"epochs: 3\noptimiser:\n  name: sgd\n  lr: 0.01\nscales: [1, 2]\n{SOURCES}"
FILES = {"/data/x.tif": "aa", "/data/y.tif": "bb"}
NET = UNetConfig(in_channels=1, out_channels=1, base_channels=2, depth=1)
INFO = ModelInfo(
    "tiny", NET, (ModelClass(0, "background", "#000000"), ModelClass(1, "cell", "#00ff00")), ModelInput(1, None, (0.5,), (0.2,))
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run"


@pytest.fixture(params=["folder", "bucket"])
def folder(request, path, monkeypatch):
    """A run folder that is new, on a disk and on an object store."""
    if request.param == "folder":
        return RunFolder(path)
    bucket = MemoryStore()
    monkeypatch.setattr("slideseg.storage.store._open_bucket", lambda *_: bucket)
    return RunFolder("s3://bucket/run")


def again(folder):
    """Return the same folder as a new command sees it."""
    return RunFolder(folder.url)


def row(epoch, **more):
    return {"epoch": epoch, "step": 10 * epoch, "seconds": 1.5, "lr": 1e-3, "train_loss": 1 / 3 / epoch, **more}


def save(folder, epoch):
    folder.checkpoints.save(Checkpoint(epoch, 10 * epoch, {}, None, {}, {}, 0.5, 1, {}, (0.5,), (0.2,)))


def events(data):
    """Return (step, tag, value) of all scalars and images of an event file, and check its framing."""
    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        values = event.summary.value
        found += [(event.step, v.tag, v.image if v.HasField("image") else v.simple_value) for v in values]
        data = data[length + 16 :]
    return found


def test_a_folder_is_new_then_resumed_then_complete(folder):
    assert folder.prepare(Beginning(CONFIG, FILES)) == "new"
    assert again(folder).prepare(Beginning(CONFIG, FILES)) == "resumed"
    folder.append_epoch(row(1))
    folder.write_report({"status": "failed"})
    assert again(folder).prepare(Beginning(CONFIG, FILES)) == "resumed"
    folder.write_report({"status": "complete", "best": {"dice": math.nan, "of": [math.inf, 0.5]}})
    assert again(folder).prepare(Beginning(CONFIG, FILES)) == "complete"
    assert again(folder).prepare(Beginning(CONFIG, FILES), resume=True) == "complete"
    assert folder.report() == {"status": "complete", "best": {"dice": None, "of": [None, 0.5]}}


def test_the_same_settings_may_be_written_in_another_order(folder):
    folder.prepare(Beginning(CONFIG, FILES))
    other = f"scales: [1, 2]\n{SOURCES}optimiser: {{lr: 0.01, name: sgd}}\nepochs: 3 # three"
    assert folder.prepare(Beginning(other, FILES)) == "resumed"


def test_a_setting_of_a_later_version_that_nobody_used_is_none(folder):
    folder.prepare(Beginning(CONFIG, FILES))

    assert folder.prepare(Beginning(f"{CONFIG}\nseed: null", FILES)) == "resumed"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs: 3", "epochs: 5", "got epochs 5, want epochs 3; try"),
        ("lr: 0.01", "lr: 0.1", "got optimiser.lr 0.1, want optimiser.lr 0.01; try"),
        ("[1, 2]", "[2]", r"got scales \[2\], want scales \[1, 2\]; try"),
        ("epochs: 3\n", "", "got epochs nothing, want epochs 3; try"),
        ("epochs: 3", "epochs: 3\nseed: 0", "got seed 0, want seed nothing; try"),
        ("labels: /b", "labels: /c", r"\(got sources.1.labels /c, want sources.1.labels /b; try"),
        ("epochs: 3", "epochs: 4\na: 1\nb: 2\nc: 3", "got epochs 4, a 1, b 2 and 1 more, want epochs 3, a nothing"),
    ],
)
def test_other_settings_are_refused_by_name(folder, old, new, said):
    folder.prepare(Beginning(CONFIG, FILES))
    save(folder, 1)
    with pytest.raises(ConfigError, match=said) as caught:
        folder.prepare(Beginning(CONFIG.replace(old, new), FILES))
    assert "--resume" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert folder.prepare(Beginning(CONFIG, FILES)) == "resumed"


def test_with_resume_it_goes_on_with_the_new_settings(folder):
    longer = CONFIG.replace("3", "5")
    folder.prepare(Beginning(CONFIG, FILES))
    save(folder, 1)
    folder.write_report({"status": "complete"})
    assert again(folder).prepare(Beginning(longer, FILES), resume=True) == "resumed"
    assert again(folder).report() is None
    assert again(folder).prepare(Beginning(longer, FILES)) == "resumed"


def test_a_start_that_failed_binds_nobody(folder):
    """Without a checkpoint there is nothing that other settings could contradict."""
    folder.prepare(Beginning(CONFIG, FILES))
    assert folder.prepare(Beginning(CONFIG.replace("3", "5"), FILES)) == "new"
    assert folder.prepare(Beginning(CONFIG.replace("3", "5"), FILES)) == "resumed"


def test_what_checkpoints_are_bound_to_is_refused_with_resume_too(folder):
    folder.prepare(Beginning("network: {depth: 3}\nepochs: 3", FILES))
    save(folder, 1)
    wanted = "got network.depth 4, want network.depth 3; try another -o: its checkpoints"
    with pytest.raises(ConfigError, match=wanted) as caught:
        folder.prepare(Beginning("network: {depth: 4}\nepochs: 3", FILES), resume=True)
    assert "epochs" not in str(caught.value)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({**FILES, "/data/y.tif": "cc"}, r"/data/y.tif, which is changed"),
        ({"/data/x.tif": "aa"}, r"/data/y.tif, which is gone"),
        ({**FILES, "/data/a.tif": "dd", "/data/y.tif": "cc"}, r"/data/a.tif, which is new, and 1 more"),
    ],
)
def test_other_data_is_refused_and_resume_takes_it(folder, now, said):
    folder.prepare(Beginning(CONFIG, FILES))
    save(folder, 1)
    with pytest.raises(ConfigError, match=rf"began with other data \(got {said}; try another -o, or --resume to go on with"):
        again(folder).prepare(Beginning(CONFIG, now))
    assert again(folder).prepare(Beginning(CONFIG, FILES)) == "resumed"
    assert again(folder).prepare(Beginning(CONFIG, now), resume=True) == "resumed"
    assert again(folder).prepare(Beginning(CONFIG, now)) == "resumed"
    with pytest.raises(ConfigError, match="began with other data"):
        again(folder).prepare(Beginning(CONFIG, FILES))


@pytest.mark.parametrize("resume", [False, True])
def test_a_finished_run_takes_other_data_only_to_train_longer(folder, resume):
    folder.prepare(Beginning(CONFIG, FILES))
    save(folder, 1)
    folder.write_report({"status": "complete"})
    now, longer = {"/data/x.tif": "other"}, CONFIG.replace("3", "5")
    assert not again(folder).is_complete(Beginning(CONFIG, now))
    with pytest.raises(ConfigError, match=r"began with other data .* or --resume with more training.epochs\)"):
        again(folder).prepare(Beginning(CONFIG, now), resume=resume)
    assert again(folder).prepare(Beginning(CONFIG, FILES), resume=resume) == "complete"
    assert again(folder).prepare(Beginning(longer, now), resume=True) == "resumed"
    assert folder.report() is None
    assert again(folder).prepare(Beginning(longer, now)) == "resumed"


def test_other_data_binds_nobody_before_the_first_checkpoint(folder):
    folder.prepare(Beginning(CONFIG, FILES))
    assert again(folder).prepare(Beginning(CONFIG, {"/data/x.tif": "other"})) == "new"
    assert again(folder).prepare(Beginning(CONFIG, {"/data/x.tif": "other"})) == "resumed"


def test_a_folder_that_does_not_know_its_data_goes_on(folder):
    folder.prepare(Beginning(CONFIG, FILES))
    module.delete_key(folder._store, "data.json")
    save(folder, 1)
    assert again(folder).prepare(Beginning(CONFIG, {"/data/x.tif": "other"})) == "resumed"
    folder.write_report({"status": "complete"})
    assert again(folder).is_complete(Beginning(CONFIG, {}))


@pytest.mark.parametrize("damaged", [b"{", b"[1]", b"\xff\xfe\xfa"])
def test_a_damaged_list_of_data_is_one_line(folder, damaged):
    folder.prepare(Beginning(CONFIG, FILES))
    write_key(folder._store, "data.json", damaged)
    with pytest.raises(ResultError, match=r"data.json is damaged"):
        folder.prepare(Beginning(CONFIG, FILES))


def test_only_a_finished_run_with_the_same_settings_is_complete(folder):
    assert not folder.is_complete(Beginning(CONFIG, FILES))
    folder.prepare(Beginning(CONFIG, FILES))
    save(folder, 1)
    assert not folder.is_complete(Beginning(CONFIG, FILES))
    folder.write_report({"status": "complete"})
    assert folder.is_complete(Beginning(CONFIG, FILES))
    assert not folder.is_complete(Beginning(CONFIG.replace("3", "5"), FILES))


def test_a_folder_of_something_else_is_refused(folder):
    write_key(folder._store, "photos/cat.png", b"")
    with pytest.raises(ConfigError, match=r"something else than a run \(got photos/cat.png; try another -o\)"):
        folder.prepare(Beginning(CONFIG, FILES))
    with pytest.raises(ConfigError, match="something else"):
        folder.prepare(Beginning(CONFIG, FILES), resume=True)
    assert list_keys(folder._store) == ["photos/cat.png"]


def test_hidden_files_are_not_in_the_way(path):
    path.mkdir()
    (path / ".DS_Store").write_bytes(b"")
    assert RunFolder(path).prepare(Beginning(CONFIG, FILES)) == "new"


def test_a_file_and_a_missing_folder_are_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="is a file"):
        RunFolder(tmp_path / "file").prepare(Beginning(CONFIG, FILES))
    with pytest.raises(ResultError, match="does not exist"):
        RunFolder(tmp_path / "no" / "run").prepare(Beginning(CONFIG, FILES))


@pytest.mark.parametrize("damaged", [b"{", b"\xff\xfe\xfa", b"a: b: c"])
def test_damaged_settings_are_one_line(folder, damaged):
    folder.prepare(Beginning(CONFIG, FILES))
    write_key(folder._store, "config.yaml", damaged)
    with pytest.raises(ResultError, match=r"config.yaml is damaged") as caught:
        folder.prepare(Beginning(CONFIG, FILES))
    assert "\n" not in str(caught.value)


def test_a_torn_report_is_none(folder):
    folder.prepare(Beginning(CONFIG, FILES))
    for torn in (b"", b'{"status": "compl', b"[1]"):
        write_key(folder._store, "report.json", torn)
        assert folder.report() is None
        assert folder.prepare(Beginning(CONFIG, FILES)) == "resumed"


def test_metrics_have_a_row_an_epoch_and_all_columns(folder, path):
    folder.append_epoch(row(1, val_loss=0.5, val_dice=0.1, val_iou=0.05, val_iou_cell=np.float32(0.25)))
    folder.append_epoch(row(2))
    again(folder).append_epoch(row(3, val_loss=math.nan, val_dice_cell=1 / 7))
    assert [list(r) for r in folder.rows()] == [
        [*module.COLUMNS, "val_iou_cell"],
        list(module.COLUMNS[:5]),
        [*module.COLUMNS[:6], "val_dice_cell"],
    ]
    assert folder.rows()[1] == row(2)
    assert folder.rows()[2]["val_dice_cell"] == 1 / 7
    assert math.isnan(folder.rows()[2]["val_loss"])
    if path.exists():
        with (path / "metrics.csv").open(newline="") as file:
            table = list(csv.reader(file))
        assert table[0] == [*module.COLUMNS, "val_iou_cell", "val_dice_cell"]
        assert table[2][:3] == ["2", "20", "1.5"]
        assert {len(r) for r in table} == {10}


def test_an_epoch_written_twice_is_one_row(folder):
    for epoch in (1, 2, 3, 2):
        folder.append_epoch(row(epoch))
    assert [r["epoch"] for r in folder.rows()] == [1, 2]


def test_damaged_metrics_are_one_line(folder):
    for bad in (b"epoch,lr\n1,x\n", b"\xff", b"epoch,lr\n1,2,3\n"):
        write_key(folder._store, "metrics.csv", bad)
        with pytest.raises(ResultError, match=r"metrics.csv can't be read"):
            folder.rows()


def sheet():
    image, ids = np.zeros((8, 8, 1), np.float32), np.zeros((8, 8), np.uint8)
    return picture([image], [ids], [ids], ["#000000"])


def test_tensorboard_gets_each_epoch_once(folder):
    for epoch in (1, 2, 2, 3):
        folder.append_epoch(row(epoch, val_dice=0.5, val_dice_cell=0.25), picture=sheet() if epoch == 2 else None)
    keys = sorted(list_keys(folder._store, "tensorboard"))
    assert keys == [f"tensorboard/epoch-0000000{epoch}.tfevents" for epoch in (1, 2, 3)]
    found = [event for key in keys for event in events(module.read_key(folder._store, key))]
    assert [(step, value) for step, tag, value in found if tag == "dice/val_cell"] == [(1, 0.25), (2, 0.25), (3, 0.25)]
    assert {tag for _, tag, _ in found} == {"step", "seconds", "lr", "loss/train", "dice/val", "dice/val_cell", "predictions"}
    ((step, shown),) = [(step, value) for step, tag, value in found if tag == "predictions"]
    assert step == 2
    assert shown.encoded_image_string == sheet()
    assert Image.open(io.BytesIO(sheet())).size == (shown.width, shown.height)


def test_pictures_and_curves_are_there(folder):
    folder.append_epoch(row(10), picture=sheet())
    assert module.read_key(folder._store, "pictures/epoch-0010.png") == sheet()
    first = module.read_key(folder._store, "curves.png")
    folder.append_epoch(row(11), best_epoch=10)
    assert Image.open(io.BytesIO(first)).size == (900, 700)
    assert module.read_key(folder._store, "curves.png") != first


@pytest.mark.parametrize("epoch", [0, 2, 4, 9])
def test_going_on_drops_what_came_after_the_checkpoint(folder, epoch):
    for each in range(1, 5):
        folder.append_epoch(row(each), picture=sheet())
    write_key(folder._store, "pictures/mine.png", b"")
    again(folder).truncate_to(epoch)
    kept = range(1, min(epoch, 4) + 1)
    assert [r["epoch"] for r in folder.rows()] == list(kept)
    assert sorted(list_keys(folder._store, "tensorboard")) == [f"tensorboard/epoch-{each:08d}.tfevents" for each in kept]
    pictures = [f"pictures/epoch-{each:04d}.png" for each in kept]
    assert sorted(list_keys(folder._store, "pictures")) == [*pictures, "pictures/mine.png"]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def test_nothing_is_written_once_another_run_has_taken_over(path, tmp_path):
    with Lease(str(path)) as lease:
        mine = RunFolder(path, lease.claim)
        assert mine.prepare(Beginning(CONFIG, FILES)) == "new"
        save(mine, 1)
        mine.append_epoch(row(1))
        before = files(mine)
        (tmp_path / ".run.lease").write_text(json.dumps(asdict(Holder.here())))
        for write in (
            lambda: mine.save_model("last", UNet(NET), INFO),
            lambda: mine.append_epoch(row(2)),
            lambda: save(mine, 2),
            lambda: mine.truncate_to(0),
            lambda: mine.write_report({"status": "complete"}),
        ):
            with pytest.raises(ResultInUseError, match="another run has taken over"):
                write()
        assert files(mine) == before


def train(folder):
    """Write what a training of three epochs writes, from the newest checkpoint."""
    if folder.prepare(Beginning(CONFIG, FILES)) == "complete":
        return
    newest = folder.checkpoints.latest()
    done = newest.epoch if newest else 0
    folder.truncate_to(done)
    for epoch in range(done + 1, 4):
        torch.manual_seed(epoch)
        folder.save_model("last", UNet(NET), INFO)
        folder.append_epoch(row(epoch), picture=sheet())
        save(folder, epoch)
    folder.write_report({"status": "complete"})


def files(folder):
    """Return all bytes by key; of TensorBoard's, which hold times, only what they say."""
    found = {key: module.read_key(folder._store, key) for key in list_keys(folder._store)}
    return {key: repr(events(data)) if key.endswith("tfevents") else data for key, data in found.items()}


def dying_after(writes):
    """Return a `write_key` that kills instead of writing once more than ``writes`` times."""
    left = iter(range(writes))

    def write(store, key, data):
        if next(left, None) is None:
            raise Killed
        write_key(store, key, data)

    return write


def test_a_kill_between_any_two_writes_is_made_good(folder, monkeypatch):
    monkeypatch.setattr(module, "draw_curves", lambda rows, best: repr((rows, best)).encode())
    train(folder)
    undisturbed, writes, finished = files(folder), 0, False
    while not finished:
        for key in list_keys(folder._store):
            module.delete_key(folder._store, key)
        with monkeypatch.context() as patch:
            patch.setattr(module, "write_key", write := dying_after(writes))
            patch.setattr("slideseg.training.record.checkpoint.write_key", write)
            try:
                train(again(folder))
                finished = True
            except Killed:
                writes += 1
        train(again(folder))
        assert files(folder) == undisturbed
    assert writes == 21


def test_unfinished_writes_are_swept(path):
    folder = RunFolder(path)
    folder.prepare(Beginning(CONFIG, FILES))
    (path / "metrics.csv#1").write_bytes(b"epo")
    assert RunFolder(path).prepare(Beginning(CONFIG, FILES)) == "resumed"
    assert sorted(file.name for file in path.iterdir()) == ["config.yaml", "data.json"]


def test_a_model_is_the_same_bytes_and_loads(path):
    torch.manual_seed(0)
    net, folder = UNet(NET), RunFolder(path)
    folder.save_model("best", net, INFO)
    copy = UNet(NET).to(memory_format=torch.channels_last)
    copy.load_state_dict(net.state_dict())
    folder.save_model("last", copy, INFO)
    assert (path / "best.safetensors").read_bytes() == (path / "last.safetensors").read_bytes()
    assert load_model_file(path / "best.safetensors").info == INFO


def test_a_full_disk_is_one_line(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_key", full)
    for write in (
        lambda: folder.prepare(Beginning(CONFIG, FILES)),
        lambda: folder.append_epoch(row(1)),
        lambda: folder.save_model("last", UNet(NET), INFO),
        lambda: folder.write_report({}),
    ):
        with pytest.raises(RunError, match=r"the run folder can't be written .*No space left"):
            write()


def test_a_report_is_json(path):
    folder = RunFolder(path)
    folder.write_report({"status": "complete", "n": 1})
    assert json.loads((path / "report.json").read_text()) == {"status": "complete", "n": 1}
