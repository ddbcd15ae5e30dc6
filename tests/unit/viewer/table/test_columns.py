"""Columns of the object table, read whole and kept."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from slideseg.errors import ConfigError, ResultError
from slideseg.viewer.shard_cache import ShardCache
from slideseg.viewer.table import columns as module
from slideseg.viewer.table.columns import Columns
from slideseg.viewer.table.looks import Looks
from tests.unit.viewer.table.conftest import CLASSES, NUMBER, made_columns, write_table


def test_columns_are_the_tables_own(made, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 128)
    wanted, columns = made
    assert columns.measures == ("pixels", "area_px", "area_um2", "centroid_y_px", "centroid_x_px")
    for name in (*columns.measures, "id", "class", "plane"):
        np.testing.assert_array_equal(columns.values(name), wanted[name], name)
    assert columns.values("class").dtype == np.uint8


def test_the_order_is_stable_and_has_missing_values_last(made):
    wanted, columns = made
    order = columns.order("area_um2")
    known = NUMBER - int(np.isnan(wanted["area_um2"]).sum())
    assert 0 < known < NUMBER
    assert (np.diff(wanted["area_um2"][order[:known]]) >= 0).all()
    assert np.isnan(wanted["area_um2"][order[known:]]).all()
    by_pixels = columns.order("pixels")
    same = wanted["pixels"][by_pixels[1:]] == wanted["pixels"][by_pixels[:-1]]
    assert (np.diff(by_pixels)[same] > 0).all()


def test_a_column_is_read_once(made, monkeypatch):
    _, columns = made
    files = []
    monkeypatch.setattr(pq, "ParquetFile", lambda *a, real=pq.ParquetFile, **k: files.append(1) or real(*a, **k))
    for _ in range(3):
        columns.values("area_um2")
        columns.order("area_um2")
    assert len(files) == 1


class Flat(ShardCache):
    """A cache that does not let what it waits for ask it for more: its locks are few, so two such could wait for each other."""

    is_asked = False

    def get(self, key, read):
        assert not self.is_asked, key
        self.is_asked = True
        try:
            return super().get(key, read)
        finally:
            self.is_asked = False


def test_nothing_that_is_made_waits_for_something_else_that_is(made, tmp_path):
    columns = Columns(str(tmp_path), NUMBER, Flat())
    looks = Looks(columns, CLASSES)
    assert columns.order("area_um2").size == NUMBER
    assert looks.shown({"by": "pixels", "low": "3"}).size == NUMBER + 1
    assert looks.colors(np.arange(1, 9), {"color": "centroid_x_px"}).shape == (8, 3)
    assert looks.class_order.size == NUMBER


@pytest.mark.parametrize("name", ["class_name", "nothing", "", "area_um2 "])
def test_what_is_no_column_of_numbers_is_one_line(made, name):
    with pytest.raises(ConfigError, match=r"no such column of numbers .*want id, class, plane, pixels"):
        made[1].values(name)


def test_a_table_of_other_objects_is_damage(tmp_path):
    columns = made_columns()
    write_table(tmp_path, columns)
    with pytest.raises(ResultError, match="1000 rows for 999 objects"):
        Columns(str(tmp_path), 999, ShardCache()).values("pixels")
    write_table(tmp_path, {**columns, "id": columns["id"][::-1]})
    with pytest.raises(ResultError, match="the ids are not 1, 2"):
        Columns(str(tmp_path), NUMBER, ShardCache()).values("pixels")


def test_a_missing_table_is_one_line(tmp_path):
    with pytest.raises(ResultError, match="is missing"):
        Columns(str(tmp_path), 3, ShardCache()).values("pixels")


def test_what_is_kept_has_a_limit(tmp_path):
    write_table(tmp_path, made_columns(100_000), rows=16_384)
    cache = ShardCache(2 * 2**20)
    columns = Columns(str(tmp_path), 100_000, cache)
    for name in columns.measures:
        columns.order(name)
        assert 0 < cache.bytes <= 2 * 2**20
