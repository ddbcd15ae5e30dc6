"""Rows and sums of the object table, read in pieces."""

import io
from pathlib import Path

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slideseg.errors import ResultError
from slideseg.instances.run import objects
from slideseg.result.layout import TABLE
from slideseg.result.result import open_result
from slideseg.result.table import read_sizes
from slideseg.storage.remote import Stream
from slideseg.storage.store import Store, open_store
from slideseg.viewer.table.rows import TableReader
from tests.made_results import blobs, make_result

ZSTD = b"\x28\xb5\x2f\xfd"
"""How the compressed bytes of a page begin."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    url = tmp_path_factory.mktemp("table") / "x.zarr"
    make_result(url, blobs((400, 500)))
    objects(str(url))
    return str(url)


def test_a_row_is_the_tables_own(made):
    rows = open_result(made).table.to_pylist()
    table = TableReader(made)
    assert len(rows) > 100
    assert [table.row(row["id"]) for row in rows[::40]] == rows[::40]
    assert table.row(0) is None
    assert [table.row(number) for number in (len(rows) + 1, 2**63 - 1, 2**63, 10**40)] == [None] * 4


def test_sums_are_those_of_all_rows(made):
    whole = open_result(made).table
    sizes = read_sizes(open_store(made, read_only=True))
    counts, pixels = sizes.counts, sizes.pixels
    for class_id in (1, 2):
        mask = whole["class"].to_numpy() == class_id
        assert counts[class_id] == mask.sum() > 0
        assert pixels[class_id] == whole["pixels"].to_numpy()[mask].sum()
    assert counts.sum() == whole.num_rows


def test_a_damaged_table_is_one_line(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((64, 64)))
    (tmp_path / "x.zarr" / "tables").mkdir()
    (tmp_path / "x.zarr" / TABLE).write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ResultError, match="damaged"):
        TableReader(str(tmp_path / "x.zarr")).row(1)


def test_every_damaged_bit_of_a_page_is_an_error(made, tmp_path):
    """So many changed bits still make a page that can be read, with other numbers in it."""
    path = tmp_path / TABLE
    path.parent.mkdir()
    data = Path(made, TABLE).read_bytes()
    random = np.random.default_rng(0)
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    pages = [page for n in range(group.num_columns) for page in pages_of(data, group.column(n))]
    assert len(pages) > group.num_columns, "dictionaries too"
    for first, last in pages * 2:
        harmed = bytearray(data)
        harmed[random.integers(first, last)] ^= 1 << random.integers(8)
        path.write_bytes(harmed)
        with pytest.raises(ResultError, match=r"is damaged .*verify --repair, then slideseg objects with the same options"):
            TableReader(str(tmp_path)).row(5)


def pages_of(data, column):
    """Yield where the first and the last page of a column's only group lie, without their headers."""
    start = column.data_page_offset if column.dictionary_page_offset is None else column.dictionary_page_offset
    stop = start + column.total_compressed_size
    if column.dictionary_page_offset is not None:
        yield data.index(ZSTD, start), column.data_page_offset
    yield data.rindex(ZSTD, column.data_page_offset, stop), stop


def test_of_a_table_in_a_bucket_only_the_rows_around_are_read(tmp_path, monkeypatch):
    ids = np.arange(1, 2_000_001)
    random = np.random.default_rng(0).random(ids.size)
    columns = {"id": ids, "class": np.ones(ids.size, np.uint8), "x": random}
    pq.write_table(pa.table(columns), tmp_path / "t", row_group_size=65_536)
    bucket, lengths, read = obstore.store.MemoryStore(), [], Stream.read

    def counted(file, size=-1):
        data = read(file, size)
        lengths.append(len(data))
        return data

    monkeypatch.setattr(Stream, "read", counted)
    table = TableReader(str(tmp_path))
    table._store = Store(bucket, read_only=True)
    with pytest.raises(ResultError, match="missing"):
        table.row(1)
    obstore.put(bucket, TABLE, tmp_path / "t")
    assert table.row(1_234_567) == {"id": 1_234_567, "class": 1, "x": random[1_234_566]}
    assert 0 < sum(lengths) < (tmp_path / "t").stat().st_size / 10
