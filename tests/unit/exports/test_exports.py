"""Exports hold the result's own pixels, are written whole or not at all, and say in one line why they can't be."""

import gzip
import json
from contextlib import closing

import numpy as np
import openslide
import pytest
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from skimage.measure import label

import slideseg
from slideseg.arrays.boxes import BoxReader, levels_of
from slideseg.arrays.plan import ArrayPlan
from slideseg.errors import ConfigError, ResultError, RunError
from slideseg.exports.geojson import Style, features_of
from slideseg.exports.ome_tiff import write_ome_tiff
from slideseg.exports.run import export
from slideseg.exports.trace import trace
from slideseg.space.box import Box
from slideseg.space.grid import ShardGrid
from slideseg.storage.store import open_store
from slideseg.storage.whole_file import check_target, whole
from slideseg.viewer.shown import Shown
from tests.made_results import CLASSES, blobs, make_result

SHAPE = (700, 1100)


@pytest.fixture(scope="module")
def class_map():
    return blobs(SHAPE)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def result(class_map, image, tmp_path_factory):
    """A result with objects, and the instances."""
    path = tmp_path_factory.mktemp("exports") / "biopsy.zarr"
    return path, make_result(path, class_map, image=image, objects=True)


def collection(path):
    found = json.loads(path.read_text())
    assert list(found) == ["type", "features"]
    assert found["type"] == "FeatureCollection"
    for feature in found["features"]:
        assert feature["type"] == "Feature"
        for polygon in rings_of(feature):
            assert all(ring[0] == ring[-1] and len(ring) >= 4 for ring in polygon)
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


# --- GeoJSON ---------------------------------------------------------------------------------------------------------------


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
        again[box][inside] = feature["id"]
    assert np.array_equal(again, ids)
    assert features[0]["properties"] == {
        "objectType": "detection",
        "classification": {"name": "nucleus", "color": [255, 128, 0]},
        "measurements": {"Object ID": features[0]["id"]},
    }


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
    slide = {"path": "s.tif", "shape": [1601, 1203, 3], "level": 2, "mpp": 0.25}
    make_result(tmp_path / "x.zarr", blobs((292, 220)), factor=1.37, mpp=0.25 * scale, slide=slide)
    slideseg.objects(tmp_path / "x.zarr")
    opened = slideseg.open_result(tmp_path / "x.zarr")
    assert opened.level_0_scale == pytest.approx(scale, rel=1e-12)
    with closing(Shown(opened)) as shown:
        assert shown.facts()["scale"] == pytest.approx(scale, rel=1e-12)
    export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson")
    names = [f"bbox_{one}_px" for one in ("x0", "y0", "x1", "y1")]
    boxes = {row["id"]: [row[name] for name in names] for row in opened.table.to_pylist()}
    features = collection(tmp_path / "x.geojson")
    assert len(features) == len(boxes) > 20
    for feature in features:
        np.testing.assert_allclose(shapely.geometry.shape(feature["geometry"]).bounds, boxes[feature["id"]], atol=0.00051)


def test_a_name_that_ends_in_gz_is_compressed(result, tmp_path):
    export(result[0], "geojson", tmp_path / "x.geojson.gz")
    export(result[0], "geojson", tmp_path / "x.geojson")
    packed = (tmp_path / "x.geojson.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "x.geojson").read_bytes()
    export(result[0], "geojson", tmp_path / "y.geojson.gz")
    assert (tmp_path / "y.geojson.gz").read_bytes() == packed


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
    exact, fewer = (list(features_of(regions, 0, Style(scale, "annotation", CLASSES, simplify=s))) for s in (0, tolerance))
    for one, other in zip(exact, fewer, strict=True):
        before, after = (shapely.geometry.shape(feature["geometry"]) for feature in (one, other))
        assert after.is_valid
        assert shapely.hausdorff_distance(before.boundary, after.boundary) <= tolerance + 1e-9
        assert shapely.get_num_coordinates(after) <= shapely.get_num_coordinates(before)


def test_simplification_leaves_corners_out(result, tmp_path):
    sizes = [export(result[0], "geojson", tmp_path / f"{n}.geojson", simplify=n).bytes for n in (0, 1)]
    assert sizes[1] < 0.6 * sizes[0]


# --- OME-TIFF --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["segmentation", "objects"])
def test_every_level_of_the_tiff_is_the_stores(result, tmp_path, labels):
    path, _ = result
    export(path, "ome-tiff", tmp_path / "x.ome.tif", labels=labels)
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as tiff:
        assert tiff.is_ome
        assert len(tiff.pages) == 1
        assert len(tiff.pages[0].subifds) == len(tiff.series[0].levels) - 1 == 2
        assert tiff.pages[0].is_tiled
        for level, reader in zip(tiff.series[0].levels, levels_of(str(path), f"labels/{labels}"), strict=True):
            from_store = reader.read(Box.of_shape(reader.shape_yx))
            assert np.array_equal(level.asarray(), from_store)
        metadata = tiff.ome_metadata
    assert 'PhysicalSizeX="0.5"' in metadata
    assert ('<M K="class 2">stroma &amp; more #0000ff</M>' in metadata) == (labels == "segmentation")


def test_openslide_reads_the_tiff(result, class_map, tmp_path):
    export(result[0], "ome-tiff", tmp_path / "x.ome.tif")
    with openslide.OpenSlide(tmp_path / "x.ome.tif") as slide:
        assert slide.dimensions == SHAPE[::-1]
        pixels = np.asarray(slide.read_region((300, 200), 0, (400, 300)))
    assert np.array_equal(pixels[..., 0], class_map[200:500, 300:700])


def test_a_stack_becomes_a_tiff_of_planes(class_map, tmp_path):
    stack = np.stack([class_map[:600, :300], class_map[100:, :300], class_map[50:650, 300:600]])
    make_result(tmp_path / "x.zarr", stack, plane_axis="t", mpp=None)
    export(tmp_path / "x.zarr", "ome-tiff", tmp_path / "x.ome.tif")
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as tiff:
        assert tiff.series[0].axes == "TYX"
        assert np.array_equal(tiff.asarray(), stack)
        lower = levels_of(str(tmp_path / "x.zarr"), "labels/segmentation")[1]
        assert tiff.series[0].levels[1].shape == lower.plan.shape


def test_64_bit_ids_are_refused(tmp_path):
    plan = ArrayPlan("labels/objects/0", "yx", (10, 10), 1024, "uint64")
    with pytest.raises(ConfigError, match=r"no such pixels .*uint64.*geojson"):
        write_ome_tiff(tmp_path / "x.tif", [BoxReader(open_store(tmp_path), plan)], None, {}, lambda _: None)
    assert left(tmp_path) == []


# --- PNG -------------------------------------------------------------------------------------------------------------------


def picture(path):
    with Image.open(path) as opened:
        opened.load()
        return np.asarray(opened)


def test_at_full_size_a_pixel_is_the_image_or_mixed_with_its_class(result, class_map, image, tmp_path):
    export(result[0], "png", tmp_path / "x.png", size=SHAPE[1], opacity=0.25)
    colors = np.array([[0, 0, 0], [255, 128, 0], [0, 0, 255]])
    want = np.where(class_map[..., None] > 0, 0.75 * image + 0.25 * colors[class_map], image)
    assert np.abs(picture(tmp_path / "x.png") - want).max() <= 1


@pytest.mark.parametrize("size", [1, 37, 275, 1500])
def test_a_picture_of_any_size_does_not_depend_on_its_bands(result, tmp_path, monkeypatch, size):
    export(result[0], "png", tmp_path / "one.png", size=size)
    monkeypatch.setattr("slideseg.result.overlay.BAND_BYTES", 1)
    export(result[0], "png", tmp_path / "many.png", size=size)
    one, many = (picture(tmp_path / name).astype(int) for name in ("one.png", "many.png"))
    assert max(one.shape) == max(size, 3)
    assert np.abs(one - many).max() <= 1


def test_a_small_picture_is_read_from_a_small_level(result, class_map, image, tmp_path):
    export(result[0], "png", tmp_path / "x.png", size=275, opacity=1.0)
    shown = picture(tmp_path / "x.png").astype(float)
    assert shown.shape == (175, 275, 3)
    colors = np.array([[0, 0, 0], [255, 128, 0], [0, 0, 255]])
    full = np.where(class_map[..., None] > 0, colors[class_map], image)
    means = full.reshape(175, 4, 275, 4, 3).mean((1, 3))
    assert np.abs(shown - means).mean() < 12  # the mode of 4 x 4 pixels is not their mean


def test_without_an_image_classes_lie_on_white(class_map, tmp_path):
    make_result(tmp_path / "x.zarr", class_map[:64, :80])
    export(tmp_path / "x.zarr", "png", tmp_path / "x.png", size=80, opacity=1)
    shown = picture(tmp_path / "x.png")
    assert (shown[class_map[:64, :80] == 0] == 255).all()
    assert (shown[class_map[:64, :80] == 1] == (255, 128, 0)).all()


def test_objects_have_colours_of_their_own(result, tmp_path):
    path, ids = result
    export(path, "png", tmp_path / "x.png", size=SHAPE[1], labels="objects", opacity=1)
    shown = picture(tmp_path / "x.png")
    colors = [tuple(shown[ids == n][0]) for n in range(1, ids.max() + 1)]
    assert all((shown[ids == n] == colors[n - 1]).all() for n in range(1, ids.max() + 1))
    assert len(set(colors)) > 0.9 * len(colors)


# --- what can go wrong -----------------------------------------------------------------------------------------------------


def left(folder):
    return sorted(one.name for one in folder.iterdir())


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        ("pdf", {}, "no such format"),
        ("png", {"simplify": 1.0}, "simplify is an option of geojson"),
        ("geojson", {"size": 100}, "size is an option of png"),
        ("geojson", {"simplify": -1.0}, "simplify is out of range"),
        ("png", {"opacity": 2.0}, "opacity is out of range"),
        ("png", {"size": 0}, "size is out of range"),
        ("png", {"plane": 1}, "plane is out of range"),
        ("png", {"colour": 1}, "unknown option"),
        ("png", {"labels": "cells"}, "no such labels"),
        ("geojson", {"object_type": "cell"}, "no such type of object"),
    ],
)
def test_wrong_options_are_refused(result, tmp_path, to, options, message):
    with pytest.raises(ConfigError, match=message):
        export(result[0], to, tmp_path / "x", **options)
    assert left(tmp_path) == []


def test_a_target_that_is_there_stays(result, tmp_path):
    (tmp_path / "x.png").write_bytes(b"mine")
    with pytest.raises(ResultError, match="the target exists"):
        export(result[0], "png", tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == b"mine"
    export(result[0], "png", tmp_path / "x.png", size=10, overwrite=True)
    assert picture(tmp_path / "x.png").shape[1] == 10


@pytest.mark.parametrize(("output", "message"), [("s3://b/x.png", "local files"), ("no/x.png", "does not exist")])
def test_a_target_that_cannot_be_written(output, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultError, match=message):
        check_target(output, overwrite=False)


def test_a_folder_is_no_target(tmp_path):
    with pytest.raises(ResultError, match="is a folder"):
        check_target(tmp_path, overwrite=True)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(RunError, match=r"can't be written .*No space"), whole(tmp_path / "x.png") as partial:  # noqa: PT012
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "said"), [((13, "mine", "{}"), "Permission denied"), (("no room in {}",), "no room in {}")]
)
def test_an_error_names_the_target_not_the_file_that_becomes_it(tmp_path, arguments, said):
    target = tmp_path / "x.png"
    with pytest.raises(RunError) as caught, whole(target) as partial:
        raise OSError(*(one.format(partial) if isinstance(one, str) else one for one in arguments))
    assert str(caught.value) == f"{target} can't be written (got {said.format(target)})"


@pytest.mark.parametrize(
    "target", ["x.zarr/labels/segmentation/0/c/0/0", "x.zarr/zarr.json", "x.zarr/tables/t.png", "link/t.png"]
)
def test_a_target_inside_a_result_is_refused(class_map, tmp_path, target):
    """A result is never replaced by what is made of it."""
    make_result(tmp_path / "x.zarr", class_map[:300, :300])
    (tmp_path / "x.zarr" / "tables").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "x.zarr" / "tables")
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    with pytest.raises(ResultError, match=r"the target lies inside a Zarr store .*want a file outside .*x\.zarr\)"):
        export(tmp_path / "x.zarr", "png", tmp_path / target, overwrite=True)
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before


def test_an_unfinished_result_is_refused(class_map, tmp_path):
    make_result(tmp_path / "x.zarr", class_map, finish=False)
    with pytest.raises(ResultError, match="is unfinished"):
        export(tmp_path / "x.zarr", "png", tmp_path / "x.png")


def test_objects_that_are_not_there_are_missed(class_map, tmp_path):
    make_result(tmp_path / "x.zarr", class_map[:64, :64])
    with pytest.raises(ResultError, match=r"has no objects .*slideseg objects"):
        export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson", labels="objects")


@pytest.mark.parametrize("to", ["geojson", "ome-tiff", "png"])
@pytest.mark.parametrize("missing", [False, True])
def test_a_damaged_shard_is_one_line_and_leaves_nothing(class_map, tmp_path, to, missing):
    make_result(tmp_path / "x.zarr", class_map)
    (tmp_path / "out").mkdir()
    shard = tmp_path / "x.zarr/labels/segmentation/0/c/2/3"
    data = bytearray(shard.read_bytes())
    data[40] ^= 255
    shard.write_bytes(data)
    if missing:
        shard.unlink()
    with pytest.raises(ResultError, match=r"shard labels/segmentation/0/c/2/3 is (missing|damaged)"):
        export(tmp_path / "x.zarr", to, tmp_path / "out" / "x", **({"size": 2000} if to == "png" else {}))
    assert left(tmp_path / "out") == []


def test_progress_is_told(result, tmp_path):
    seen = []
    export(result[0], "ome-tiff", tmp_path / "x.tif", on_progress=seen.append)
    assert seen[-1].done == seen[-1].total > SHAPE[0] * SHAPE[1]
    assert seen[0].phase == "exporting"
