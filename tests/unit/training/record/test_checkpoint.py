"""Checkpoints: everything comes back to the bit, damage is found before it is believed, and what is needed is kept."""

from __future__ import annotations

import io
import logging
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from obstore.store import MemoryStore

from slideseg.errors import ResultError, RunError
from slideseg.training.record import checkpoint as module
from slideseg.training.record.checkpoint import Checkpoint, Checkpoints, decode, encode


def learner():
    """Return a small network, its optimiser with momentum and its schedule, after one step."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    return net, optimiser, torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, patience=0)


def step(net, optimiser, schedule):
    optimiser.zero_grad()
    loss = net(torch.arange(50.0).reshape(2, 1, 5, 5)).square().mean()
    loss.backward()
    optimiser.step()
    schedule.step(loss.item())


def state(net, optimiser, schedule, epoch=1, **changes):
    whole = Checkpoint(
        epoch=epoch,
        step=epoch * 3,
        network=net.state_dict(),
        average=None,
        optimiser=optimiser.state_dict(),
        schedule=schedule.state_dict(),
        best=0.5,
        best_epoch=epoch,
        best_scores={"val_dice": 0.5},
        mean=(0.5,),
        std=(0.2,),
    )
    return replace(whole, **changes)


def small(epoch, **changes):
    return state(*learner(), epoch=epoch, **changes)


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "run")


@pytest.fixture
def file(tmp_path):
    return lambda epoch: tmp_path / "run" / "checkpoints" / f"epoch-{epoch:04d}.pt"


def same(one, other):
    """Tell whether two values are equal to the bit, tensors and nested ones included."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_what_is_written_is_read_back():
    learning = learner()
    step(*learning)
    before = state(*learning, average={"w": torch.ones(2)}, best_epoch=1)
    after = decode(encode(before), "x")
    assert all(same(getattr(before, field.name), getattr(after, field.name)) for field in fields(Checkpoint))


def test_going_on_from_one_is_as_if_nothing_had_happened(url):
    learning = learner()
    step(*learning)
    Checkpoints(url).save(state(*learning))
    step(*learning)
    torch.manual_seed(99)
    net, optimiser, schedule = learner()
    found = Checkpoints(url).latest()
    net.load_state_dict(found.network)
    optimiser.load_state_dict(found.optimiser)
    schedule.load_state_dict(found.schedule)
    step(net, optimiser, schedule)
    assert same(net.state_dict(), learning[0].state_dict())
    assert same(optimiser.state_dict(), learning[1].state_dict())
    assert schedule.state_dict() == learning[2].state_dict()


def test_it_is_a_plain_pytorch_file():
    data = encode(small(1))
    assert torch.load(io.BytesIO(data), weights_only=True)["epoch"] == 1
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"lr": np.float64(1)}, r"checkpoint.schedule.lr \(float64\)"),
        ({"a": [1, {2}]}, r"checkpoint.schedule.a\[1\] \(set\)"),
        ({(1, b""): 2}, r"checkpoint.schedule's key .*\[1\] \(bytes\)"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(value, where):
    with pytest.raises(TypeError, match=where):
        encode(replace(small(1), schedule=value))


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.7, 0.999])
def test_a_torn_one_is_found(share):
    data = encode(small(1))
    with pytest.raises(ResultError, match="checkpoint x is torn"):
        decode(data[: int(len(data) * share)], "x")


def test_one_without_its_last_byte_or_with_another_is_torn():
    data = encode(small(1))
    for bad in (data[:-1], data + b"0"):
        with pytest.raises(ResultError, match=r"is (torn|damaged)"):
            decode(bad, "x")


def test_any_wrong_bit_is_found_before_it_is_unpickled(monkeypatch):
    data = encode(small(1))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was believed"))
    for place in [*np.linspace(0, len(data) - 1, 300).astype(int), -1, -64, -65, -70]:
        bad = bytearray(data)
        bad[place] ^= 1
        with pytest.raises(ResultError, match=r"is (torn|damaged)"):
            decode(bytes(bad), "x")


def test_another_version_s_is_refused(monkeypatch):
    monkeypatch.setattr(module, "FORMAT", "slideseg-checkpoint/2")
    data = encode(small(1))
    monkeypatch.undo()
    with pytest.raises(ResultError, match="another version"):
        decode(data, "x")


def test_a_new_run_has_none(url):
    assert Checkpoints(url).latest() is None
    assert Checkpoints(url).epochs() == []


def test_the_last_two_the_best_and_every_nth_are_kept(url):
    kept = Checkpoints(url)
    for epoch in range(1, 12):
        kept.save(small(epoch, best_epoch=3 if epoch >= 3 else 1), keep_every=5)
    assert kept.epochs() == [3, 5, 10, 11]
    kept.save(small(12, best_epoch=12), keep_every=5)
    assert kept.epochs() == [5, 10, 11, 12]
    kept.save(small(13, best_epoch=12))
    assert kept.epochs() == [12, 13]


def test_nothing_is_removed_before_the_new_one_is_whole(url, monkeypatch):
    kept = Checkpoints(url)
    for epoch in (1, 2):
        kept.save(small(epoch))

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_key", fail)
    with pytest.raises(RunError, match=r"epoch-0003.pt can't be written .*No space left"):
        kept.save(small(3))
    assert kept.epochs() == [1, 2]


def test_a_kill_before_the_old_ones_are_removed_is_made_good(url, monkeypatch):
    kept = Checkpoints(url)
    with monkeypatch.context() as patch:
        patch.setattr(module, "delete_key", lambda *_: None)
        for epoch in (1, 2, 3):
            kept.save(small(epoch))
    assert kept.epochs() == [1, 2, 3]
    kept.save(small(4))
    assert kept.epochs() == [3, 4]


def test_an_unfinished_write_is_not_seen(url, file):
    kept = Checkpoints(url)
    kept.save(small(1))
    file(2).with_name(f"{file(2).name}#1").write_bytes(encode(small(2))[:100])
    assert kept.latest().epoch == 1


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda data: b"", lambda data: data[:500] + b"?" + data[501:]])
def test_a_damaged_last_one_is_named_and_passed_over(url, file, damage, caplog):
    kept = Checkpoints(url)
    for epoch in (1, 2):
        kept.save(small(epoch))
    file(2).write_bytes(damage(file(2).read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert kept.latest().epoch == 1
    assert "checkpoints/epoch-0002.pt is" in caplog.text
    kept.save(small(2))
    assert kept.latest().epoch == 2
    file(1).write_bytes(b"")
    file(2).write_bytes(b"")
    assert kept.latest() is None


def test_those_of_another_past_go(url, file):
    kept = Checkpoints(url)
    for epoch in (1, 2, 3, 4):
        kept.save(small(epoch, best_epoch=2))
    file(4).write_bytes(b"torn")
    file(3).write_bytes(b"torn")
    assert kept.latest().epoch == 2
    kept.save(small(3, best_epoch=2))
    assert kept.epochs() == [2, 3]


def test_one_of_them_can_be_read(url):
    kept = Checkpoints(url)
    for epoch in (1, 2, 3):
        kept.save(small(epoch, best_epoch=1))
    assert kept.read(1).epoch == 1
    with pytest.raises(ResultError, match=r"epoch-0009.pt is missing"):
        kept.read(9)


def test_other_files_are_left_alone(url, file):
    kept = Checkpoints(url)
    kept.save(small(1))
    mine = file(1).with_name("mine.pt")
    mine.write_bytes(b"")
    kept.save(small(2))
    kept.save(small(3))
    assert kept.epochs() == [2, 3]
    assert mine.exists()


def test_a_bucket_works_like_a_folder(monkeypatch):
    bucket = MemoryStore()
    monkeypatch.setattr("slideseg.storage.store._open_bucket", lambda *_: bucket)
    for epoch in (1, 2, 3):
        Checkpoints("s3://bucket/run").save(small(epoch))
    assert Checkpoints("s3://bucket/run").epochs() == [2, 3]
    assert Checkpoints("s3://bucket/run").latest().epoch == 3
