"""A bucket in memory behind S3's own protocol, on this machine: as much of it as object stores are used for here.

Google's XML protocol is the same but for how a PUT is told to create only.

Whether a PUT may create is decided under a lock, as S3 promises; moto looks first and writes later.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = 50
"""Keys in one answer to a listing; S3 has 1,000."""


class S3Server(ThreadingHTTPServer):
    """Answers in threads; `buckets` is what is there."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.times: dict[str, float] = {}
        """When keys were put; what a test put there by itself, at the beginning of 2026."""
        self.ahead = 0.0
        """Seconds that the server's clock is ahead of the right time."""
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self.requests: list[tuple[str, str]] = []
        """Method and path of all that was asked."""
        self.parts: list[tuple[str, int, int]] = []
        """Keys of which a part was asked for, its first byte, and the one behind its last."""
        self.refusal: tuple[int, str] | None = None
        """Status and code of the answer to everything, if it is to be that."""
        self.deleted: list[str] = []
        """Keys in the order in which they went."""

    @property
    def environment(self) -> dict[str, str]:
        """What tells every S3 client where this is."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server_port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "anyone",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_REGION": "us-east-1",
        }

    @property
    def environment_of_google(self) -> dict[str, str]:
        """What tells Google's clients where this is, as it tells them of any server for tests."""
        account = {"gcs_base_url": f"http://127.0.0.1:{self.server_port}", "disable_oauth": True}
        keys = {"client_email": "", "private_key": "", "private_key_id": ""}
        return {"GOOGLE_BASE_URL": account["gcs_base_url"], "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({**account, **keys})}


@contextmanager
def running() -> Iterator[S3Server]:
    """Run a server."""
    with S3Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece
    disable_nagle_algorithm = True
    server: S3Server

    def log_message(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            self.server.requests.append((self.command, f"{bucket}/{key}"))
            there = self.server.buckets.get(bucket)
            if self.server.refusal is not None:
                self._fail(*self.server.refusal)
            elif there is None:
                self._fail(404, "NoSuchBucket")
            elif not key:
                (self._delete_many if "delete" in query else self._list)(there, query, body)
            elif "uploads" in query or "uploadId" in query:
                self._upload(there, key, query, body)
            else:
                {"PUT": self._put, "DELETE": self._delete}.get(self.command, self._get)(there, key, body)
        self._send(*self._reply)  # without the lock: nobody waits for one who reads slowly

    def _put(self, there: dict[str, bytes], key: str, body: bytes) -> None:
        only_new = self.headers.get("If-None-Match") == "*" or self.headers.get("x-goog-if-generation-match") == "0"
        if only_new and key in there:
            self._fail(412, "PreconditionFailed")
            return
        there[key] = body
        self.server.times[key] = time.time()
        self._answer(200, b"", ETag=tag_of(body))

    def _get(self, there: dict[str, bytes], key: str, _: bytes) -> None:
        if key not in there:
            self._fail(404, "NoSuchKey")
            return
        if self.headers.get("If-Match", tag_of(there[key])) != tag_of(there[key]):
            self._fail(412, "PreconditionFailed")
            return
        data, headers = there[key], {"ETag": tag_of(there[key]), "Last-Modified": self._written(key)}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._answer(200, data, **headers)
            return
        start = int(asked[1]) if asked[1] else max(0, len(data) - int(asked[2]))
        stop = min(len(data), int(asked[2]) + 1) if asked[1] and asked[2] else len(data)
        if start >= stop:
            self._fail(416, "InvalidRange")
            return
        self.server.parts.append((key, start, stop))
        self._answer(206, data[start:stop], **headers, **{"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})

    def _written(self, key: str) -> str:
        return formatdate(self.server.times.get(key, 1_767_225_600.0) + self.server.ahead, usegmt=True)

    def _delete(self, there: dict[str, bytes], key: str, _: bytes) -> None:
        there.pop(key, None)
        self.server.deleted.append(key)
        self._answer(204, b"")

    def _delete_many(self, there: dict[str, bytes], _: dict[str, str], body: bytes) -> None:
        gone = [key.text or "" for key in ElementTree.fromstring(body).iter() if key.tag.endswith("Key")]
        self.server.deleted += gone
        for key in gone:
            there.pop(key, None)
        self._xml("DeleteResult", "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in gone))

    def _list(self, there: dict[str, bytes], query: dict[str, str], _: bytes) -> None:
        after = query.get("continuation-token", query.get("start-after", ""))
        prefix, delimiter, shared = query.get("prefix", ""), query.get("delimiter", ""), ""
        keys = sorted(key for key in there if key.startswith(prefix) and key > after)
        if delimiter:  # folders come all at once: tests have few
            folders = {
                f"{prefix}{key.removeprefix(prefix).split(delimiter)[0]}{delimiter}"
                for key in keys
                if delimiter in key.removeprefix(prefix)
            }
            keys = [key for key in keys if delimiter not in key.removeprefix(prefix)]
            shared = "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
        inner = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>{tag_of(there[key])}</ETag><Size>{len(there[key])}</Size></Contents>"
            for key in keys[:PAGE]
        )
        more = f"<NextContinuationToken>{escape(keys[PAGE - 1])}</NextContinuationToken>" if len(keys) > PAGE else ""
        self._xml("ListBucketResult", f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}{inner}{shared}")

    def _upload(self, there: dict[str, bytes], key: str, query: dict[str, str], body: bytes) -> None:
        if "uploads" in query:
            number = str(next(self.server.numbers))
            self.server.uploads[number] = {}
            self._xml("InitiateMultipartUploadResult", f"<UploadId>{number}</UploadId>")
        elif query["uploadId"] not in self.server.uploads:
            self._fail(404, "NoSuchUpload")  # it is complete already, or was given up
        elif self.command == "PUT":
            self.server.uploads[query["uploadId"]][int(query["partNumber"])] = body
            self._answer(200, b"", ETag=tag_of(body))
        elif self.command == "POST":
            there[key] = b"".join(part for _, part in sorted(self.server.uploads.pop(query["uploadId"]).items()))
            self._xml("CompleteMultipartUploadResult", f"<ETag>{tag_of(there[key])}</ETag>")
        else:
            self.server.uploads.pop(query["uploadId"], None)
            self._answer(204, b"")

    def _xml(self, name: str, inner: str, status: int = 200) -> None:
        self._answer(status, f'<?xml version="1.0"?><{name}>{inner}</{name}>'.encode(), **{"Content-Type": "application/xml"})

    def _fail(self, status: int, code: str) -> None:
        self._xml("Error", f"<Code>{code}</Code>", status)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self._reply = (status, body, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@lru_cache(maxsize=64)
def tag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'
