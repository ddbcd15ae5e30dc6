"""A file in a bucket, read in parts: the right bytes, by few requests, of one version."""

from __future__ import annotations

import io
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from slideseg.storage import remote, waiting
from slideseg.storage.in_bucket import open_remote
from slideseg.storage.remote import BATCH, BLOCK, MOST_AHEAD, NoFileError, RemoteError, ReplacedError, Version
from tests import s3_server
from tests.fault_proxy import Faults, proxy_to
from tests.s3_server import running
from tests.web_server import InParts, Whole, serving

MIB = 1 << 20
CONTENT = np.random.default_rng(0).bytes(40 * MIB + 5)
URL = "s3://lab/slides/a.svs"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(remote, "_kept", remote._Blocks())
    monkeypatch.setattr(waiting, "_heard_of", {})
    with running() as server:
        server.buckets["lab"] = {"slides/a.svs": CONTENT}
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def random_ranges(number, most, seed=0):
    draw = random.Random(seed)
    starts = (draw.randrange(len(CONTENT)) for _ in range(number))
    return [(start, min(draw.randrange(most), len(CONTENT) - start)) for start in starts]


def all_of(file, ranges):
    """Return the bytes of ranges, in their order, as they come."""
    found, seen = {}, []
    for some, near in file.ahead(ranges):
        seen.extend(some)
        found |= {number: near.read(*ranges[number]) for number in some}
    assert sorted(seen) == list(range(len(ranges)))
    return [found[number] for number in range(len(ranges))]


def test_it_is_what_lies_there(server):
    file = open_remote(URL)
    assert (file.size, file.name) == (len(CONTENT), URL)
    ranges = [*random_ranges(40, 300_000), (0, 16), (len(CONTENT) - 3, 3), (7, 0), (5, 3 * MIB)]
    assert [file.read(*one) for one in ranges] == [CONTENT[start : start + length] for start, length in ranges]
    assert all_of(file, ranges) == [CONTENT[start : start + length] for start, length in ranges]
    out = bytearray(20 * MIB + 3)
    file.fill(memoryview(out), 11)
    assert out == CONTENT[11 : 11 + len(out)]
    assert all_of(file, []) == []


def test_by_several_threads(server):
    file = open_remote(URL)
    ranges = random_ranges(200, 100_000)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda one: file.read(*one), ranges)) == [CONTENT[at : at + length] for at, length in ranges]


def test_behind_its_end_there_is_nothing(server):
    file = open_remote(URL)
    for read in (file.read, lambda at, length: file.fill(memoryview(bytearray(length)), at), lambda *one: all_of(file, [one])):
        with pytest.raises(EOFError, match=f"ends at {len(CONTENT)}, 1 bytes too early"):
            read(len(CONTENT) - 1, 2)


def test_a_few_bytes_are_asked_for_once(server):
    file = open_remote(URL)
    for at in (0, 100, BLOCK - 4, 30 * MIB, 30 * MIB + 50):
        file.read(at, 4)
    assert sorted(server.parts) == [("slides/a.svs", 0, BLOCK), ("slides/a.svs", 30 * MIB, 30 * MIB + BLOCK)]
    open_remote(URL).read(30 * MIB, 10)
    assert len(server.parts) == 3, "to open it is one request; blocks are kept from one opening to the next"


def test_what_another_server_has_is_not_taken_for_it(server, monkeypatch):
    monkeypatch.setattr(s3_server, "tag_of", lambda _: '"same"')
    assert open_remote(URL).read(20 * MIB, 4) == CONTENT[20 * MIB :][:4]
    with running() as other:
        other.buckets["lab"] = {"slides/a.svs": bytes(len(CONTENT))}
        monkeypatch.setenv("AWS_ENDPOINT_URL", other.environment["AWS_ENDPOINT_URL"])
        assert open_remote(URL).read(20 * MIB, 4) == bytes(4)


def test_what_is_read_on_and_on_is_asked_for_ahead(server):
    file = open_remote(URL)
    for at in range(0, 8 * MIB, 4096):
        file.read(at, 4096)
    assert len(server.parts) < 15
    assert max(stop - start for _, start, stop in server.parts) == MOST_AHEAD


def test_ranges_that_lie_close_are_one_request(server):
    """A box's tiles: in rows that follow each other far apart."""
    file = open_remote(URL)
    server.parts.clear()
    rows = [(row * 4 * MIB + tile * 15_000, 14_000) for row in range(9) for tile in range(9)]
    assert all_of(file, rows) == [CONTENT[at : at + length] for at, length in rows]
    assert len(server.parts) == 9
    assert sum(stop - start for _, start, stop in server.parts) < 9 * (9 * 15_000 + 2 * BLOCK)


@pytest.mark.parametrize(("length", "step"), [(100_000, 100_000), (10, 200_000)])
def test_what_is_not_decoded_yet_is_not_read_without_end(server, length, step):
    """Nor what lies between."""
    file = open_remote(URL)
    ranges = [(at, length) for at in range(0, 39 * MIB, step)]
    server.parts.clear()
    for number, _ in enumerate(file.ahead(ranges)):
        asked = sum(stop - start for _, start, stop in server.parts)
        assert asked <= (number + 2) * (BATCH + 2 * MOST_AHEAD)
    assert number >= 4


def test_what_is_expected_is_asked_for_at_once(server):
    file = open_remote(URL)
    ranges = [(at * MIB, 30_000) for at in range(1, 30, 3)]
    file.expect(ranges)
    assert len(server.parts) == 11
    assert [file.read(*one) for one in ranges] == [CONTENT[start : start + length] for start, length in ranges]
    assert len(server.parts) == 11
    file.expect([(0, 30 * MIB)])
    assert len(server.parts) == 11, "there is no room for it"


def test_no_more_is_kept_than_said(server):
    file = open_remote(URL)
    for at in range(0, 40 * MIB, MOST_AHEAD):
        file.read(at, MOST_AHEAD)
    assert len(remote._kept._blocks) * BLOCK <= remote.KEPT
    assert open_remote(URL).read(39 * MIB, 5) == CONTENT[39 * MIB :][:5]


@pytest.mark.parametrize("heeds", [True, False])
def test_another_version_is_never_mixed_in(server, monkeypatch, heeds):
    """Also by a server that does not know If-Match."""
    if not heeds:
        monkeypatch.setattr(Version, "condition", {})
    file = open_remote(URL)
    file.read(0, 10)
    server.buckets["lab"]["slides/a.svs"] = CONTENT[:-1] + b"x"
    for read in (lambda: file.read(20 * MIB, 10), lambda: all_of(file, [(25 * MIB, 2 * MIB)])):
        with pytest.raises(ReplacedError):
            read()
    assert open_remote(URL).read(len(CONTENT) - 1, 1) == b"x"
    assert open_remote(URL).version != file.version


def test_what_is_gone(server):
    file = open_remote(URL)
    del server.buckets["lab"]["slides/a.svs"]
    with pytest.raises(RemoteError, match="it is not there any more"):
        file.read(20 * MIB, 10)
    assert open_remote(URL) is None
    with pytest.raises(RemoteError, match="there is no such bucket: s3://none"):
        open_remote("s3://none/a.svs")


def test_what_is_empty(server):
    server.buckets["lab"]["e"] = b""
    assert (open_remote("s3://lab/e").size, open_remote("s3://lab/e").read(0, 0)) == (0, b"")


def test_faults_change_nothing(server, monkeypatch):
    faults = Faults(slow_down=0.15, reset=0.15, truncate=0.15, jitter=0.01)
    with proxy_to(server.server_port, faults, seed=3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        file = open_remote(URL)
        ranges = random_ranges(100, 500_000, seed=1)
        assert all_of(file, ranges) == [CONTENT[start : start + length] for start, length in ranges]
        assert [file.read(*one) for one in ranges] == [CONTENT[start : start + length] for start, length in ranges]
        assert min(proxy.happened[kind] for kind in ("slow_down", "reset", "truncate")) > 2


def test_on_the_web(tmp_path):
    (tmp_path / "my slide.tif").write_bytes(CONTENT)
    with serving(tmp_path) as url:
        file = open_remote(f"{url}/my%20slide.tif")
        assert file.read(30 * MIB, 10) == CONTENT[30 * MIB :][:10]
        assert open_remote(f"{url}/none.tif") is None
    with serving(tmp_path, Whole) as url, pytest.raises(NoFileError, match="its server gives no parts of files"):
        open_remote(f"{url}/my%20slide.tif")


def test_a_weak_etag_says_nothing(tmp_path):
    class Weak(InParts):
        def send_response(self, *words):
            super().send_response(*words)
            self.send_header("ETag", 'W/"x"')

    (tmp_path / "a").write_bytes(CONTENT[:MIB])
    with serving(tmp_path, Weak) as url:
        assert open_remote(f"{url}/a").version.tag is None
        assert open_remote(f"{url}/a").read(500_000, 9) == CONTENT[500_000:][:9]


def test_as_a_file_of_python(server):
    stream = open_remote(URL).stream()
    assert (stream.readable(), stream.seekable(), stream.name) == (True, True, URL)
    assert (stream.read(4), stream.tell()) == (CONTENT[:4], 4)
    assert stream.seek(-3, io.SEEK_END) == len(CONTENT) - 3
    assert (stream.read(100), stream.read(1)) == (CONTENT[-3:], b"")
    assert (stream.seek(len(CONTENT) + 7), stream.read(1)) == (len(CONTENT) + 7, b"")
    words = np.zeros(5, np.uint16)
    assert (stream.seek(8), stream.readinto(words), words.tobytes()) == (8, 10, CONTENT[8:18])
    assert (stream.seek(10), stream.seek(5, io.SEEK_CUR)) == (10, 15)
    with pytest.raises(ValueError, match="no place -1"):
        stream.seek(-1)
    del server.buckets["lab"]["slides/a.svs"]
    stream.seek(20 * MIB)

    def through_others():
        with stream.telling():
            try:
                stream.read(5)
            except RemoteError:
                msg = "nobody can read this"
                raise ValueError(msg) from None

    with pytest.raises(RemoteError, match="it is not there any more"):
        through_others()
