"""Each polygon has the numbers of its own row of the table, under names that QuPath's users know."""

import numpy as np
import pyarrow.parquet as pq
import pytest

import slideseg
from slideseg.errors import ResultError
from slideseg.exports import measured as module
from slideseg.exports.frame import frame_of
from slideseg.exports.measured import FIGURES, Measured, rounded
from slideseg.exports.rows import checked_table
from slideseg.exports.run import export
from slideseg.instances import strips
from slideseg.result import table as result_table
from slideseg.result.layout import TABLE
from tests.made_results import blobs, make_result
from tests.qupath_reader import read_objects

NAMES = {
    "Object ID": "id",
    "Pixels": "pixels",
    "Area µm^2": "area_um2",
    "Perimeter µm": "perimeter_um",
    "Major axis µm": "major_axis_um",
    "Minor axis µm": "minor_axis_um",
    "Eccentricity": "eccentricity",
    "Orientation": "orientation",
    "Solidity": "solidity",
    "Mean red": "mean_red",
    "Mean green": "mean_green",
    "Mean blue": "mean_blue",
}


def as_written(value):
    return value if isinstance(value, int) else float(f"{value:.{FIGURES}g}")


@pytest.mark.parametrize("most", [module.MOST_BYTES, 1])
def test_every_object_has_its_row(tmp_path, monkeypatch, most):
    """With row groups of 20 objects, which a row of shards spreads over all its shards, and with one group kept at a time."""
    monkeypatch.setattr(strips, "ROWS", 20)
    monkeypatch.setattr(module, "MOST_BYTES", most)
    image = np.random.default_rng(1).integers(0, 256, (700, 1100, 3)).astype(np.uint8)
    make_result(tmp_path / "x.zarr", blobs((700, 1100)), image=image)
    slideseg.objects(tmp_path / "x.zarr", min_area=10)
    export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson")
    rows = {row["id"]: row for row in slideseg.open_result(tmp_path / "x.zarr").table.to_pylist()}
    read = read_objects(tmp_path / "x.geojson")
    assert pq.ParquetFile(tmp_path / "x.zarr" / TABLE).num_row_groups > 10
    assert len(read) == len(rows) > 300
    for one in read:
        row = rows[one.measurements["Object ID"]]
        known = {name: as_written(row[column]) for name, column in NAMES.items() if row.get(column) is not None}
        assert one.measurements == known
        assert one.name == row["class_name"]
        assert one.shape.area * 0.25 == pytest.approx(row["area_um2"])


def test_lengths_are_in_pixels_where_their_size_is_not_known(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((100, 120)), mpp=None, objects=True, table=True)
    export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson")
    names = {name for one in read_objects(tmp_path / "x.geojson") for name in one.measurements}
    assert {"Area px^2", "Perimeter px", "Major axis px"} < names
    assert not {name for name in names if "µm" in name}


def test_what_is_not_known_is_left_out(result, tmp_path):
    """The table has a column of probabilities, in which there is none."""
    export(result[0], "geojson", tmp_path / "x.geojson")
    assert "probability" in slideseg.open_result(result[0]).table.column_names
    assert all("Probability" not in one.measurements for one in read_objects(tmp_path / "x.geojson"))


def test_without_measurements_the_number_stays_and_no_table_is_needed(class_map, tmp_path):
    make_result(tmp_path / "x.zarr", class_map, objects=True)
    with pytest.raises(ResultError, match=r"tables/objects\.parquet is missing"):
        export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson")
    export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson", measurements=False)
    assert all(list(one.measurements) == ["Object ID"] for one in read_objects(tmp_path / "x.geojson"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.slice(0, 10), "no row of object"),
        (lambda rows: rows.slice(1), "the ids are not 1, 2"),
        (lambda rows: rows.drop_columns("id"), "the ids are not 1, 2"),
        (
            lambda rows: rows.drop_columns("pixels").append_column("pixels", rows["class_name"]),
            "is damaged .got Failed to parse",
        ),
    ],
)
def test_a_table_of_other_objects_is_damaged(result, tmp_path, monkeypatch, change, message):
    monkeypatch.setattr(result_table, "_compare_hash", lambda *_: None)
    opened = slideseg.open_result(result[0])
    with checked_table(opened, frame_of(opened, "slide")) as table:
        rows = table.file.read()
        pq.write_table(change(rows), tmp_path / "other.parquet")
        with pq.ParquetFile(tmp_path / "other.parquet") as file, pytest.raises(ResultError, match=message):
            Measured(type(table)(file, opened, table.frame)).of(np.array([1, 11]))


def test_groups_that_are_kept_have_a_bound(measured, tmp_path, monkeypatch):
    opened = slideseg.open_result(measured)
    with checked_table(opened, frame_of(opened, "slide")) as table:
        rows = table.file.read()
        pq.write_table(rows, tmp_path / "other.parquet", row_group_size=10)
        with pq.ParquetFile(tmp_path / "other.parquet") as file:
            found = Measured(type(table)(file, opened, table.frame))
            monkeypatch.setattr(module, "MOST_BYTES", 5000)
            found.of(np.arange(1, len(rows) + 1))
            assert 1 < len(found._kept) < 10
            assert sum(column.nbytes for columns in found._kept.values() for column in columns.values()) <= 5000
            assert found.of(np.array([3]))[0]["Pixels"] == rows["pixels"][2].as_py()


def test_rounding_keeps_figures_and_what_is_no_number():
    values = np.array([12.3456789, 1.23456789e-7, 0.0, -98765432.1, np.nan, 255.0])
    assert rounded(values)[:4].tolist() == [12.3457, 1.23457e-07, 0.0, -98765432.0]
    assert np.isnan(rounded(values)[4])
    assert rounded(values)[5] == 255
