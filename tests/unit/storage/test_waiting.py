"""How soon it is said that a store can't be used, and in which words; what is tried again, and for how long."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from slideseg.errors import ResultError
from slideseg.storage import waiting
from slideseg.storage.lease import Lease
from slideseg.storage.store import list_keys, open_store, read_key, reason, storage_errors, write_key
from slideseg.storage.waiting import interruptible, persistent
from tests.s3_server import running

NOBODY = "http://127.0.0.1:9"
BROKE = GenericError("Generic S3 error: Error performing GET http://h/b/k in 1ms - HTTP error: request or response body error")


@pytest.fixture
def server(monkeypatch):
    """A server with a bucket, of which nobody has heard yet; who doesn't answer is given up at once."""
    monkeypatch.setattr(waiting, "_heard_of", {})
    monkeypatch.setattr(waiting, "FIRST_PATIENCE", 0.2)
    with running() as server:
        server.buckets["lab"] = {}
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def said_of(url="s3://lab/x"):
    """Return what is said of a bucket that can't be used: the same whatever is done with it."""
    store, said = open_store(url), set()
    for act in (lambda: read_key(store, "k"), lambda: write_key(store, "k", b""), lambda: list_keys(store)):
        with pytest.raises(storage_errors()) as caught:
            act()
        said.add(reason(caught.value))
    with pytest.raises(ResultError, match="the output can't be written"), Lease(f"{url}/y.zarr"):
        pass
    assert len(said) == 1, said
    return said.pop()


def test_a_bucket_that_is_not_there(server):
    assert said_of("s3://other/x") == "there is no such bucket: s3://other"


def test_a_server_that_does_not_answer(server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    assert said_of() == f"no answer from {NOBODY}: see --endpoint-url or AWS_ENDPOINT_URL, and the network"


def test_no_keys(server, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", NOBODY)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert said_of().startswith("no keys to the bucket were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or")


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "InvalidAccessKeyId", "the store does not take the keys (InvalidAccessKeyId)"),
        (403, "SignatureDoesNotMatch", "the store does not take the keys (SignatureDoesNotMatch)"),
        (400, "ExpiredToken", "the store does not take the keys (ExpiredToken)"),
        (403, "AccessDenied", "the store does not allow it: see AWS_ACCESS_KEY_ID"),
        (301, "PermanentRedirect", "the bucket lies in another region than was asked: set AWS_REGION"),
        (400, "AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region><Code>", "set AWS_REGION=eu-west-1"),
    ],
)
def test_what_a_store_refuses(server, status, code, words):
    server.refusal = (status, code)
    begun = time.monotonic()
    assert words in said_of()
    assert time.monotonic() - begun < 5, "it was asked again"


def test_a_store_is_asked_once_whether_it_answers(server):
    for number in range(3):
        read_key(open_store(f"s3://lab/{number}"), "k")
    assert [path for _, path in server.requests] == ["lab/.slideseg", "lab/0/k", "lab/1/k", "lab/2/k"]


def test_of_many_that_wait_for_a_store_each_waits_once(server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    monkeypatch.setattr(waiting, "FIRST_PATIENCE", 2)
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(read_key, open_store("s3://lab/x"), "k") for _ in range(8)]
    assert all("no answer" in str(one.exception()) for one in asked)
    assert time.monotonic() - begun < 8


def test_a_store_that_answers_later_is_heard(server, monkeypatch):
    with monkeypatch.context() as wrong:
        wrong.setattr("slideseg.storage.waiting.FIRST_PATIENCE", 0)
        server.refusal = (403, "ExpiredToken")
        with pytest.raises(OSError, match="ExpiredToken"):
            read_key(open_store("s3://lab/x"), "k")
        server.refusal = None
        assert read_key(open_store("s3://lab/x"), "k") is None


def test_what_may_do_in_a_moment_is_tried_again_until_patience_ends():
    tries = []

    def act():
        tries.append(1)
        if len(tries) < 3:
            raise BROKE
        return "done"

    assert persistent(act, 60) == "done"
    tries[:] = [1] * -10
    with pytest.raises(GenericError):
        persistent(lambda: tries.append(1) or (_ for _ in ()).throw(BROKE), 0.3)
    assert len(tries) > 1


@pytest.mark.parametrize(
    "error",
    [
        PermissionDeniedError("Generic S3 error: status code: 403 Forbidden"),
        GenericError("Generic S3 error: Server returned non-2xx status code: 416 Range Not Satisfiable: <?xml body HTTP error"),
        GenericError("Generic S3 error: Error performing GET http://h/b/k - HTTP error: builder error"),
    ],
)
def test_what_is_refused_is_not_tried_again(error):
    tries = []

    def act():
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        persistent(act, 60)
    assert tries == [1]


def test_it_is_said_what_is_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(waiting, "FIRST_WORD", 0.05)
    monkeypatch.setattr(waiting, "NEXT_WORD", 0.05)
    with caplog.at_level(logging.WARNING):
        assert interruptible(lambda: time.sleep(0.3) or "done", "s3://lab") == "done"
    assert len(caplog.messages) > 1
    assert caplog.messages[0] == "waiting for s3://lab for 0 s"
