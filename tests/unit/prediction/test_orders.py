"""Which rows of a manifest are to be done, and what their results are called."""

from pathlib import Path

import pytest

from slideseg.errors import ConfigError
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.orders import take_orders

TABLE = "path,mpp\na.tif,\n\nx/b.svs,0.5\nfolder,\nx/a.svs,\n"


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("c.png", "d.png"):
        (tmp_path / "folder" / name).touch()
    (tmp_path / "m.csv").write_text(TABLE)
    return tmp_path / "m.csv"


def taken(manifest, rows):
    orders = take_orders((), "out", PredictOptions(), manifest, rows)
    return orders, [(Path(order.slide).name, order.output) for order in orders.slides]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (None, [0, 1, 2, 3, 4]), ("1", [0]), (2, [1]), ("3", [2, 3]), ("2-3", [1, 2, 3]), ("4-999", [4]),
        ("1-4", [0, 1, 2, 3, 4]),
    ],
)  # fmt: skip
def test_rows_are_counted_from_one_and_results_are_called_the_same_whoever_does_which(manifest, rows, wanted):
    orders, found = taken(manifest, rows)
    all_of_them = [
        ("a.tif", "out/a.tif.zarr"), ("b.svs", "out/b.zarr"), ("c.png", "out/c.zarr"), ("d.png", "out/d.zarr"),
        ("a.svs", "out/a.svs.zarr"),
    ]  # fmt: skip
    assert found == [all_of_them[number] for number in wanted]
    assert (orders.several, orders.is_part) == (True, rows is not None)
    assert [order.options.mpp for order in orders.slides] == [0.5 if name == "b.svs" else None for name, _ in found]


@pytest.mark.parametrize("rows", ["", "0", "x", "1-", "-3", "5-2", "1,2", "1.5", "0-3", "1_0"])
def test_what_can_not_be_read_as_rows_is_refused(manifest, rows):
    with pytest.raises(ConfigError, match="rows can't be read"):
        taken(manifest, rows)


def test_a_row_that_is_not_there_is_refused(manifest):
    with pytest.raises(ConfigError, match=r"m.csv has no row 5 \(got 4 rows\)"):
        taken(manifest, "5-6")


def test_rows_are_those_of_a_manifest(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ConfigError, match="there are no rows to choose"):
        take_orders([str(tmp_path / "a.png")], None, PredictOptions(), None, "1")
