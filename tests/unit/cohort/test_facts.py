"""One result as a row: every number is the one that ``slideseg info`` tells."""

import json

import numpy as np
import pytest

import slideseg
from slideseg.cli.info import facts_of as info_of
from slideseg.cohort.facts import COUNTED, FIXED, OF_CLASS, columns_of, facts_of, filled
from slideseg.result.found import areas
from slideseg.testing.records import made_classes
from tests.damage import rewrite
from tests.made_results import blobs, make_result


@pytest.fixture
def made(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((500, 600)), mpp=(0.5, 0.25))
    slideseg.objects(tmp_path / "x.zarr")
    return tmp_path / "x.zarr"


def test_numbers_are_those_of_info(made):
    row, told = facts_of(made), info_of(str(made))
    by_class = {entry["class"]: entry for entry in told["objects"]}

    assert (row["result"], row["slide"], row["status"], row["error"]) == (str(made), "a slide.tif", "complete", None)
    assert (row["tissue_mm2"], row["areas_exact"]) == (pytest.approx(told["area_mm2"], abs=1e-6), True)
    assert row["pixels"] == row["tissue_pixels"] == 500 * 600
    assert not row["tissue_known"]
    assert row["objects"] == sum(entry["count"] for entry in told["objects"])
    for name, entry in by_class.items():
        assert {said: row[f"{column}_{name}"] for column, said in COUNTED.items()} == {
            said: entry[said] for said in COUNTED.values()
        }
        share = told["class_areas"]["shares"][name]
        assert row[f"area_pixels_{name}"] == round(share * row["pixels"])
        assert row[f"area_mm2_{name}"] == pytest.approx(share * row["pixels"] * 0.125e-6)
        assert row[f"share_{name}"] == pytest.approx(share)


def test_numbers_are_those_of_the_table_and_the_class_map(made):
    row, result = facts_of(made), slideseg.open_result(made)
    table, class_map = result.table.to_pandas(), result.segmentation.compute()
    assert row["objects"] == len(table)
    assert row["median_um2"] == pytest.approx(table.area_um2.median())
    assert row["median_pixels"] == table.pixels.median()
    assert row["per_mm2"] == pytest.approx(len(table) / (class_map.size * 0.125e-6), abs=1e-3)
    assert row["covered"] == pytest.approx(table.pixels.sum() / class_map.size, abs=1e-6)
    for name, mine in table.groupby("class_name"):
        assert (row[f"objects_{name}"], row[f"median_pixels_{name}"]) == (len(mine), mine.pixels.median())
    assert row["area_pixels_nucleus"] == (class_map == 1).sum()


def test_shares_and_densities_are_of_tissue(made):
    before = facts_of(made)
    rewrite(made / "zarr.json", lambda said: said["slideseg"].update(tissue_pixels=100_000, skipped_pixels=150_000))
    after = facts_of(made)
    assert (after["tissue_known"], after["tissue_pixels"], after["tissue_mm2"]) == (True, 100_000, 0.0125)
    assert after["area_mm2_nucleus"] == before["area_mm2_nucleus"]
    for name in ("share_nucleus", "per_mm2", "per_mm2_nucleus", "covered"):
        assert after[name] == pytest.approx(3 * before[name], rel=1e-4), name


def test_without_microns_there_are_pixels(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)), mpp=None)
    slideseg.objects(tmp_path / "x.zarr")
    row = facts_of(tmp_path / "x.zarr")
    empty = {name for name, value in row.items() if value is None}
    unknown = {f"{what}{of}" for what in ("per_mm2", "median_um2", "probability") for of in ("", "_nucleus", "_stroma & more")}
    assert empty == {"error", "warnings", "mpp", "tissue_mm2", "area_mm2_nucleus", "area_mm2_stroma & more"} | unknown
    assert row["median_pixels"] > 0


def test_without_objects_there_are_areas(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)))
    row = facts_of(tmp_path / "x.zarr")
    assert row["area_mm2_nucleus"] > 0
    assert {row[name] for name in COUNTED} == {None}
    assert not any(name.startswith("objects_") for name in row)


def test_areas_of_a_coarser_level_say_so(made, monkeypatch):
    monkeypatch.setattr(areas, "MOST_PIXELS", 1000)
    assert facts_of(made)["areas_exact"] is False


def test_an_unfinished_result_has_a_row(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)), finish=False)
    row = facts_of(tmp_path / "x.zarr")
    assert (row["status"], row["slide"], row["model"], row["pixels"]) == ("unfinished", "a slide.tif", "made", 90_000)
    assert "unfinished" in row["error"]
    assert set(row) == set(FIXED)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("zarr.json", lambda data: data[:50], "zarr.json is damaged"),
        ("zarr.json", lambda data: data.replace(b"slideseg-result/3", b"slideseg-result/9"), "zarr.json is damaged"),
        ("labels/segmentation/0/c/0/0", lambda data: data[:-200], "damaged"),
        ("labels/segmentation/zarr.json", lambda data: data[:20], "labels/segmentation"),
        ("tables/objects.parquet", lambda data: data[:-1], "objects.parquet"),
    ],
)
def test_a_damaged_result_has_a_row_that_says_why(made, file, change, said):
    (made / file).write_bytes(change((made / file).read_bytes()))
    row = facts_of(made)
    assert (row["status"], said in row["error"], row["error"].count("\n")) == ("unreadable", True, 0), row["error"]
    assert row["objects"] is None
    assert (row.get("area_mm2_nucleus") is not None) == (file == "tables/objects.parquet")


def test_columns_of_several_results_are_in_a_stable_order(tmp_path):
    for name, classes in (("a", ("ground", "tumour", "mm2_x")), ("b", ("ground", "stroma", "tumour"))):
        make_result(tmp_path / name, blobs((100, 100)), classes=made_classes(*classes))
    slideseg.objects(tmp_path / "b")
    rows = [facts_of(tmp_path / name) for name in "ab"]
    columns = columns_of(rows)
    assert columns == columns_of([rows[0], rows[1], rows[0]])
    own = [f"{what}_{name}" for name in ("tumour", "mm2_x", "stroma") for what in OF_CLASS]
    assert columns == [*FIXED, *(name for name in own if not (name.endswith("mm2_x") and name.startswith(tuple(COUNTED))))]
    assert [list(row) for row in filled(rows)] == [columns, columns]
    assert filled(rows)[0]["objects_stroma"] is None
    assert filled([]) == []


def test_no_columns_name_can_be_read_in_two_ways():
    assert not any(a != b and f"{b}_".startswith(f"{a}_") for a in OF_CLASS for b in OF_CLASS)
    assert not any(fixed.startswith(f"{what}_") for fixed in FIXED for what in OF_CLASS)


def test_rows_are_finite(tmp_path):
    make_result(tmp_path / "x.zarr", np.zeros((64, 64), np.uint8))
    slideseg.objects(tmp_path / "x.zarr")
    row = facts_of(tmp_path / "x.zarr")
    assert (row["objects"], row["per_mm2"], row["median_um2"]) == (0, 0.0, None)
    json.dumps(row, allow_nan=False)
