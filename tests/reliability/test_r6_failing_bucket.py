"""R6: a bucket that is overloaded, cuts connections, truncates and loses answers: the same bytes, with no one's help."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from slideseg.errors import ResultInUseError
from slideseg.model.config import UNetConfig
from slideseg.result.manifest import MAP_PART
from slideseg.storage import bucket, lease
from slideseg.storage.in_bucket import path_or_file
from slideseg.storage.lease import Lease
from slideseg.storage.store import (
    anything_at,
    delete,
    delete_key,
    list_keys,
    local_copy,
    open_store,
    read_key,
    read_ranges,
    read_tail,
    write_file,
    write_key,
    write_new_key,
)
from slideseg.testing.models import random_model
from slideseg.testing.slides import PatternSlide
from tests.fault_proxy import Faults, at, failing
from tests.integration.conftest import run_slideseg
from tests.integration.started import start_slideseg
from tests.reliability import long_only, report, trials
from tests.s3_server import running

FAULTS = {
    "503 5 %": Faults(slow_down=0.05),
    "503 20 %": Faults(slow_down=0.2),
    "resets 5 %": Faults(reset=0.05),
    "truncated 10 %": Faults(truncate=0.1),
    "lost replies 10 %": Faults(lose_reply=0.1),
    "50 ms late": Faults(jitter=0.05),
    "all at once": Faults(slow_down=0.1, reset=0.05, truncate=0.1, lose_reply=0.1, jitter=0.01),
}
KINDS = ("slow_down", "reset", "truncate", "lose_reply")
TINY = Path(__file__).parents[2] / "configs" / "tiny.yaml"
URL = "s3://lab/runs/x.zarr"


@pytest.fixture(scope="module")
def server():
    with running() as server:
        yield server


@pytest.fixture
def proxy(server):
    """A bucket behind a proxy that does no harm yet; this process's environment says where it is."""
    server.buckets["lab"] = {}
    with failing(server, Faults()) as proxy:
        yield proxy


def once(kind, *methods, part=""):
    """Return what has the first request of these methods meet a fault, whose path has ``part`` in it."""
    left = [kind]
    return lambda method, path: left.pop() if left and method in methods and part in path else None


def deeds(number):
    """Return what is done with keys, and what comes of it: the whole of slideseg/storage/store.py."""
    store, data = open_store(f"s3://lab/{number}"), np.random.default_rng(number).bytes(300_000)

    def put_file():
        with write_file(store, "t") as path, open(path, "wb") as file:
            file.write(data * 20)

    def copied():
        with local_copy(store, "t") as path, open(path, "rb") as file:
            return file.read() == data * 20

    def by_pieces():
        file = path_or_file(store, "t")
        file.seek(100_000)
        return file.read(900_000) == (data * 20)[100_000:1_000_000]

    yield lambda: write_key(store, "k", data), None
    yield lambda: read_key(store, "k"), data
    yield lambda: read_ranges(store, "k", [(5, 100), (299_000, 9)]), [data[5:105], data[299_000:299_009]]
    yield lambda: read_tail(store, "k", 9), data[-9:]
    yield lambda: write_new_key(store, "n", b"1"), None
    yield lambda: write_new_key(store, "n", b"2"), None
    yield lambda: read_key(store, "n"), b"1"
    yield lambda: read_key(store, "no"), None
    yield put_file, None
    yield copied, True
    yield by_pieces, True
    yield lambda: sorted(list_keys(store)), ["k", "n", "t"]
    yield lambda: delete_key(store, "n"), None
    yield lambda: sorted(list_keys(store)), ["k", "t"]
    yield lambda: delete(f"s3://lab/{number}"), None
    yield lambda: anything_at(f"s3://lab/{number}"), False


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_is_done_with_keys_comes_out_as_if_nothing_was(proxy, name):
    proxy.faults = FAULTS[name]
    rounds = trials(3, 20)
    for number in range(rounds):
        for deed, wanted in deeds(number):
            assert deed() == wanted
    met = sum(proxy.happened[kind] for kind in KINDS)
    assert met or "late" in name
    report("R6", what="keys", faults=name, rounds=rounds, requests=proxy.happened["requests"], met=met)


class Nth:
    """Has the nth request from now meet a fault."""

    def __init__(self, kind, nth):
        self.kind, self.left, self.met = kind, nth, False

    def __call__(self, _method, _path):
        self.left -= 1
        self.met |= self.left == -1
        return self.kind if self.left == -1 else None


@pytest.mark.parametrize(
    "kind", [kind if kind in ("truncate", "lose_reply") else pytest.param(kind, marks=long_only) for kind in KINDS]
)
def test_each_request_may_meet_each_fault(proxy, kind):
    total = 0
    for number, _ in enumerate(deeds(0)):
        for nth in itertools.count():
            for deed, wanted in itertools.islice(deeds(number), number):
                assert deed() == wanted
            deed, wanted = next(itertools.islice(deeds(number), number, None))
            proxy.chosen = meets = Nth(kind, nth)
            assert deed() == wanted
            proxy.chosen = lambda *_: None
            delete(f"s3://lab/{number}")
            if not meets.met:
                break
            total += 1
    assert total > 10


def test_a_server_that_falls_silent_is_asked_again(proxy, monkeypatch):
    monkeypatch.setattr(bucket, "SILENT_SECONDS", 0.5)
    store = open_store("s3://lab/x")
    write_key(store, "k", bytes(1000))
    for deed, wanted in ((lambda: read_key(store, "k"), bytes(1000)), (lambda: list_keys(store), ["k"])):
        proxy.chosen = once("stall", "GET")
        assert deed() == wanted
    assert proxy.happened["stall"] == 2


# --- the lease -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    """Leases that are renewed and run out within seconds."""
    for name, seconds in (("RENEW_SECONDS", 0.2), ("EXPIRE_SECONDS", 30), ("SETTLE_SECONDS", 0.05)):
        monkeypatch.setattr(lease, name, seconds)


@pytest.mark.parametrize("kind", ["lose_reply", "reset", "slow_down"])
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_lease_is_whose_it_is_whatever_became_of_the_answer(proxy, short, kind, method):
    """The PUT that creates may only be heard of by its refusal: made again, it finds the lease that it made itself."""
    proxy.chosen = once(kind, method)
    with Lease(URL) as held:
        assert not held.lost
        with pytest.raises(ResultInUseError), Lease(URL):
            pass
        time.sleep(0.5)
        assert not held.lost
    assert list_keys(open_store("s3://lab/runs")) == []
    with Lease(URL):
        pass


def test_of_those_that_race_for_a_lease_through_lost_answers_one_holds_it(proxy, short):
    """One that comes late, as its requests failed, may find it free again; but never both have it."""
    rounds, held, here = trials(5, 50), [], threading.Lock()

    def run(_):
        with suppress(ResultInUseError), Lease(URL):
            assert here.acquire(blocking=False), "two hold it"
            held.append(1)
            time.sleep(0.5)
            here.release()

    for _ in range(rounds):
        proxy.faults = Faults(lose_reply=0.4, reset=0.1, slow_down=0.1)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, range(2)))
        proxy.faults = Faults()
        assert list_keys(open_store("s3://lab/runs")) == []
    assert len(held) >= rounds
    report("R6", what="races for a lease", races=rounds, held_by_two=0)


class Contested(dict):
    """A bucket in which the next run's lease is there as soon as the first one's is gone."""

    def pop(self, key, *default):
        gone = super().pop(key, *default)
        if gone is not None and gone != b"the next run's":
            self[key] = b"the next run's"
        return gone


def test_a_lease_is_not_given_back_twice(proxy, server, short):
    there = server.buckets["lab"] = Contested()
    with Lease(URL):
        proxy.chosen = once("lose_reply", "POST", "DELETE")
    assert proxy.happened["lose_reply"] == 1
    assert there == {"runs/.x.zarr.lease": b"the next run's"}


# --- whole runs ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slide(server, tmp_path_factory):
    """A bucket with a slide in it."""
    server.buckets["lab"] = {}
    picture = tmp_path_factory.mktemp("slide") / "picture.png"
    Image.fromarray(PatternSlide((600, 700)).read((0, 0, 600, 700))).save(picture)
    with at(server, server.server_port):
        assert run_slideseg("convert", picture, "s3://lab/slides/x.zarr").status == 0
    return dict(server.buckets["lab"])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "rgb.safetensors"
    random_model(path, UNetConfig(3, 3, 6, 4))
    return path


@pytest.fixture(scope="module")
def undisturbed(server, slide, model):
    """Return how long the slide takes so many workers, and what comes of it."""

    @functools.cache
    def by(workers):
        server.buckets["lab"] = dict(slide)
        with at(server, server.server_port):
            seconds = segmented(model, "-w", workers)
        return seconds, result_in(server.buckets["lab"])

    return by


def words_of(model, *more):
    return ["predict", "s3://lab/slides/x.zarr", "-m", model, "-o", URL, "--objects", "--json", *more]


def segmented(model, *more):
    """Segment the slide in the bucket into the bucket; return the seconds that it took."""
    begun = time.perf_counter()
    done = run_slideseg(*words_of(model, "-w", "1", *more))
    assert done.status == 0, done.err
    return time.perf_counter() - begun


def result_in(there):
    """Return what the result is, but for the root's metadata and their copy, which tell its time."""
    prefix = f"{URL.removeprefix('s3://lab/')}/"
    own = {f"{prefix}{key}" for key in (MAP_PART.document, MAP_PART.copy)}
    return {key: data for key, data in there.items() if key.startswith(prefix) and key not in own}


def all_faults(*quick):
    """Return those that are met in the long form, of which some are in the quick form too."""
    return [name if name in quick else pytest.param(name, marks=long_only) for name in FAULTS]


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=[pytest.mark.ray, long_only])])
@pytest.mark.parametrize("name", all_faults("all at once"))
def test_a_slide_in_a_failing_bucket_is_segmented_into_it(server, slide, undisturbed, model, name, workers):
    (usual, wanted), factors = undisturbed(workers), []
    assert wanted == undisturbed("1")[1]
    for seed in range(trials(1, 3)):
        server.buckets["lab"] = dict(slide)
        with failing(server, FAULTS[name], seed) as proxy:
            factors.append(segmented(model, "-w", workers) / usual)
            assert result_in(server.buckets["lab"]) == wanted
            assert run_slideseg("verify", URL).status == 0
        assert sum(proxy.happened[kind] for kind in KINDS) or "late" in name
    factor = round(max(factors), 2)
    report("R6", what="predict", faults=name, workers=workers, runs=len(factors), identical=len(factors), factor=factor)


@long_only
def test_in_a_failing_bucket_a_killed_run_goes_on_and_damage_is_repaired(server, slide, undisturbed, model):
    wanted = undisturbed("1")[1]
    for seed in range(trials(1, 10)):
        there = server.buckets["lab"] = dict(slide)
        with failing(server, FAULTS["all at once"], seed):
            kill_when(model, there, "labels/segmentation/0/c")
            segmented(model)
            assert result_in(there) == wanted

            shard = "runs/x.zarr/labels/segmentation/0/c/0/0"
            there[shard] = bytes(len(there[shard]))
            del there["runs/x.zarr/labels/objects/0/c/0/0"]
            assert run_slideseg("verify", URL, "--repair").status == 1
            assert shard not in there
            segmented(model)
            assert result_in(there) == wanted

            segmented(model, "--overwrite")
            assert result_in(there) == wanted
            assert not any(key.endswith(".lease") for key in there)


def kill_when(model, there, part):
    """Start a run and kill it as soon as a key is there that has ``part`` in it."""
    process = start_slideseg(*words_of(model, "-w", "1"))
    while not any(part in key for key in list(there)) and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The words of a training of two epochs on a stack of discs."""
    folder = tmp_path_factory.mktemp("stack")
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:96, :128]
    masks = np.zeros((4, 96, 128), np.uint8)
    for plane in masks:
        for cy, cx in zip(rng.uniform(0, 96, 9), rng.uniform(0, 128, 9), strict=True):
            plane[(y - cy) ** 2 + (x - cx) ** 2 < 100] = 255
    tifffile.imwrite(folder / "images.tif", (80 + masks // 2).astype(np.uint8), photometric="minisblack")
    tifffile.imwrite(folder / "masks.tif", masks, photometric="minisblack")
    sources = (f"data.sources.0.{key}={folder}/{file}.tif" for key, file in (("images", "images"), ("labels", "masks")))
    settings = (*sources, "about.made_for.images=discs", "about.made_for.color=false", "training.epochs=2")
    return [TINY, "--workers", "1", *(word for setting in settings for word in ("-s", setting))]


@pytest.fixture(scope="module")
def trained(server, recipe):
    """How long a training into the bucket takes, and what comes of it."""
    there = server.buckets["lab"] = {}
    begun = time.perf_counter()
    with at(server, server.server_port):
        assert run_slideseg("train", *recipe, "-o", "s3://lab/run").status == 0
    return time.perf_counter() - begun, learnt(there)


def learnt(there):
    """Return the weights and checkpoints of the run in a bucket; what else there is tells of times."""
    return {key: data for key, data in there.items() if key.endswith(".safetensors")}


@pytest.mark.parametrize("name", all_faults("all at once"))
def test_a_training_into_a_failing_bucket_learns_the_same(server, recipe, trained, name):
    there = server.buckets["lab"] = {}
    with failing(server, FAULTS[name]):
        begun = time.perf_counter()
        done = run_slideseg("train", *recipe, "-o", "s3://lab/run")
        assert done.status == 0, done.err
        factor = round((time.perf_counter() - begun) / trained[0], 2)
    assert learnt(there) == trained[1]
    assert len(learnt(there)) > 1
    report("R6", what="train", faults=name, runs=1, identical=1, factor=factor)
