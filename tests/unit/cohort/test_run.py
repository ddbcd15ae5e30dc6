"""`slideseg.summary`."""

import pandas as pd
import pytest

import slideseg
from slideseg.testing.records import made_classes
from tests.made_results import blobs, make_result


def test_a_row_a_result_that_makes_a_data_frame(tmp_path):
    make_result(tmp_path / "a.zarr", blobs((100, 100)))
    make_result(tmp_path / "b.zarr", blobs((100, 100)), classes=made_classes("ground", "tumour", "stroma"))
    make_result(tmp_path / "c.zarr", blobs((100, 100)), finish=False)
    told = []
    rows = slideseg.summary(tmp_path, on_progress=told.append)

    assert [(one.done, one.total) for one in told] == [(1, 3), (2, 3), (3, 3)]
    table = pd.DataFrame(rows)
    assert table.status.tolist() == ["complete", "complete", "unfinished"]
    assert table.columns.tolist() == list(rows[0]) == list(rows[2])
    assert table.area_mm2_tumour.notna().tolist() == [False, True, False]
    assert table.result.tolist() == [str(tmp_path / f"{name}.zarr") for name in "abc"]


def test_one_result_will_do(tmp_path):
    make_result(tmp_path / "a.zarr", blobs((100, 100)))
    (row,) = slideseg.summary(tmp_path / "a.zarr")
    assert row["area_pixels_nucleus"] == pytest.approx(row["share_nucleus"] * 10_000)
