"""Rows and sums of the object table, read in pieces."""

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from zarr.storage import ObjectStore

from slideseg.errors import ResultError
from slideseg.instances import objects
from slideseg.store.layout import TABLE
from slideseg.store.result import open_result
from slideseg.store.table import InBucket
from slideseg.viewer.table import ObjectTable
from tests.made_results import blobs, make_result


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    url = tmp_path_factory.mktemp("table") / "x.zarr"
    make_result(url, blobs((400, 500)))
    objects(str(url))
    return str(url)


def test_a_row_is_the_tables_own(made):
    rows = open_result(made).table.to_pylist()
    table = ObjectTable(made)
    assert table.number() == len(rows) > 100
    assert [table.row(row["id"]) for row in rows[::40]] == rows[::40]
    assert table.row(0) is None
    assert table.row(len(rows) + 1) is None


def test_sums_are_those_of_all_rows(made):
    whole = open_result(made).table
    counts, pixels = ObjectTable(made).sums()
    for class_id in (1, 2):
        mask = whole["class"].to_numpy() == class_id
        assert counts[class_id] == mask.sum() > 0
        assert pixels[class_id] == whole["pixels"].to_numpy()[mask].sum()
    assert counts.sum() == whole.num_rows


def test_a_result_without_a_table_has_no_rows(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((64, 64)))
    table = ObjectTable(str(tmp_path / "x.zarr"))
    assert (table.number(), table.row(1), table.sums()) == (None, None, None)


def test_a_damaged_table_is_one_line(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((64, 64)))
    (tmp_path / "x.zarr" / "tables").mkdir()
    (tmp_path / "x.zarr" / TABLE).write_bytes(b"PAR1 and then nothing")
    for question in (ObjectTable.number, ObjectTable.sums, lambda table: table.row(1)):
        with pytest.raises(ResultError, match="damaged"):
            question(ObjectTable(str(tmp_path / "x.zarr")))


def test_of_a_table_in_a_bucket_only_the_rows_around_are_read(tmp_path, monkeypatch):
    ids = np.arange(1, 2_000_001)
    random = np.random.default_rng(0).random(ids.size)
    columns = {"id": ids, "class": np.ones(ids.size, np.uint8), "x": random}
    pq.write_table(pa.table(columns), tmp_path / "t", row_group_size=65_536)
    bucket, lengths, read = obstore.store.MemoryStore(), [], InBucket.read

    def counted(file, size=-1):
        data = read(file, size)
        lengths.append(len(data))
        return data

    monkeypatch.setattr(InBucket, "read", counted)
    table = ObjectTable(str(tmp_path))
    table._store = ObjectStore(bucket, read_only=True)
    assert table.row(1) is None
    obstore.put(bucket, TABLE, tmp_path / "t")
    assert table.number() == ids.size
    assert table.row(1_234_567) == {"id": 1_234_567, "class": 1, "x": random[1_234_566]}
    assert 0 < sum(lengths) < (tmp_path / "t").stat().st_size / 10
