"""The table of objects is written by ranges of ids, whatever lies across rows of shards."""

import numpy as np
import pyarrow.parquet as pq
import pytest

import slideseg
from slideseg.instances import strips as table
from tests.made_results import make_result


@pytest.fixture(params=["image", "stack"])
def url(request, tmp_path):
    """A result in shards of 256 pixels: squares, bars through all rows of shards, a row of shards with nothing else."""
    squares = np.random.default_rng(0).random((2, 43, 20)) < 0.1
    planes = np.kron(squares, np.ones((28, 28), np.bool_)).astype(np.uint8)
    planes[:, 512:768] = 0
    planes[:, 20:1190, 300:304] = 1
    planes[:, 600:1190, 550:554] = 1
    url, stack = str(tmp_path / "x.zarr"), request.param == "stack"
    make_result(url, planes if stack else planes[0], plane_axis="z" if stack else None)
    return url


def rows_of(url):
    return pq.read_table(f"{url}/tables/objects.parquet")


def test_the_table_is_the_same_by_any_ranges_of_ids(url, monkeypatch):
    slideseg.objects(url)
    expected = rows_of(url)
    assert expected["id"].to_pylist() == list(range(1, expected.num_rows + 1))
    monkeypatch.setattr(table, "ROWS", 7)
    slideseg.objects(url, overwrite=True)
    assert rows_of(url).equals(expected)
    groups = pq.ParquetFile(f"{url}/tables/objects.parquet").metadata
    assert max(groups.row_group(n).num_rows for n in range(groups.num_row_groups)) == 7


def test_no_more_objects_are_added_up_at_once(url, monkeypatch):
    added = []

    def merged(parts, whole=table.merged):
        added.append(np.unique(parts.id).size)
        return whole(parts)

    monkeypatch.setattr(table, "ROWS", 7)
    monkeypatch.setattr(table, "merged", merged)
    number = slideseg.objects(url).number
    assert max(added) == 7
    assert sum(added) == number > 21


def test_strips_below_are_read_as_far_as_objects_of_a_strip_reach(url, monkeypatch):
    read = []
    monkeypatch.setattr(table.RowsWorker, "_read", lambda self, index, read=table.RowsWorker._read: noted(self, index, read))

    def noted(worker, index, really):
        read.append(index)
        return really(worker, index)

    slideseg.objects(url)
    columns = slideseg.open_result(url).layout.grid.per_plane_yx[1]
    of_strip = np.bincount(np.array(read) // columns)
    assert (of_strip % columns == 0).all()
    # each by itself, by the one above and the one below; bars from strips 0 and 2 to the last of a plane have all between read
    assert (of_strip // columns)[:4].tolist() == [2, 3, 4, 4]
