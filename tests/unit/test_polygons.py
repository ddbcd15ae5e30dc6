"""Files of polygons that are made to unfold in memory. What polygons mean: tests/unit/training/data/test_annotations.py."""

import gzip
import zipfile

import pytest

from slideseg import polygons
from slideseg.errors import DataError

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
