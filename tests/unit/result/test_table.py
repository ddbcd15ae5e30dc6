"""How the object table is read; in an object store in pieces, by sums and by its hash."""

import hashlib

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slideseg.errors import ResultError
from slideseg.result.layout import TABLE
from slideseg.result.table import open_table, read_sizes, table_hash
from slideseg.storage.remote import Stream
from slideseg.storage.store import Store, open_store

ROWS = 400_000


def test_sums_and_hash_hold_a_piece_of_the_table_at_a_time(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    columns = {
        "class": rng.integers(1, 4, ROWS).astype(np.uint8),
        "pixels": rng.integers(1, 2**40, ROWS),
        "x": rng.random(ROWS),
        "y": rng.random(ROWS),
    }
    pq.write_table(pa.table(columns), tmp_path / "t", row_group_size=20_000)
    data = (tmp_path / "t").read_bytes()
    bucket, lengths, readinto = obstore.store.MemoryStore(), [], Stream.readinto

    def counted(file, buffer):
        lengths.append(readinto(file, buffer))
        return lengths[-1]

    monkeypatch.setattr(Stream, "readinto", counted)
    store = Store(bucket, read_only=True)
    assert table_hash(store) is None
    with pytest.raises(ResultError, match="missing"):
        read_sizes(store)
    obstore.put(bucket, TABLE, data)

    sizes = read_sizes(store)
    counts, pixels = sizes.counts, sizes.pixels

    for class_id in range(5):
        mine = columns["class"] == class_id
        assert (counts[class_id], pixels[class_id]) == (mine.sum(), columns["pixels"][mine].sum())
    assert sum(lengths) < len(data) / 2, "only two of the columns"
    assert table_hash(store) == hashlib.sha256(data).hexdigest()
    assert max(lengths) < len(data) / 10


def test_a_local_table_is_read_by_pyarrow_alone(tmp_path):
    """A thread of it that lets go of a file of Python's while the interpreter ends aborts the process, now and then."""
    (tmp_path / TABLE).parent.mkdir()
    (tmp_path / TABLE).write_bytes(b"a table")
    with open_table(open_store(tmp_path)) as file:
        assert isinstance(file, pa.NativeFile)
        assert not isinstance(file, pa.PythonFile)
        assert file.read() == b"a table"
