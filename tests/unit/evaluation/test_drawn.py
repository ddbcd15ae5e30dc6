"""Polygons are a truth like any other: the same numbers as of the label image that they were made from."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

import slideseg
from slideseg.errors import ConfigError, DataError
from slideseg.evaluation import blocks
from slideseg.evaluation.run import evaluate
from slideseg.polygons import IGNORED
from slideseg.space.box import Box
from slideseg.testing.records import made_classes
from slideseg.training.recipe import data as recipe
from tests.made_results import blobs, make_result

SHAPE = (300, 400)
FAMILIES = "semantic,instances"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A result of two classes with objects, and another of the same image."""
    folder = tmp_path_factory.mktemp("drawn")
    for name, seed in (("x", 0), ("y", 3)):
        make_result(folder / f"{name}.zarr", blobs(SHAPE, seed))
        slideseg.objects(folder / f"{name}.zarr")
    return folder / "x.zarr", folder / "y.zarr"


def drawn(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def feature(name, y0, x0, y1, x1):
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    properties = {} if name is None else {"classification": {"name": name, "color": [1, 2, 3]}}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


@pytest.mark.parametrize("ending", [".geojson", ".json", ".geojson.gz", ".geojson.zip"])
def test_polygons_of_a_result_give_its_own_scores(result, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(blocks, "BLOCK", 64)
    truth, prediction = result
    named = tmp_path / f"x.geojson{ending.removeprefix('.geojson').removeprefix('.json')}"
    slideseg.export(truth, "geojson", named)
    path = named.rename(tmp_path / f"x{ending}")
    against_labels = evaluate(prediction, truth, FAMILIES)
    against_polygons = evaluate(prediction, path, FAMILIES)
    assert against_polygons.instances == against_labels.instances
    assert against_polygons.semantic == against_labels.semantic
    assert 0 < against_polygons.semantic.dice < 1
    assert "instances: predicted objects are the result's, true ones polygons" in against_polygons.notes
    perfect = evaluate(truth, path, FAMILIES)
    assert (perfect.semantic.dice, perfect.instances.ap, perfect.instances.truth) == (1, 1, perfect.instances.predicted)


def test_folders_are_matched_by_name_and_slides_may_lie_beside_the_polygons(result, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "truths").mkdir()
    for name in ("a", "b.1", "c"):
        shutil.copytree(result[0], tmp_path / "results" / f"{name}.zarr")
    for name in ("a.geojson", "b.1.geojson.zip", "d.geojson"):
        slideseg.export(result[1], "geojson", tmp_path / "truths" / name)
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(tmp_path / "truths" / "a.png")
    report = evaluate(tmp_path / "results", tmp_path / "truths", FAMILIES)
    assert [image.name for image in report.images] == ["a", "b.1"]
    assert report.unmatched == ("c", "d")
    assert report.images[0].instances == report.images[1].instances == evaluate(*result, FAMILIES).instances
    (tmp_path / "truths" / "a.json").write_text("{}")
    with pytest.raises(DataError, match=r"two files of polygons of one name .*a\.geojson and a\.json"):
        evaluate(tmp_path / "results", tmp_path / "truths")


def test_a_coarser_result_is_compared_at_level_0(tmp_path):
    small = blobs((150, 200))
    slide = {"path": "s.tif", "shape": (300, 400, 3)}
    make_result(tmp_path / "x.zarr", small, slide=slide, factor=2.0)
    slideseg.objects(tmp_path / "x.zarr")
    slideseg.export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson")
    truth = tmp_path / "truth.png"
    Image.fromarray(np.kron(small, np.ones((2, 2), np.uint8))).save(truth)
    report, of_pixels = (evaluate(tmp_path / "x.zarr", one, FAMILIES) for one in (tmp_path / "x.geojson", truth))
    assert report.semantic.dice == report.instances.ap == 1
    assert report.semantic == of_pixels.semantic


@pytest.mark.parametrize(("frame", "corner"), [(None, (30, 40)), ("bounds", (30, 40)), ("slide", (0, 0))])
def test_coordinates_count_from_the_bounds_unless_told_otherwise(tmp_path, frame, corner):
    class_map = np.zeros((200, 200), np.uint8)
    class_map[60:80, 90:100] = 1
    slide = {"path": "s.mrxs", "shape": (200, 200, 3), "bounds": Box(30, 40, 180, 180)}
    make_result(tmp_path / "x.zarr", class_map, slide=slide, classes=made_classes("background", "nucleus"))
    y, x = corner
    path = drawn(tmp_path / "x.geojson", feature("Nucleus", 60 - y, 90 - x, 80 - y, 100 - x))
    assert evaluate(tmp_path / "x.zarr", path, frame=frame).semantic.dice == 1
    other = "bounds" if frame == "slide" else "slide"
    assert evaluate(tmp_path / "x.zarr", path, frame=other).semantic.dice == 0


def test_what_is_ignored_counts_on_neither_side(tmp_path):
    """A find in it is no false one, and half of a pair of objects is cut off on both sides."""
    class_map = np.zeros((100, 100), np.uint8)
    class_map[10:30, 10:30] = class_map[60:80, 10:30] = class_map[40:50, 40:50] = 1
    make_result(tmp_path / "x.zarr", class_map, classes=made_classes("background", "nucleus"))
    slideseg.objects(tmp_path / "x.zarr")
    features = [feature(None, 10, 10, 30, 30), feature("Ignore*", 55, 5, 85, 35), feature("ignored too", 45, 40, 50, 50)]
    path = drawn(tmp_path / "x.geojson", *features, feature("nucleus", 40, 40, 45, 50))
    report = evaluate(tmp_path / "x.zarr", path, FAMILIES)
    assert (report.semantic.dice, report.semantic.pixel_accuracy) == (1, 1)
    assert (report.instances.f1, report.instances.predicted, report.instances.truth) == (1, 2, 2)
    assert report.notes[0].startswith("ignored: ")
    without = drawn(tmp_path / "y.geojson", features[0], feature("nucleus", 40, 40, 45, 50))
    assert evaluate(tmp_path / "x.zarr", without, FAMILIES).instances.predicted == 3
    with pytest.raises(ConfigError, match=r"has polygons called Ignore\* \(want none: isbi"):
        evaluate(tmp_path / "x.zarr", path, "isbi")


def test_ignored_is_the_same_number_where_it_is_taught():
    assert recipe.IGNORED == IGNORED


def test_one_kind_of_object_is_compared_with_objects_and_their_border(tmp_path):
    """Nobody draws borders: the outline of a nucleus holds nucleus and border."""
    class_map = np.zeros((100, 100), np.uint8)
    class_map[10:30, 10:30] = 2
    class_map[12:28, 12:28] = 1
    make_result(tmp_path / "x.zarr", class_map, classes=made_classes("background", "nucleus", "border"))
    path = drawn(tmp_path / "x.geojson", feature(None, 10, 10, 30, 30))
    semantic = evaluate(tmp_path / "x.zarr", path).semantic
    assert (semantic.compared, semantic.dice, semantic.pixel_accuracy) == ("foreground", 1, 1)


def test_one_drawn_class_of_several_is_compared_with_its_own(result, tmp_path):
    class_map = np.zeros((100, 100), np.uint8)
    class_map[10:30, 10:30], class_map[50:60, 50:60] = 1, 2
    make_result(tmp_path / "x.zarr", class_map)
    path = drawn(tmp_path / "x.geojson", feature("nucleus", 10, 10, 30, 30))
    scores = {score.name: score.dice for score in evaluate(tmp_path / "x.zarr", path).semantic.classes}
    assert (scores["nucleus"], scores["stroma & more"]) == (1, 0)
    with pytest.raises(DataError, match=r"class that the model does not have \(got Tumor, want background or nucleus or"):
        evaluate(tmp_path / "x.zarr", drawn(tmp_path / "y.geojson", feature("Tumor", 1, 1, 9, 9)))
    with pytest.raises(DataError, match="unknown class"):
        evaluate(tmp_path / "x.zarr", drawn(tmp_path / "y.geojson", feature(None, 1, 1, 9, 9)))


def test_a_plain_image_is_compared_with_polygons_of_any_name(tmp_path):
    mask = np.zeros((50, 60), np.uint8)
    mask[10:20, 10:30] = 255
    path = drawn(tmp_path / "x.geojson", feature("whatever", 10, 10, 20, 30), feature("Ignore*", 0, 0, 5, 5))
    for prediction in (mask, mask // 255, np.where(mask > 0, 300, 0).astype(np.uint16)):
        report = evaluate(prediction, path, FAMILIES)
        assert (report.semantic.dice, report.instances.f1, report.instances.truth) == (1, 1, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: drawn(path, feature("a", 100, 100, 120, 120)), r"a polygon lies outside the image .*want 50 x 60"),
        (lambda path: path.write_text("no"), "can't be read"),
    ],
)
def test_polygons_that_do_not_fit_are_one_line(tmp_path, make, message):
    make(tmp_path / "x.geojson")
    with pytest.raises(DataError, match=message):
        evaluate(np.zeros((50, 60), np.uint8), tmp_path / "x.geojson")


def test_polygons_of_a_stack_and_a_frame_of_pixels_are_refused(tmp_path):
    path = drawn(tmp_path / "x.geojson", feature("a", 1, 1, 2, 2))
    with pytest.raises(ConfigError, match=r"holds polygons \(got 3 planes, want one image"):
        evaluate(np.zeros((3, 50, 60), np.uint8), path)
    with pytest.raises(ConfigError, match="--frame is of polygons"):
        evaluate(np.zeros((50, 60), np.uint8), np.zeros((50, 60), np.uint8), frame="slide")
    (tmp_path / "x.csv").write_text("y,x\n1,1\n")
    with pytest.raises(ConfigError, match="--frame is of polygons"):
        evaluate(np.zeros((50, 60), np.uint8), tmp_path / "x.csv", distance="6px", frame="slide")


def test_a_zip_file_of_several_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.geojson.zip", "w") as packed:
        for name in ("a.geojson", "b.geojson"):
            packed.writestr(name, "{}")
    with pytest.raises(DataError, match=r"can't be used \(got a.geojson, b.geojson, want one file of GeoJSON in it"):
        evaluate(np.zeros((50, 60), np.uint8), tmp_path / "x.geojson.zip")
