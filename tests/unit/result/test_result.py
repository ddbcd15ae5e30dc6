"""What a finished result tells of itself, and of what it has lost."""

import json
from pathlib import Path

import numpy as np
import pytest

import slideseg
from slideseg.cli.info import facts_of
from slideseg.errors import ResultError
from slideseg.slide.facts import Channel
from slideseg.space.box import Box
from slideseg.verification import verify
from tests.damage import rewrite
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


def test_objects_of_another_version_are_refused_in_one_line(made):
    file = Path(made, "labels/objects/0/zarr.json")
    said = json.loads(file.read_text())
    del said["attributes"]["slideseg"]["number"]
    file.write_text(json.dumps(said))
    result = slideseg.open_result(made)
    assert repr(result) == f"<Result {made}: can't be read>"
    message = r"objects' description can't be used \(got number: .*slideseg objects --overwrite"
    for look in (lambda: result.objects_record, result.object_counts, lambda: slideseg.objects(made)):
        with pytest.raises(ResultError, match=message):
            look()
    assert verify(made).bad_keys == ("labels/objects/0/zarr.json",)
    assert slideseg.objects(made, overwrite=True).number == 2
    assert verify(made).ok


def test_a_result_of_another_version_is_refused_in_one_line(made):
    rewrite(Path(made, "zarr.json"), lambda said: said["slideseg"]["run"].update(format="slideseg-result/2"))
    with pytest.raises(
        ResultError, match=r"of another version of slideseg \(got slideseg-result/2, want slideseg-result/3; try .*--overwrite"
    ):
        slideseg.open_result(made)
    assert facts_of(made)["error"].startswith("the result is of another version of slideseg")


def test_what_is_said_of_the_slide_has_one_number_too(tmp_path):
    bounds = Box(10, 20, 300, 400)
    facts = {
        "mpp": (0.5, 0.125),
        "bounds": bounds,
        "channels": (Channel("DAPI", "#0000ff"),),
        "z_step": 2.0,
        "origin": (3.0, -4.0),
    }
    make_result(tmp_path / "x.zarr", np.zeros((300, 400), np.uint8), slide=facts)
    result = slideseg.open_result(tmp_path / "x.zarr")
    assert result.info["slide"]["mpp"] == result.record.slide.mpp == pytest.approx(0.25)
    assert result.info["slide"]["mpp_yx"] == [0.5, 0.125]
    slide = result.record.slide
    assert (slide.bounds, slide.channels) == (bounds, facts["channels"])
    assert (slide.z_step, slide.origin) == (2.0, (3.0, -4.0))


def test_the_table_says_what_it_counts_from(made):
    said = json.loads(slideseg.open_result(made).table.schema.metadata[b"slideseg"])
    assert said == {"frame": "slide", "frame_corner_xy": [0, 0]}
