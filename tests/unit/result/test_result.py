"""What a finished result tells of itself, and of what it has lost."""

import json
from pathlib import Path

import numpy as np
import pytest

import slideseg
from slideseg.cli.info import facts_of
from slideseg.errors import ResultError
from tests.made_results import make_result


@pytest.fixture
def made(tmp_path):
    """A result with two objects, one across a seam."""
    class_map = np.zeros((300, 400), np.uint8)
    class_map[250:260, 10:20] = class_map[5:9, 5:9] = 1
    make_result(tmp_path / "x.zarr", class_map)
    slideseg.objects(tmp_path / "x.zarr")
    return str(tmp_path / "x.zarr")


def test_a_missing_table_of_objects_is_an_error(made):
    Path(made, "tables/objects.parquet").unlink()
    result, missing = slideseg.open_result(made), r"^tables/objects\.parquet is missing \(try slideseg objects "
    with pytest.raises(ResultError, match=missing):
        _ = result.table
    with pytest.raises(ResultError, match=missing):
        result.object_counts()
    assert "objects" not in facts_of(made)
    assert facts_of(made)["error"].startswith("tables/objects.parquet is missing")
    assert slideseg.objects(made).computed == 0
    assert result.table.num_rows == 2


def test_a_result_is_named_in_a_line(made, tmp_path):
    result = slideseg.open_result(made)
    assert repr(result) == f"<Result {made}: 300 x 400 px; nucleus, stroma & more; objects: 2>"
    Path(made, "tables/objects.parquet").write_bytes(b"no table")
    assert repr(result).endswith("; objects: 2>"), "no table is read"
    assert '<th style="text-align:left">objects</th><td style="text-align:left">2</td>' in result._repr_html_()
    Path(made, "labels/segmentation/zarr.json").unlink()
    assert repr(result) == f"<Result {made}: can't be read>"
    make_result(tmp_path / "y.zarr", np.zeros((2, 30, 40), np.uint8), plane_axis="z")
    assert repr(slideseg.open_result(tmp_path / "y.zarr")).endswith("y.zarr: 2 x 30 x 40 px; nucleus, stroma & more>")


def test_a_result_without_the_number_of_its_objects_is_named_all_the_same(made):
    file = Path(made, "labels/objects/0/zarr.json")
    said = json.loads(file.read_text())
    del said["attributes"]["slideseg"]["number"]
    file.write_text(json.dumps(said))
    assert repr(slideseg.open_result(made)).endswith("nucleus, stroma & more>")
