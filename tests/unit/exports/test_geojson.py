"""GeoJSON: features filled with exactly the pixels of objects and classes, where the slide's level 0 has them."""

import gzip
import json
import re
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

import slideseg
from slideseg.errors import ConfigError
from slideseg.exports.features import Style, features_of
from slideseg.exports.identity import OURS
from slideseg.exports.run import export
from slideseg.exports.trace import trace
from slideseg.slide.listing.names import SUFFIXES, stem
from slideseg.space.grid import ShardGrid
from slideseg.viewer.shown import Shown
from tests.made_results import CLASSES, blobs, make_result
from tests.qupath_reader import number_of, read_objects, strip_extension
from tests.unit.exports.conftest import SHAPE


def collection(path):
    found = json.loads(path.read_text())
    assert list(found) == ["type", "slideseg", "features"]
    assert found["type"] == "FeatureCollection"
    read = read_objects(path)
    assert [str(one.id) for one in read] == [feature["id"] for feature in found["features"]]
    assert len({one.id for one in read}) == len(read)
    return found["features"]


def rings_of(feature):
    coordinates = feature["geometry"]["coordinates"]
    return [coordinates] if feature["geometry"]["type"] == "Polygon" else coordinates


def filled(feature, shape, scale=1.0):
    """Return the box of a feature and which of its pixels, in the class map's size, are inside."""
    shape_ = shapely.geometry.shape(feature["geometry"])
    assert shape_.is_valid
    x0, y0, x1, y1 = (round(bound / scale) for bound in shape_.bounds)
    y, x = np.mgrid[y0:y1, x0:x1]
    return np.s_[y0:y1, x0:x1], shapely.contains_xy(shape_, (x + 0.5) * scale, (y + 0.5) * scale)


def test_one_feature_an_object_filled_with_exactly_its_pixels(result, tmp_path):
    path, ids = result
    report = export(path, "geojson", tmp_path / "x.geojson")
    features = collection(tmp_path / "x.geojson")
    assert report.labels == "objects"
    assert report.features == len(features) == ids.max()
    again = np.zeros(SHAPE, np.uint32)
    for feature in features:
        box, inside = filled(feature, SHAPE)
        assert (again[box][inside] == 0).all()
        again[box][inside] = number_of(feature)
    assert np.array_equal(again, ids)
    first = features[0]["properties"]
    assert list(first) == ["objectType", "classification", "measurements"]
    assert (first["objectType"], first["classification"]) == ("detection", {"name": "nucleus", "color": [255, 128, 0]})


def test_one_feature_a_region_of_a_class(result, class_map, tmp_path):
    path, _ = result
    export(path, "geojson", tmp_path / "x.geojson", labels="segmentation")
    features = collection(tmp_path / "x.geojson")
    again = np.zeros(SHAPE, np.uint8)
    names = {known.name: known.id for known in CLASSES}
    for feature in features:
        assert feature["properties"]["objectType"] == "annotation"
        box, inside = filled(feature, SHAPE)
        again[box][inside] = names[feature["properties"]["classification"]["name"]]
    assert np.array_equal(again, class_map)
    assert len(features) == label(class_map, connectivity=2).max()


@pytest.mark.parametrize(("factor", "level", "scale"), [(2.5, 0, 2.5), (1.0, 2, 4.0), (3.0, 0, 3.0)])
def test_coordinates_are_those_of_level_0(class_map, tmp_path, factor, level, scale):
    """Edges of pixels lie on each other on both scales: nothing is shifted by half a pixel."""
    small = class_map[:300, :200]
    slide = {"path": "s.tif", "shape": [*(int(scale * side) for side in small.shape), 3], "level": level}
    slide["scale"] = (scale / factor,) * 2
    make_result(tmp_path / "x.zarr", small, factor=factor, slide=slide)
    export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson")
    again = np.zeros(small.shape, bool)
    for feature in collection(tmp_path / "x.geojson"):
        box, inside = filled(feature, small.shape, scale)
        again[box] |= inside
    assert np.array_equal(again, small > 0)


def test_polygons_lie_where_the_table_says_though_the_number_of_pixels_was_rounded(tmp_path):
    """Level 2 of 1601 x 1203 pixels, shrunk by 1.37: 292.15 x 219.53 pixels became 292 x 220."""
    scale = 4 * 1.37
    slide = {"path": "s.tif", "shape": [1601, 1203, 3], "level": 2, "mpp": 0.25, "scale": (4.0, 4.0)}
    make_result(tmp_path / "x.zarr", blobs((292, 220)), factor=1.37, mpp=0.25 * scale, slide=slide)
    slideseg.objects(tmp_path / "x.zarr")
    opened = slideseg.open_result(tmp_path / "x.zarr")
    assert opened.level_0_scale == pytest.approx((scale, scale), rel=1e-12)
    with closing(Shown(opened)) as shown:
        assert shown.facts()["scale"] == pytest.approx({"y": scale, "x": scale}, rel=1e-12)
    export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson")
    names = [f"bbox_{one}_px" for one in ("x0", "y0", "x1", "y1")]
    boxes = {row["id"]: [row[name] for name in names] for row in opened.table.to_pylist()}
    features = collection(tmp_path / "x.geojson")
    assert len(features) == len(boxes) > 20
    for feature in features:
        np.testing.assert_allclose(shapely.geometry.shape(feature["geometry"]).bounds, boxes[number_of(feature)], atol=0.00051)


def test_a_name_that_ends_in_gz_is_compressed(result, tmp_path):
    export(result[0], "geojson", tmp_path / "x.geojson.gz")
    export(result[0], "geojson", tmp_path / "x.geojson")
    packed = (tmp_path / "x.geojson.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "x.geojson").read_bytes()
    export(result[0], "geojson", tmp_path / "y.geojson.gz")
    assert (tmp_path / "y.geojson.gz").read_bytes() == packed


@pytest.mark.parametrize(
    ("name", "member"),
    [("x.geojson.zip", "x.geojson"), ("x.json.ZIP", "x.json"), ("x.zip", "x.geojson"), ("a.b.zip", "a.b.geojson")],
)
def test_a_name_that_ends_in_zip_is_a_zip_file_that_qupath_opens(result, tmp_path, name, member):
    report = export(result[0], "geojson", tmp_path / name)
    export(result[0], "geojson", tmp_path / "y.geojson")
    with zipfile.ZipFile(tmp_path / name) as packed:
        assert packed.namelist() == [member]
        assert packed.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0), "or the same export would be another file"
        assert packed.read(member) == (tmp_path / "y.geojson").read_bytes()
    assert read_objects(tmp_path / name, since_0_4=False) == read_objects(tmp_path / "y.geojson")
    assert report.bytes < (tmp_path / "y.geojson").stat().st_size / 3
    assert report.notes == ()
    before = (tmp_path / name).read_bytes()
    export(result[0], "geojson", tmp_path / name, overwrite=True)
    assert (tmp_path / name).read_bytes() == before


def test_old_qupaths_find_nothing_in_gz_and_that_is_said(result, tmp_path):
    report = export(result[0], "geojson", tmp_path / "x.geojson.gz")
    assert read_objects(tmp_path / "x.geojson.gz", since_0_4=False) == []
    assert len(read_objects(tmp_path / "x.geojson.gz")) == report.features
    (note,) = report.notes
    assert "all open .geojson.zip" in note


def test_the_script_of_the_docs_finds_the_files_of_all_slides_but_those_it_names():
    """In a name of two endings QuPath takes off the second alone, but for those that it knows."""
    page = (Path(__file__).parents[3] / "docs" / "notebooks.md").read_text(encoding="utf-8")
    script = page.split("```groovy\n")[1].split("```")[0]
    calls = re.findall(r"(\w+)\(", script)
    assert calls == ["importObjectsFromFile", "getCurrentImageNameWithoutExtension", "fireHierarchyUpdate"]
    (ending,) = re.findall(r'"(\.[\w.]+)"', script)
    assert ending == ".geojson.zip"
    others = {suffix for suffix in SUFFIXES if strip_extension(f"a.b-1{suffix}") != stem(f"a.b-1{suffix}")}
    assert others == {".ome.btf", ".ome.tf8", ".zarr.zip"}
    assert all(f"`{suffix}`" in page for suffix in others)


def test_planes_of_a_stack_are_named(class_map, tmp_path):
    stack = np.stack([class_map[:100, :100], class_map[100:200, :100]])
    make_result(tmp_path / "x.zarr", stack, plane_axis="z")
    export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson")
    planes = [feature["geometry"]["plane"] for feature in collection(tmp_path / "x.geojson")]
    assert {plane["z"] for plane in planes} == {0, 1}
    assert planes[0] == {"c": -1, "z": 0, "t": 0}


@settings(max_examples=40)
@given(arrays(np.uint8, (14, 17), elements=st.integers(0, 2)), st.sampled_from([0.5, 1.0, 2.5]), st.floats(1, 3))
def test_a_simplified_outline_stays_within_the_tolerance(labels, tolerance, scale):
    regions = next(iter(trace(ShardGrid(labels.shape, 1, 64), lambda box: labels[box.slices])))
    exact, fewer = (
        list(features_of(regions, 0, Style((scale, scale), "annotation", CLASSES, OURS, simplify=s))) for s in (0, tolerance)
    )
    for one, other in zip(exact, fewer, strict=True):
        before, after = (shapely.geometry.shape(feature["geometry"]) for feature in (one, other))
        assert after.is_valid
        assert shapely.hausdorff_distance(before.boundary, after.boundary) <= tolerance + 1e-9
        assert shapely.get_num_coordinates(after) <= shapely.get_num_coordinates(before)


@pytest.mark.parametrize("labels", ["objects", "segmentation"])
def test_ids_are_those_of_the_same_result_each_time(result, class_map, tmp_path, labels):
    """QuPath tells objects apart by them, so those of two slides, or of two models on one, must not be the same."""
    other = tmp_path / "other.zarr"
    make_result(other, class_map, objects=True, table=True, slide={"path": "another.tif", "fingerprint": "another"})
    read = {}
    for name, url in {"a": result[0], "b": result[0], "c": other}.items():
        export(url, "geojson", tmp_path / f"{name}.geojson", labels=labels)
        read[name] = [one.id for one in read_objects(tmp_path / f"{name}.geojson")]
    assert (tmp_path / "a.geojson").read_bytes() == (tmp_path / "b.geojson").read_bytes()
    assert {one.version for one in read["a"]} == {5}
    assert len(read["c"]) == len(read["a"])
    assert not set(read["a"]) & set(read["c"])


def test_names_of_regions_and_of_objects_differ(result, tmp_path):
    for labels in ("objects", "segmentation"):
        export(result[0], "geojson", tmp_path / f"{labels}.geojson", labels=labels)
    both = [{one.id for one in read_objects(tmp_path / f"{labels}.geojson")} for labels in ("objects", "segmentation")]
    assert not both[0] & both[1]


def test_the_names_of_regions_do_not_depend_on_shards(class_map):
    style = Style((1.0, 1.0), "annotation", CLASSES, OURS)
    found = [
        {feature["id"]: feature["geometry"]["coordinates"] for part in regions for feature in features_of(part, 0, style)}
        for regions in (trace(ShardGrid(SHAPE, 1, side), lambda box: class_map[box.slices]) for side in (256, 2048))
    ]
    assert found[0] == found[1]


def test_simplification_leaves_corners_out(result, tmp_path):
    names = {n: tmp_path / f"{n}.geojson" for n in (0, 1)}
    with pytest.raises(ConfigError, match="regions of classes have no measurements"):
        export(result[0], "geojson", names[0], labels="segmentation", measurements=True)
    sizes = [export(result[0], "geojson", names[n], simplify=n, measurements=False).bytes for n in names]
    assert sizes[1] < 0.7 * sizes[0]
