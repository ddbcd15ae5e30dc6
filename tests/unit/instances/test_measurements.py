"""The table of objects is written by ranges of ids, whatever lies across rows of shards."""

import numpy as np
import pyarrow.parquet as pq
import pytest

import slideseg
from slideseg.instances import measurements as table
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


def test_only_what_lies_below_its_first_row_of_shards_is_kept_until_the_end(url, monkeypatch):
    kept = []
    monkeypatch.setattr(table, "chained", lambda parts, whole=table.chained: kept.append(whole(parts)) or kept[-1])
    number = slideseg.objects(url).number
    below = kept[:5]  # of the first look at the first plane's rows of shards; then come the table's rows
    assert not below[0].id.size
    assert 5 < sum(one.id.size for one in below) < number / 2
