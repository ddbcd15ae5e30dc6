"""Damage that tests do to results."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from slideseg.arrays.codec import ABSENT, CRC_BYTES, ShardIndex, _crc
from slideseg.result.manifest import PARTS
from slideseg.result.twice import SELF, _hash_of


def delete_chunk(shard: Path, side: int, row: int, column: int, channels: int = 1) -> None:
    """Make a shard of ``side`` pixels one that never had the chunk, in a form that any Zarr reader takes for background."""
    data = shard.read_bytes()
    length = ShardIndex.length(channels, side)
    table = ShardIndex.of_tail(data, channels, side).table.copy()
    assert table[0, row, column, 0] != ABSENT, "there is such a chunk"
    table[0, row, column] = ABSENT
    shard.write_bytes(data[:-length] + table.tobytes() + _crc(table.tobytes()))
    assert len(shard.read_bytes()) == len(data)
    assert length > CRC_BYTES
    assert np.array_equal(ShardIndex.of_tail(shard.read_bytes(), channels, side).table, table)


def rewrite(document: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a document's attributes as if slideseg had written them so."""
    said = json.loads(document.read_text(encoding="utf-8"))
    change(said["attributes"])
    if SELF in said["attributes"]:
        said["attributes"][SELF] = _hash_of(said["attributes"].get("slideseg"))
    document.write_text(json.dumps(said), encoding="utf-8")


def as_of_an_older_version(result: Path) -> None:
    """Make a result one of a version that wrote no list of its files, and nothing twice."""
    for part in PARTS:
        if (result / part.document).is_file():
            rewrite(result / part.document, lambda said: said["slideseg"].pop("manifest", None))
            rewrite(result / part.document, lambda said: said.pop(SELF))
            (result / part.copy).unlink(missing_ok=True)
            (result / part.manifest).unlink(missing_ok=True)


def flipped(data: bytes, at: int) -> bytes:
    """Return bytes of which one bit is another."""
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


@contextmanager
def a_pipe_at(path: Path, patience: float = 5.0) -> Iterator[Callable[[], bool]]:
    """Have a pipe in a file's place, and give who tells whether somebody waited for what comes out of it.

    Nothing does; whoever waits is let go after ``patience`` seconds.
    """
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    over, late = threading.Event(), threading.Event()

    def let_go() -> None:
        if not over.wait(patience):
            late.set()
        while not over.wait(0.05):
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    thread = threading.Thread(target=let_go)
    thread.start()
    try:
        yield late.is_set
    finally:
        over.set()
        thread.join()
