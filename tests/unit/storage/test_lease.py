"""Who may write a result, and when a dead run's lease is taken over."""

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from slideseg.errors import ResultError, ResultInUseError, RunError
from slideseg.storage import lease as module
from slideseg.storage.lease import Holder, Lease, is_held

ROOT = Path(__file__).parents[3]


HOLD = """
import sys, time
from slideseg.storage.lease import Lease
with Lease(sys.argv[1]):
    print("go", flush=True)
    time.sleep(60)
"""


def put(path: Path, holder: Holder) -> None:
    path.write_text(json.dumps(asdict(holder)))


@pytest.fixture
def url(tmp_path) -> str:
    return str(tmp_path / "x.zarr")


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / ".x.zarr.lease"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.02)
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.05)


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_who_only_looks_sees_whether_a_run_is_alive(url, file):
    assert not is_held(url)
    with Lease(url):
        assert is_held(url)
        here = Holder(**json.loads(file.read_text()))
    assert not is_held(url)
    put(file, replace(here, started="another time"))  # it was killed
    assert not is_held(url)
    put(file, replace(here, machine="another one", pid=1))
    assert is_held(url)
    old = time.time() - 2 * module.EXPIRE_SECONDS
    os.utime(file, (old, old))
    assert not is_held(url)
    assert file.exists(), "nothing is changed"


def test_a_lease_lies_beside_the_result_and_goes_with_the_run(url, file, tmp_path):
    with Lease(url) as lease:
        assert file.is_file()
        assert not lease.lost
        assert not (tmp_path / "x.zarr").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_is_told_who_is_there(url):
    with (
        Lease(url),
        pytest.raises(ResultInUseError, match=rf"got run {os.getpid()} on .*, renewed 0 s ago; try") as caught,
        Lease(url),
    ):
        pass
    assert caught.value.exit_code == 3
    with Lease(url):
        pass


def test_a_lease_is_given_back_after_a_failure(url, file):
    with pytest.raises(KeyError), Lease(url):
        raise KeyError
    assert not file.exists()


def test_a_run_killed_on_this_machine_is_replaced_at_once(url, file):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, env=environment) as run:
        assert run.stdout.readline() == b"go\n"
        with pytest.raises(ResultInUseError, match=f"run {run.pid} on"), Lease(url):
            pass
        run.kill()
        run.wait()
    with Lease(url) as lease:
        assert json.loads(file.read_text())["pid"] == os.getpid()
        assert not lease.lost


def test_a_process_number_used_again_is_another_process(url, file, quick):
    put(file, replace(Holder.here(), started="1"))
    with Lease(url):
        pass


@pytest.mark.parametrize(("age", "taken"), [(59, False), (61, True)])
def test_another_machine_s_run_is_believed_dead_after_a_minute(url, file, quick, age, taken):
    put(file, replace(Holder.here(), host="far", machine="far", pid=1, renewed=time.time() - age))
    if taken:
        with Lease(url):
            assert json.loads(file.read_text())["pid"] == os.getpid()
    else:
        with pytest.raises(ResultInUseError, match="run 1 on far"), Lease(url):
            pass


def far(**said: object) -> Holder:
    return replace(Holder.here(), **{"host": "far", "machine": "far", "pid": 1, **said})


@pytest.mark.parametrize("ahead", [0, 3600, 10**9])
def test_a_machine_whose_clock_is_ahead_is_believed_dead_too(url, file, quick, ahead):
    """By the storage's clock, which says when the lease was written."""
    put(file, far(renewed=time.time() + ahead))
    with pytest.raises(ResultInUseError, match="run 1 on far"), Lease(url):
        pass
    an_hour_ago = time.time() - 3600
    os.utime(file, (an_hour_ago, an_hour_ago))
    with Lease(url):
        assert json.loads(file.read_text())["pid"] == os.getpid()
    assert list(file.parent.iterdir()) == []


def test_a_machine_whose_clock_is_behind_is_alive_while_it_renews(url, file, quick, caplog):
    stop = threading.Event()

    def renew():
        number = 0
        while not stop.wait(0.005):
            number += 1
            new = file.with_suffix(".new")
            put(new, far(nonce="x", renewed=time.time() - 1000 + number / 1000))
            new.replace(file)

    put(file, far(nonce="x", renewed=time.time() - 1000))
    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(ResultInUseError, match="run 1 on far"), Lease(url):
            pass
    finally:
        stop.set()
        thread.join()
    assert "watching whether run 1 on far is alive" in caplog.text
    assert "taking over" not in caplog.text, "nothing was written over its lease"


def test_buckets_have_a_clock_of_their_own(monkeypatch, quick):
    bucket = MemoryStore()
    monkeypatch.setattr("slideseg.storage.store._open_bucket", lambda *_: bucket)
    bucket.put(".x.zarr.lease", json.dumps(asdict(far(renewed=time.time() + 3600))).encode())
    with pytest.raises(ResultInUseError, match="run 1 on far"), Lease("s3://bucket/x.zarr"):
        pass
    monkeypatch.setattr(module, "EXPIRE_SECONDS", -1.0)  # so that any age is old
    with Lease("s3://bucket/x.zarr"):
        assert json.loads(bytes(bucket.get(".x.zarr.lease").bytes()))["pid"] == os.getpid()
    assert not list(bucket.list())


@pytest.mark.parametrize("damage", [{"renewed": "noon"}, {"pid": "one"}, {"host": 5}, {"started": None}, {"renewed": True}])
def test_a_lease_of_other_kinds_of_values_holds_nothing(url, file, quick, damage):
    file.write_text(json.dumps({**asdict(far()), **damage}))
    with Lease(url):
        assert json.loads(file.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_torn_lease_holds_nothing(url, file, quick, text):
    file.write_text(text)
    with Lease(url):
        assert json.loads(file.read_text())["pid"] == os.getpid()


def test_it_is_renewed(url, file, quick):
    with Lease(url):
        first = json.loads(file.read_text())["renewed"]
        until(lambda: json.loads(file.read_text())["renewed"] > first)


@pytest.mark.parametrize("gone", [False, True])
def test_losing_it_shows_and_the_other_s_stays(url, file, quick, gone):
    other = replace(Holder.here(), machine="far")
    with Lease(url) as lease:
        if gone:
            file.unlink()
        else:
            until(lambda: _replaced(file, other))
        until(lambda: lease.lost or (gone and _remove(file)))
        with pytest.raises(RunError if gone else ResultInUseError, match="is gone: somebody" if gone else "has taken over"):
            lease.check()
    if not gone:
        assert json.loads(file.read_text())["nonce"] == other.nonce


def _replaced(file: Path, other: Holder) -> bool:
    """Put the other's lease there; a renewal that was under way may still overwrite it once."""
    put(file, other)
    time.sleep(0.1)
    return json.loads(file.read_text())["nonce"] == other.nonce


def _remove(file: Path) -> bool:
    file.unlink(missing_ok=True)
    return False


def test_one_that_can_t_be_renewed_for_long_is_lost(url, quick, monkeypatch):
    with Lease(url) as lease:
        monkeypatch.setattr(module, "EXPIRE_SECONDS", 0.05)
        monkeypatch.setattr(module, "write_key", lambda *_: (_ for _ in ()).throw(OSError("gone")))
        until(lambda: lease.lost)


def test_a_folder_that_is_missing_is_one_line(tmp_path):
    with pytest.raises(ResultError, match="does not exist"), Lease(str(tmp_path / "no" / "x.zarr")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_works_like_a_folder(monkeypatch):
    bucket = MemoryStore()
    monkeypatch.setattr("slideseg.storage.store._open_bucket", lambda *_: bucket)
    with Lease("s3://bucket/x.zarr"), pytest.raises(ResultInUseError), Lease("s3://bucket/x.zarr"):
        pass
    with Lease("s3://bucket/x.zarr"):
        pass


def test_any_process_of_a_run_sees_whether_the_lease_is_still_its_own(url, file):
    with Lease(url) as lease:
        claim = pickle.loads(pickle.dumps(lease.claim))
        claim.check()
        theirs = replace(Holder.here(), host="elsewhere")
        put(file, theirs)
        with pytest.raises(ResultInUseError, match=r"another run has taken over .*x\.zarr") as caught:
            claim.check()
        assert not lease.lost  # it looks for itself only now and then
        assert "\n" not in str(caught.value)
        file.unlink()
        with pytest.raises(ResultInUseError, match="taken over"):  # and has ended
            claim.check()


def test_a_claim_that_can_not_be_seen_is_one_line(url, file):
    with Lease(url) as lease:
        file.unlink()
        file.mkdir()
        with pytest.raises((RunError, ResultInUseError)) as caught:
            lease.claim.check()
        assert "\n" not in str(caught.value)
        file.rmdir()
