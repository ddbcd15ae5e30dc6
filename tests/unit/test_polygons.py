"""Files of polygons that are made to unfold in memory. What polygons mean: tests/unit/training/data/test_annotations.py."""

import gzip
import json
import zipfile

import numpy as np
import pytest

from slideseg import polygons
from slideseg.errors import DataError
from slideseg.space.box import Box

ONE = b'{"type": "FeatureCollection", "features": []}'


def packed(folder, ending, data):
    path = folder / f"x.geojson{ending}"
    if ending == ".gz":
        path.write_bytes(gzip.compress(data))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("x.geojson", data)
    return str(path)


@pytest.mark.parametrize("ending", [".gz", ".zip"])
def test_a_packed_file_is_read_up_to_a_size(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(polygons, "MOST_BYTES", len(ONE))
    assert polygons.read_polygons(packed(tmp_path, ending, ONE), ("background", "x")).outlines == []
    large = packed(tmp_path, ending, ONE + b" ")
    with pytest.raises(DataError, match=rf"x.geojson{ending} can't be used .got more, want {len(ONE)} bytes unpacked at most"):
        polygons.read_polygons(large, ("background", "x"))


@pytest.mark.parametrize("corner", ["NaN", "Infinity", "1" + "0" * 400])
def test_a_corner_that_is_no_number_is_refused(tmp_path, corner):
    ring = f"[[0, 0], [9, 0], [9, {corner}], [0, 0]]"
    path = tmp_path / "x.geojson"
    path.write_text(f'{{"type": "Feature", "geometry": {{"type": "Polygon", "coordinates": [{ring}]}}}}')
    with pytest.raises(DataError, match=r"feature 1 is damaged .got (a corner that is no number|int too large)"):
        polygons.read_polygons(str(path), ("background", "x"))


def edges_of(folder, geometry):
    (folder / "x.geojson").write_text(json.dumps({"type": "Feature", "geometry": geometry}))
    return polygons.read_polygons(str(folder / "x.geojson"), ("background", "x"))


@pytest.mark.parametrize("corner", ["9", True, None, {"x": 9}])
def test_a_coordinate_is_a_number_and_nothing_that_reads_as_one(tmp_path, corner):
    ring = [[0, 0], [9, 0], [9, corner], [0, 0]]
    with pytest.raises(DataError, match="feature 1 is damaged"):
        edges_of(tmp_path, {"type": "Polygon", "coordinates": [ring]})


def square(x, y, side):
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


@pytest.mark.parametrize(
    ("geometry", "area"),
    [
        ({"type": "Polygon", "coordinates": [square(0, 0, 10), square(2, 2, 3)]}, 100 - 9),
        ({"type": "Polygon", "coordinates": [square(0, 0, 10), square(20, 20, 3)]}, 100),
        ({"type": "Polygon", "coordinates": [square(0, 0, 10), square(8, 8, 4)]}, 100 - 4),
        ({"type": "MultiPolygon", "coordinates": [[square(0, 0, 10)], [square(5, 5, 10)]]}, 100 + 100 - 25),
        ({"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]}, 50),
    ],
    ids=["a hole", "a hole outside", "a hole across the edge", "parts that overlap", "a bow tie"],
)
def test_what_rings_hold_that_cross_each_other(tmp_path, geometry, area):
    found = edges_of(tmp_path, geometry).paint(Box(0, 0, 30, 30))
    assert abs(np.count_nonzero(found[..., 0]) - area) <= 5, "to the centres on the slanted edges of the bow tie"
