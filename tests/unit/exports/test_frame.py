"""Files say what their coordinates are counted from, and it is what programs that read them count from."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

import slideseg
from slideseg.errors import ConfigError
from slideseg.exports.run import export
from slideseg.space.box import Box
from tests.made_results import make_result

BOUNDS = Box(100, 200, 700, 900)
SCALE = (2.0, 4.0)
MPP = (0.5, 0.25)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A result of a slide with bounds and of pixels that are not square, with one object: rows 60 to 69, columns 80 to 99."""
    class_map = np.zeros((400, 250), np.uint8)
    class_map[60:70, 80:100] = 1
    path = tmp_path_factory.mktemp("frames") / "x.zarr"
    facts = {"shape": (800, 1000, 3), "mpp": MPP, "scale": SCALE, "level": 1, "bounds": BOUNDS}
    make_result(path, class_map, slide=facts, image=np.full((400, 250, 3), 200, np.uint8))
    slideseg.objects(path)
    return path


@pytest.mark.parametrize(("frame", "corner"), [(None, (200, 100)), ("bounds", (200, 100)), ("slide", (0, 0))])
def test_geojson_counts_from_the_bounds_unless_told_otherwise(scanned, tmp_path, frame, corner):
    export(scanned, "geojson", tmp_path / "x.geojson", frame=frame)
    found = json.loads((tmp_path / "x.geojson").read_text())
    x, y = corner
    (feature,) = found["features"]
    assert shapely.geometry.shape(feature["geometry"]).bounds == (320 - x, 120 - y, 400 - x, 140 - y)
    assert found["slideseg"]["frame"] == (frame or "bounds")
    assert found["slideseg"]["frame_corner_xy"] == [x, y]


@pytest.mark.parametrize(("frame", "corner"), [(None, (0, 0)), ("bounds", (200, 100)), ("slide", (0, 0))])
@pytest.mark.parametrize("to", ["parquet", "csv"])
def test_tables_count_from_the_slide_unless_told_otherwise(scanned, tmp_path, to, frame, corner):
    export(scanned, to, tmp_path / "x", frame=frame)
    if to == "parquet":
        table = pq.read_table(tmp_path / "x")
        (row,), said = table.to_pylist(), json.loads(table.schema.metadata[b"slideseg"])
        assert said["frame_corner_xy"] == list(corner)
    else:
        with (tmp_path / "x").open(newline="") as file:
            (row,) = csv.DictReader(file)
        said = row
    assert said["frame"] == (frame or "slide")
    x, y = corner
    want = {"bbox_x0": 320 - x, "bbox_x1": 400 - x, "centroid_x": 360 - x, "bbox_y0": 120 - y, "bbox_y1": 140 - y}
    for name, pixels in want.items():
        microns = pixels * MPP["yx".index(name[-2] if name.startswith("bbox") else name[-1])]
        assert (float(row[f"{name}_px"]), float(row[f"{name}_um"])) == pytest.approx((pixels, microns))
    assert float(row["area_um2"]) == pytest.approx(10 * 1.0 * 20 * 1.0)
    assert float(row["area_px"]) == pytest.approx(20 * 80)


@pytest.mark.parametrize(("frame", "shape", "x"), [(None, (200, 250), 360), ("bounds", (150, 175), 160)])
def test_places_in_anndata_fit_its_picture(scanned, tmp_path, frame, shape, x):
    """The picture of level 0, 800 x 1000, a quarter as large; or of its bounds."""
    anndata = pytest.importorskip("anndata", reason="the extra slideseg[anndata] is not installed")
    export(scanned, "anndata", tmp_path / "x.h5ad", frame=frame)
    read = anndata.read_h5ad(tmp_path / "x.h5ad")
    picture = read.uns["spatial"]["slide"]
    assert picture["scalefactors"]["tissue_hires_scalef"] == 0.4
    assert picture["images"]["hires"].shape == (*(round(side * 1.6) for side in shape), 3)
    assert read.obsm["spatial"][0, 0] == x
    assert read.uns["slideseg"]["frame"] == (frame or "slide")


def test_a_slide_without_bounds_has_one_frame(measured, tmp_path):
    export(measured, "geojson", tmp_path / "a.geojson", frame="bounds")
    export(measured, "geojson", tmp_path / "b.geojson", frame="slide")
    assert (tmp_path / "a.geojson").read_bytes() == (tmp_path / "b.geojson").read_bytes()
    assert json.loads((tmp_path / "a.geojson").read_text())["slideseg"]["frame"] == "slide"


def test_a_frame_goes_with_coordinates(measured, tmp_path):
    with pytest.raises(ConfigError, match=r"frame is an option of geojson, parquet, csv, anndata \(got --to png"):
        export(measured, "png", tmp_path / "x.png", frame="slide")
    with pytest.raises(ConfigError, match="frame can't be like that"):
        export(measured, "csv", tmp_path / "x.csv", frame="bound")
