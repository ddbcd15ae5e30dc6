"""The contract of bytes under keys (slideseg/storage/store.py): in a folder, in memory, and in buckets of S3 and Google."""

import os
import pickle
import stat
import subprocess
import sys
import textwrap
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from obstore.store import MemoryStore

from slideseg.errors import ConfigError, ResultInUseError, RunError
from slideseg.storage.in_bucket import path_or_file
from slideseg.storage.lease import Lease
from slideseg.storage.store import (
    anything_at,
    delete,
    delete_folder,
    delete_key,
    list_keys,
    local_copy,
    open_store,
    read_end,
    read_key,
    read_ranges,
    read_tail,
    reason,
    run_errors,
    storage_errors,
    sweep_partial,
    write_file,
    write_key,
    write_new_key,
    zarr_store,
)
from tests.s3_server import running

ROOT = Path(__file__).parents[2]
ODD = [
    "a b",
    "a#b",
    "x#1",
    "50%",
    "%20",
    "[1]",
    "*?",
    "größe",
    "~",
    "~tilde",
    ".hidden",
    "a'\"b",
    "a\\b",
    "a:b",
    "{}",
    "a+b&c=d",
]
"""Names that some layer might take for something else."""
BIG = 12 * 1024 * 1024
"""Bytes that go to a bucket in several parts."""
RACERS = 8


@pytest.fixture(scope="module")
def server():
    with running() as server:
        server.buckets["bucket"] = {}
        yield server


@pytest.fixture
def bucket(server, monkeypatch):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.buckets["bucket"].clear()
    server.requests.clear()
    server.deleted.clear()
    return "s3://bucket/of mine"


@pytest.fixture
def google(server, bucket, monkeypatch):
    for name, value in server.environment_of_google.items():
        monkeypatch.setenv(name, value)
    return bucket.replace("s3://", "gs://")


@pytest.fixture
def memory(monkeypatch):
    places = defaultdict(MemoryStore)
    monkeypatch.setattr("slideseg.storage.store._open_bucket", lambda place, _: places[place])
    return "s3://memory/mine"


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path)


@pytest.fixture(params=["folder", "memory", "bucket", "google"])
def parent(request):
    """Where places can be."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def url(parent):
    """A place where nothing is."""
    return f"{parent}/x.zarr"


@pytest.fixture
def store(url):
    return open_store(url)


@pytest.fixture
def disk(folder):
    """A store in a folder that is not there yet."""
    return open_store(f"{folder}/x.zarr")


def run_python(script, *arguments):
    """Run a script in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def at_once(function, count=RACERS):
    """Call a function with 0, 1, ... in as many threads that start together; return what it returned."""
    barrier = threading.Barrier(count)

    def started(number):
        barrier.wait()
        return function(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(started, range(count)))


# --- one key ---------------------------------------------------------------------------------------------------------------


def test_opening_reading_and_deleting_where_nothing_is_leaves_nothing(url, parent, store):
    assert read_key(store, "a/b") is None
    assert read_tail(store, "a/b", 4) is None
    assert path_or_file(store, "a/b") is None
    with local_copy(store, "a/b") as path:
        assert path is None
    with pytest.raises(FileNotFoundError):
        read_ranges(store, "a/b", [(0, 1)])
    delete_key(store, "a/b")
    delete_folder(store, "a")
    delete(url)
    assert list_keys(store) == list_keys(store, "a/") == []
    assert sweep_partial(store) == 0
    assert not anything_at(url)
    assert list_keys(open_store(parent)) == []
    assert "://" in parent or os.listdir(parent) == []


@pytest.mark.parametrize("size", [0, 1, 100_000, BIG])
def test_what_is_written_is_read(store, size):
    data = np.random.default_rng(size).bytes(size)
    write_key(store, "a/b/c", data)
    assert read_key(store, "a/b/c") == data
    write_key(store, "a/b/c", b"other")
    assert read_key(store, "a/b/c") == b"other"
    assert read_key(store, "a/b") is None
    assert read_key(store, "a/b/c/d") is None
    assert list_keys(store) == ["a/b/c"]


def test_a_reader_sees_all_of_one_write(store):
    values = [bytes([number]) * 1_000_000 for number in range(3)]
    write_key(store, "k", values[0])

    def work(number):
        seen = set()
        for turn in range(20):
            if number < 2:
                write_key(store, "k", values[(turn + number) % 3])
            else:
                seen.add(read_key(store, "k"))
        return seen

    assert set().union(*at_once(work, 4)) <= set(values)
    assert list_keys(store) == ["k"]


def test_of_those_that_create_a_key_at_once_one_wins(store):
    for turn in range(10):

        def create(number, key=f"leases/{turn}"):
            write_new_key(store, key, b"%d" % number)
            return read_key(store, key) == b"%d" % number

        assert sum(at_once(create)) == 1
    write_new_key(store, "leases/0", b"late")
    assert read_key(store, "leases/0") != b"late"
    assert len(list_keys(store)) == 10


def test_of_the_runs_that_start_at_once_one_gets_the_lease(url, parent):
    done = threading.Barrier(RACERS)

    def run(_):
        try:
            with Lease(url):
                done.wait()
        except ResultInUseError:
            done.wait()
            return False
        return True

    assert sum(at_once(run)) == 1
    assert list_keys(open_store(parent)) == []


def test_deleting_removes_what_is_there_and_nothing_beside(store):
    for key in ("a/b", "a/c/d", "a/c/e", "a/cc", "ab"):
        write_key(store, key, b"")
    delete_key(store, "a/b")
    delete_key(store, "a/b")
    assert sorted(list_keys(store)) == ["a/c/d", "a/c/e", "a/cc", "ab"]
    delete_folder(store, "a/c")
    assert sorted(list_keys(store)) == ["a/cc", "ab"]
    delete_folder(store, "a/c")
    assert store.folder is None or sorted(os.listdir(store.folder / "a")) == ["cc"]


def test_deleting_a_place_removes_it_and_its_neighbours_stay(url):
    other = open_store(f"{url}2")
    for store in (open_store(url), other):
        for key in ("zarr.json", "a/zarr.json", "a/c/0"):
            write_key(store, key, b"1")
    assert anything_at(url)
    delete(url)
    delete(url)
    assert not anything_at(url)
    assert len(list_keys(other)) == 3


def test_of_a_place_in_a_bucket_the_root_goes_last(bucket, server):
    for key in ("a/zarr.json", "zarr.json", "z/0"):
        write_key(open_store(f"{bucket}/x.zarr"), key, b"1")
    delete(f"{bucket}/x.zarr")
    assert len(server.deleted) == 3
    assert server.deleted[-1] == "of mine/x.zarr/zarr.json"


# --- many keys -------------------------------------------------------------------------------------------------------------


def test_a_listing_has_the_keys_below_a_folder_each_once(store):
    keys = {f"a/c/{number}" for number in range(120)} | {"a/cc/0", "b"}
    at_once(lambda racer: [write_key(store, key, b"") for n, key in enumerate(sorted(keys)) if n % RACERS == racer])
    assert sorted(list_keys(store)) == sorted(keys)
    assert (
        sorted(list_keys(store, "a/c/")) == sorted(list_keys(store, "a/c")) == sorted(k for k in keys if k.startswith("a/c/"))
    )
    assert list_keys(store, "a/c/1") == list_keys(store, "no") == []


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_names(parent, name):
    """In keys, and in the places themselves; a lease lies beside its place."""
    url = f"{parent}/in {name}/{name}"
    key = f"in {name}/{name}.x"
    if "://" not in parent:
        os.makedirs(f"{parent}/in {name}")
    with Lease(url), pytest.raises(ResultInUseError), Lease(url):
        pass
    with Lease(url):
        assert list_keys(open_store(f"{parent}/in {name}")) == [f".{name}.lease"]
        assert "://" in parent or Path(parent, f"in {name}", f".{name}.lease").is_file()
    store = open_store(url)
    write_key(store, key, b"1")
    assert "://" in parent or Path(url, key).read_bytes() == b"1"
    assert read_key(store, key) == b"1"
    assert list_keys(store) == list_keys(store, f"in {name}") == [key]
    with write_file(store, key) as path:
        Path(path).write_bytes(b"22")
    assert read_ranges(store, key, [(1, 1)]) == [b"2"]
    with local_copy(store, key) as path:
        assert Path(path).read_bytes() == b"22"
    delete_folder(store, f"in {name}")
    assert list_keys(store) == []


@pytest.mark.parametrize("name", ["new\nline", "\x01"])
def test_names_that_are_no_text_are_names_on_a_disk(folder, name):
    url = f"{folder}/{name}"
    with Lease(url), pytest.raises(ResultInUseError), Lease(url):
        pass
    write_key(open_store(url), "a/b", b"1")
    assert read_key(open_store(url), "a/b") == b"1"
    foreign = os.fsdecode(b"\xff\xfe")
    Path(url, "a", foreign).touch()  # somebody else's
    assert sorted(list_keys(open_store(url))) == sorted(["a/b", f"a/{foreign}"])


def test_a_folder_whose_name_is_not_utf_8_is_refused(folder):
    """What writes our files would give up in the middle."""
    for use in (open_store, Lease):
        with pytest.raises(ConfigError, match="a path is not UTF-8"):
            use(f"{folder}/{os.fsdecode(bytes([255]))}/x.zarr")


# --- parts of a key, files -------------------------------------------------------------------------------------------------


def test_ranges_are_cut_out_of_a_key(store):
    data = np.random.default_rng(0).bytes(2_000_000)
    write_key(store, "k", data)
    ranges = [(1_999_990, 10), (0, 5), (3, 100), (0, 0), (700_000, 1), (0, 5), (105, 2)]
    assert read_ranges(store, "k", ranges) == [data[start : start + length] for start, length in ranges]
    assert read_ranges(store, "k", []) == []


def test_few_requests_fetch_many_ranges(bucket, server):
    store = open_store(bucket)
    write_key(store, "k", bytes(2_000_000))
    server.requests.clear()
    read_ranges(store, "k", [(10 * number, 5) for number in range(1000)] + [(1_999_000, 5)])
    assert len(server.requests) == 2


@pytest.mark.parametrize("beyond", [(95, 6), (100, 1), (500_000, 5)])
def test_a_range_beyond_the_end_is_an_error(store, beyond):
    write_key(store, "k", bytes(100))
    for ranges in ([beyond], [(0, 5), beyond], [beyond, (90, 5)]):
        with pytest.raises(storage_errors()):
            read_ranges(store, "k", ranges)


@pytest.mark.parametrize("length", [1, 4, 10, 11])
def test_the_tail_of_a_key(store, length):
    write_key(store, "k", b"0123456789")
    assert read_tail(store, "k", length) == b"0123456789"[-length:]
    assert read_end(store, "k", length) == (b"0123456789"[-length:], 10)
    write_key(store, "k", b"")
    assert read_tail(store, "k", length) == b""
    assert read_end(store, "k", length) == (b"", 0)


def test_a_large_file_is_put_whole_and_copied_whole(store):
    data = np.random.default_rng(0).bytes(BIG)
    with write_file(store, "tables/t") as path:
        with open(path, "wb") as file:
            file.write(data[:100])
            file.flush()
            assert list_keys(store) == []
            file.write(data[100:])
        assert read_key(store, "tables/t") is None
    assert read_key(store, "tables/t") == data
    with local_copy(store, "tables/t") as copy:
        assert Path(copy).read_bytes() == data
    assert list_keys(store) == ["tables/t"]
    source = path_or_file(store, "tables/t")
    with open(source, "rb") if isinstance(source, str) else source as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == data[-5:]
        file.seek(7)
        assert file.read(5) == data[7:12]


def test_a_file_that_was_not_finished_is_not_put(store):
    write_key(store, "t", b"before")
    with pytest.raises(KeyError), write_file(store, "t") as path:  # noqa: PT012 - it fails on its way
        Path(path).write_bytes(b"half")
        raise KeyError
    assert read_key(store, "t") == b"before"
    assert list_keys(store) == ["t"]
    assert not os.path.exists(path)


def test_zarr_reads_and_writes_through_it(store):
    array = zarr.create_array(zarr_store(store), name="a/0", shape=(64, 64), chunks=(16, 16), shards=(32, 32), dtype="u2")
    array[:] = np.arange(4096).reshape(64, 64)
    assert {"a/0/zarr.json", "a/0/c/1/1"} <= set(list_keys(store))
    reader = replace(store, read_only=True)
    part = zarr.open_array(zarr_store(reader), path="a/0", mode="r")[30:34, 5:60]
    np.testing.assert_array_equal(part, np.arange(4096).reshape(64, 64)[30:34, 5:60])


def test_a_store_that_is_read_is_not_written(url):
    write_key(open_store(url), "k", b"1")
    store = open_store(url, read_only=True)
    for write in (write_key, write_new_key):
        with pytest.raises(ValueError, match="opened to be read"):
            write(store, "k", b"2")
    for remove in (delete_key, delete_folder):
        with pytest.raises(ValueError, match="opened to be read"):
            remove(store, "k")
    assert read_key(store, "k") == b"1"


@pytest.mark.parametrize("parent", ["folder", "bucket", "google"], indirect=True)
def test_a_store_goes_to_other_processes(store):
    write_key(store, "k", b"1")
    assert read_key(pickle.loads(pickle.dumps(store)), "k") == b"1"


# --- a disk's own ----------------------------------------------------------------------------------------------------------


def test_what_killed_writes_leave_is_not_listed_and_is_swept(disk):
    write_key(disk, "a/b", b"1")
    for left in ("b#1", "b#27", "t.0123.partial"):
        (disk.folder / "a" / left).write_bytes(b"torn")
    write_key(disk, "a/b", b"2")
    assert list_keys(disk) == list_keys(disk, "a") == ["a/b"]
    assert sweep_partial(disk) == 3
    assert os.listdir(disk.folder / "a") == ["b"]
    assert read_key(disk, "a/b") == b"2"


def test_links_are_followed_to_keys_but_not_for_ever(disk, folder):
    write_key(open_store(f"{folder}/elsewhere"), "c/0", b"1")
    write_key(disk, "a/zarr.json", b"1")
    (disk.folder / "a/c").symlink_to(f"{folder}/elsewhere/c")
    (disk.folder / "loop").symlink_to(disk.folder)
    (disk.folder / "nowhere").symlink_to("/no/such")
    assert read_key(disk, "a/c/0") == b"1"
    assert list_keys(disk, "a/c") == ["a/c/0"]
    assert "a/zarr.json" in list_keys(disk)
    Path(folder, "link").symlink_to(disk.folder)
    assert open_store(f"{folder}/link") == disk


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o002])
def test_the_umask_says_who_may_read(disk, mask):
    before = os.umask(mask)
    try:
        write_key(disk, "a/b", b"1")
        write_new_key(disk, "a/c", b"1")
        write_key(disk, "a/d", bytes(BIG))
    finally:
        os.umask(before)
    for name, full in (("", 0o777), ("a", 0o777), ("a/b", 0o666), ("a/c", 0o666), ("a/d", 0o666)):
        assert stat.S_IMODE((disk.folder / name).stat().st_mode) == full & ~mask


def test_a_disk_says_in_one_line_what_is_in_the_way(disk):
    write_key(disk, "a", b"a file")
    write_key(disk, "f/k", b"in a folder")
    with pytest.raises(NotADirectoryError) as caught:
        write_key(disk, "a/b", b"")
    assert reason(caught.value) == f"[Errno 20] Not a directory: '{disk.folder}/a/b'"
    with pytest.raises(IsADirectoryError):
        write_key(disk, "f", b"")
    write_new_key(disk, "f", b"")
    with pytest.raises(RunError, match=r"it failed \(got \[Errno 20\] Not a directory"), run_errors("it failed"):
        write_new_key(disk, "a/b", b"")
    assert sorted(list_keys(disk)) == ["a", "f/k"]
    assert sweep_partial(disk) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_one_line(disk):
    write_key(disk, "a/b", b"1")
    (disk.folder / "a").chmod(0o500)
    for write in (write_key, write_new_key):
        with pytest.raises(PermissionError):
            write(disk, "a/c", b"1")
    with pytest.raises(PermissionError):
        delete_key(disk, "a/b")
    (disk.folder / "a").chmod(0o700)


FULL = """
    import errno, resource, sys
    from slideseg.storage.store import list_keys, open_store, read_key, write_key
    store = open_store(sys.argv[1])
    write_key(store, "k", b"before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    for size in (1_000_000, 9_000_000):
        try:
            write_key(store, "k", bytes(size))
        except OSError as error:
            assert error.errno == errno.EFBIG, error
        else:
            raise AssertionError
    assert read_key(store, "k") == b"before"
    assert list_keys(store) == ["k"]
"""


def test_a_disk_without_room_keeps_what_was_there(disk):
    done = run_python(FULL, str(disk.folder))
    assert done.returncode == 0, done.stderr
    assert os.listdir(disk.folder) == ["k"], "nothing half is left"


# --- a bucket's own --------------------------------------------------------------------------------------------------------


def test_a_bucket_that_is_missing_is_said_in_one_line(bucket):
    store, url = open_store("s3://no-such/x"), "s3://no-such/x"
    for call in (
        lambda: read_key(store, "k"),
        lambda: read_tail(store, "k", 1),
        lambda: write_key(store, "k", b""),
        lambda: write_new_key(store, "k", b""),
        lambda: delete_key(store, "k"),
        lambda: list_keys(store),
        lambda: anything_at(url),
        lambda: delete(url),
    ):
        with pytest.raises(OSError, match=r"^there is no such bucket: s3://no-such$"):
            call()


# --- processes -------------------------------------------------------------------------------------------------------------

FORKED = """
    import os, signal, sys
    from slideseg.errors import RunError
    from slideseg.storage.store import open_store, read_key, write_key
    store = open_store(sys.argv[1])
    if sys.argv[2] == "used":
        write_key(store, "k", b"1")
    if not os.fork():
        signal.alarm(20)
        try:
            write_key(store, "k", b"1")
        except RunError as error:
            print(error, flush=True)
        os._exit(0)
    sys.exit(os.wait()[1])
"""


@pytest.mark.parametrize(("before", "said"), [("used", "before this process was forked"), ("unused", "")])
def test_a_forked_process_is_told_and_does_not_hang(disk, before, said):
    done = run_python(FORKED, str(disk.folder), before)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert bool(said) == bool(done.stdout)


WAITING = """
    import os, signal, socket, sys, threading
    from slideseg.storage.store import list_keys, open_store, read_key, write_key
    silent = socket.create_server(("127.0.0.1", 0))
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
    store = open_store("s3://bucket/x")
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    calls = {
        "read": lambda: read_key(store, "k"),
        "write": lambda: write_key(store, "k", b""),
        "list": lambda: list_keys(store),
    }
    try:
        calls[sys.argv[1]]()
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("call", ["read", "write", "list"])
def test_ctrl_c_ends_the_wait_for_a_bucket_that_does_not_answer(bucket, call):
    done = run_python(WAITING, call)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


LEAVING = """
    import sys, threading, time
    from slideseg.storage.store import open_store, read_key, write_key
    store = open_store(sys.argv[1])
    def work(number):
        while True:
            write_key(store, f"k{number}", bytes(100_000))
            read_key(store, f"k{number}")
    for number in range(6):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    time.sleep(0.1)
"""


def test_a_process_may_end_while_threads_write(disk):
    for _ in range(3):
        done = run_python(LEAVING, str(disk.folder))
        assert (done.returncode, done.stderr) == (0, "")
    sweep_partial(disk)
    assert {len(read_key(disk, key)) for key in list_keys(disk)} == {100_000}
