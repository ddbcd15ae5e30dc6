import gzip
import json
import zipfile
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slideseg.errors import DataError
from slideseg.polygons import fill
from slideseg.space.box import Box
from slideseg.training.data.annotations import PolygonLabels, read_annotations
from slideseg.training.data.labels import View
from slideseg.training.recipe.data import IGNORED

CLASSES = ("background", "Tumor", "stroma")


def square(y0, x0, y1, x1) -> list:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def feature(name, *rings) -> dict:
    properties = {} if name is None else {"objectType": "annotation", "classification": {"name": name, "color": [1, 2, 3]}}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": list(rings)}, "properties": properties}


def labels(tmp_path, features, shape=(20, 30), scale=1.0, classes=CLASSES) -> PolygonLabels:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    view = View((round(shape[0] / scale), round(shape[1] / scale)), shape, (scale, scale))
    return PolygonLabels(read_annotations(str(path), classes), view)


def whole(labels: PolygonLabels) -> np.ndarray:
    return labels.read(Box.of_shape(labels.levels[0].shape))


def test_polygons_with_holes_become_classes_and_instances(tmp_path) -> None:
    got = whole(
        labels(tmp_path, [feature("tumor", square(2, 3, 10, 12), square(4, 5, 6, 7)), feature("Stroma", square(8, 8, 20, 30))])
    )
    classes, instances = np.zeros((20, 30), int), np.zeros((20, 30), int)
    classes[2:10, 3:12] = instances[2:10, 3:12] = 1
    classes[4:6, 5:7] = instances[4:6, 5:7] = 0
    classes[8:20, 8:30] = instances[8:20, 8:30] = 2
    np.testing.assert_array_equal(got[..., 0], classes)
    np.testing.assert_array_equal(got[..., 1], instances)


def test_a_multipolygon_is_one_instance_and_background_covers(tmp_path) -> None:
    both = {"type": "MultiPolygon", "coordinates": [[square(0, 0, 4, 4)], [square(10, 10, 14, 14)]]}
    multi = {**feature("Tumor"), "geometry": both}
    got = whole(labels(tmp_path, [multi, feature("background", square(2, 2, 4, 4))]))
    assert set(np.unique(got[..., 1])) == {0, 1}
    assert (got[..., 0] == 1).sum() == (got[..., 1] == 1).sum() == 16 - 4 + 16


def test_a_coarser_view_asks_where_its_own_centres_lie(tmp_path) -> None:
    got = whole(labels(tmp_path, [feature("tumor", square(4, 4, 9, 8.9))], scale=2.0))[..., 0]
    expected = np.zeros((10, 15), int)
    expected[2:4, 2:4] = 1  # centres 5 and 7 are inside; 9 is on the lower edge and behind the right one
    np.testing.assert_array_equal(got, expected)


corner = st.integers(-20, 160).map(lambda n: n / 4)


@settings(max_examples=60)
@given(st.lists(st.tuples(corner, corner), min_size=3, max_size=8), st.tuples(*[st.integers(-5, 30)] * 2), st.integers(1, 25))
def test_any_polygon_is_filled_as_a_point_by_point_test_says(points, origin, side) -> None:
    ring = np.array([*points, points[0]])
    edges = np.hstack([ring[:-1], ring[1:]])
    box = Box(0, 0, side, side).shift(*origin)
    expected = np.zeros(box.shape, bool)
    for y in range(side):
        for x in range(side):
            cy, cx = y + box.y0 + 0.5, x + box.x0 + 0.5
            crossed = 0
            for y0, x0, y1, x1 in edges:
                if (y0 <= cy) != (y1 <= cy):
                    crossed += x0 + (cy - y0) * (x1 - x0) / (y1 - y0) <= cx
            expected[y, x] = crossed % 2
    np.testing.assert_array_equal(fill(edges, box), expected)


def test_neighbours_share_no_pixel_and_leave_none_out(tmp_path) -> None:
    angles = np.linspace(0, 2 * np.pi, 8)
    spokes = [(10.3 + 40 * np.sin(a), 15.1 + 40 * np.cos(a)) for a in angles]
    edges = []
    for one, two in pairwise(spokes):
        ring = np.array([(10.3, 15.1), one, two, (10.3, 15.1)])
        edges.append(np.hstack([ring[:-1], ring[1:]]))
    total = sum(fill(wedge, Box(0, 0, 20, 30)).astype(int) for wedge in edges)
    assert (total == 1).all()


def test_a_box_is_the_crop_of_the_whole(tmp_path) -> None:
    rng = np.random.default_rng(0)
    features = [
        feature(CLASSES[1 + i % 2], square(y, x, y + 3.3, x + 4.7)) for i, (y, x) in enumerate(rng.uniform(0, 15, (20, 2)))
    ]
    opened = labels(tmp_path, features, scale=0.7)
    full = whole(opened)
    for box in Box.of_shape(full.shape[:2]).split(7, 9):
        np.testing.assert_array_equal(opened.read(box), full[box.slices])


def test_lists_single_features_and_gzip_are_read(tmp_path) -> None:
    one = feature("tumor", square(0, 0, 4, 4))
    for name, text in (("a.json", json.dumps([one])), ("b.geojson", json.dumps(one))):
        (tmp_path / name).write_text(text)
        assert len(read_annotations(str(tmp_path / name), CLASSES).outlines) == 1
    (tmp_path / "c.geojson.gz").write_bytes(gzip.compress(json.dumps([one, one]).encode()))
    assert [o.instance for o in read_annotations(str(tmp_path / "c.geojson.gz"), CLASSES).outlines] == [1, 2]


def test_zip_files_are_read_as_qupath_writes_them(tmp_path) -> None:
    text = json.dumps([feature("tumor", square(0, 0, 4, 4))])
    with zipfile.ZipFile(tmp_path / "a.geojson.zip", "w") as packed:
        packed.writestr("folder/other name.geojson", text)
        packed.writestr("__MACOSX/._other name.geojson", "no")
        packed.writestr("read me.txt", "no")
    assert len(read_annotations(str(tmp_path / "a.geojson.zip"), CLASSES).outlines) == 1
    data = (tmp_path / "a.geojson.zip").read_bytes()
    for damaged in (data[:-30], b"", data[:60] + bytes(20) + data[80:]):
        (tmp_path / "b.geojson.zip").write_bytes(damaged)
        with pytest.raises(DataError, match="can't be read"):
            read_annotations(str(tmp_path / "b.geojson.zip"), CLASSES)


def test_damaged_gzip_is_one_error(tmp_path) -> None:
    whole = gzip.compress(json.dumps([{"number": n * n} for n in range(99)]).encode())
    for damaged in (whole[:-9], whole[:20] + bytes(20) + whole[40:], b"\x1f\x8b" + bytes(40), whole[:-8] + bytes(8)):
        (tmp_path / "x.geojson.gz").write_bytes(damaged)
        with pytest.raises(DataError, match="can't be read"):
            read_annotations(str(tmp_path / "x.geojson.gz"), CLASSES)


def test_a_polygon_that_crosses_itself_is_repaired(tmp_path) -> None:
    bow_tie = [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]
    got = whole(labels(tmp_path, [feature("tumor", bow_tie)]))[..., 0]
    assert got[1, 5] == got[8, 5] == 0
    assert got[5, 1] == got[5, 9] == 1
    assert 40 <= got.sum() <= 60


def test_without_a_class_there_must_be_only_one(tmp_path) -> None:
    assert whole(labels(tmp_path, [feature(None, square(0, 0, 4, 4))], classes=("background", "nucleus"))).any()
    with pytest.raises(DataError, match="feature 1 is of an unknown class \\(got no class"):
        labels(tmp_path, [feature(None, square(0, 0, 4, 4))])


def named(classification, **more) -> dict:
    return {**feature(None, square(0, 0, 4, 4)), "properties": {"classification": classification}, **more}


def test_a_derived_class_is_the_name_that_qupath_shows(tmp_path) -> None:
    derived = named({"names": ["Stroma", "Positive"], "color": [1, 2, 3]})
    for classes in (("background", "tumor"), CLASSES):
        with pytest.raises(DataError, match=r"unknown class \(got Stroma: Positive, want background or .*; try adding it"):
            labels(tmp_path, [derived], classes=classes)
    found = labels(tmp_path, [derived], classes=("background", "tumor", "stroma: positive"))
    assert set(np.unique(whole(found)[..., 0])) == {0, 2}
    assert labels(tmp_path, [named({"names": ["Tumor"]})]).may_ignore is False
    assert labels(tmp_path, [named({"names": ["Ignore*", "x"]})], classes=("background", "tumor")).may_ignore
    for nothing in ({}, {"names": []}, {"names": None, "color": [1, 2, 3]}):
        assert whole(labels(tmp_path, [named(nothing)], classes=("background", "tumor"))).any()


def test_nothing_annotated_is_background_all_over_and_refused_where_it_would_be_ignored(tmp_path) -> None:
    for text in ('{"type": "FeatureCollection", "features": []}', "[]"):
        (tmp_path / "a.geojson").write_text(text)
        annotations = read_annotations(str(tmp_path / "a.geojson"), CLASSES)
        view = View((20, 30), (20, 30), (1.0, 1.0))
        assert not whole(PolygonLabels(annotations, view)).any()
        with pytest.raises(DataError, match=r"a.geojson holds no annotation \(want .* ignored; try unannotated: background"):
            PolygonLabels(annotations, view, IGNORED)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([feature("tumor", square(0, 0, 4, 4)), feature("lymph", square(0, 0, 4, 4))],
         r"a.geojson: feature 2 is of an unknown class \(got lymph, want background or Tumor or stroma; try adding"),
        ([{**feature("tumor"), "geometry": {"type": "Point", "coordinates": [1, 2]}}], r"feature 1 can't be used \(got Point"),
        ([{**feature("tumor"), "geometry": None}], "feature 1 can't be used"),
        ([feature("tumor", [[0, 0], [1, 1]])], "feature 1 is damaged"),
        ([feature("tumor", [[0, 0], [5, 5], [0, 0], [0, 0]])], "feature 1 has no area"),
        ([feature("tumor", [[0, 0], ["a", 5], [3, 0], [0, 0]])], "feature 1 is damaged"),
        ([feature("tumor", square(100, 100, 104, 104))], r"outside the image \(got one around y, x \[100, 100\], want 20 x 30"),
        ([named("x", properties=["x"])], r"a.geojson: feature 1 is damaged \(got properties \['x'\], want properties"),
        ([named("x", properties="abc")], "a.geojson: feature 1 is damaged"),
        ([named({"name": ["tumor"]})], r"a.geojson: feature 1 is of an unknown class"),
        ([named("tumor", geometry={"type": ["x"]})], r"a.geojson: feature 1 can't be used \(got \['x'\], want Polygon"),
        ([named("tumor", geometry=[["x"]])], "a.geojson: feature 1 can't be used"),
    ],
)  # fmt: skip
def test_annotations_that_can_not_be_used_are_refused(tmp_path, features, message) -> None:
    with pytest.raises(DataError, match=message):
        labels(tmp_path, features)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", '"a"', "\ud800".encode("utf-8", "surrogatepass")])
def test_what_is_no_geojson_is_refused(tmp_path, text) -> None:
    path = tmp_path / "a.geojson"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=r"a\.geojson"):
        read_annotations(str(path), CLASSES)
    with pytest.raises(DataError, match="no such annotations"):
        read_annotations(str(tmp_path / "b.geojson"), CLASSES)


SCANNED = Box(5, 7, 25, 37)


@pytest.mark.parametrize(
    ("frame", "said", "corner"),
    [
        (None, None, (5, 7)),
        ("bounds", None, (5, 7)),
        ("slide", None, (0, 0)),
        (None, {"frame": "slide", "frame_corner_xy": [0, 0]}, (0, 0)),
        (None, {"frame": "bounds", "frame_corner_xy": [3, 2]}, (2, 3)),
        ("slide", {"frame": "bounds", "frame_corner_xy": [3, 2]}, (0, 0)),
        (None, {"note": "nothing of frames"}, (5, 7)),
    ],
)
def test_polygons_count_from_where_they_were_drawn(tmp_path, frame, said, corner) -> None:
    """QuPath counts from the bounds; a file of ours says what it counts from; the recipe has the last word."""
    about = {} if said is None else {"slideseg": said}
    drawn = {"type": "FeatureCollection", **about, "features": [feature("tumor", square(1, 2, 6, 8))]}
    (tmp_path / "a.geojson").write_text(json.dumps(drawn))
    y, x = corner
    for bounds, (dy, dx) in ((SCANNED, (y, x)), (None, (y, x) if (y, x) == (2, 3) else (0, 0))):
        annotations = read_annotations(str(tmp_path / "a.geojson"), CLASSES, bounds, frame)
        assert annotations.bounds.tolist() == [[1 + dy, 2 + dx, 6 + dy, 8 + dx]]


def test_a_corner_that_is_none_is_refused(tmp_path) -> None:
    drawn = {"type": "FeatureCollection", "slideseg": {"frame_corner_xy": "3,2"}, "features": []}
    (tmp_path / "a.geojson").write_text(json.dumps(drawn))
    with pytest.raises(DataError, match=r"a.geojson is damaged .got frame_corner_xy '3,2', want \[x, y\]"):
        read_annotations(str(tmp_path / "a.geojson"), CLASSES)
