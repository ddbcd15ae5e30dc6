"""The table over the server, and tiles that follow it."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import slideseg
from slideseg.colors import rgb_of
from slideseg.instances.run import objects
from tests.made_results import CLASSES, blobs, make_result
from tests.unit.viewer.server.test_slide import ask

SHAPE = (500, 500)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    url = tmp_path_factory.mktemp("table") / "x.zarr"
    make_result(url, blobs(SHAPE))
    objects(str(url))
    result = slideseg.open_result(url)
    with slideseg.view(url, browser=False) as view:
        yield view, result.table, np.asarray(result.objects)


def told(view, path):
    status, _, body = ask(view.address + path)
    assert status == 200, body
    return json.loads(body)


def tile(view, query):
    return np.asarray(Image.open(io.BytesIO(ask(f"{view.address}tiles/objects/0/0/0/0?{query}")[2])).convert("RGBA"))


def test_measures_and_their_histograms(made):
    view, table, _ = made
    measures = told(view, "measures")["measures"]
    assert {"area_um2", "pixels", "solidity"} <= set(measures)
    assert not {"id", "class", "class_name", "plane"} & set(measures)
    assert sum(told(view, "histogram/pixels")["counts"]) == table.num_rows


def test_rows_and_places(made):
    view, table, _ = made
    page = told(view, "rows?sort=pixels&down=1&count=5&columns=pixels")
    pixels = table["pixels"].to_numpy()
    assert page["total"] == table.num_rows
    assert page["columns"]["pixels"] == sorted(pixels.tolist(), reverse=True)[:5]
    assert [told(view, f"rows/{one}?sort=pixels&down=1")["place"] for one in page["ids"]] == list(range(5))


def test_a_region_of_the_whole_slide_has_all_objects(made):
    view, table, _ = made
    found = told(view, "region?points=0,0,500,0,500,500,0,500")
    assert found["found"][0]["count"] == table.num_rows
    assert found["area_mm2"] == pytest.approx(500 * 500 * 0.25e-6)


def test_objects_outside_the_range_are_not_drawn(made):
    view, table, ids = made
    pixels = table["pixels"].to_numpy()
    middle = float(np.median(pixels))
    shown = np.concatenate([[False], pixels >= middle])[ids]
    drawn = tile(view, f"style=fill&by=pixels&low={middle}")[..., 3] > 0
    np.testing.assert_array_equal(drawn, shown)
    assert 0 < shown.sum() < (ids > 0).sum()
    np.testing.assert_array_equal(tile(view, "style=fill&by=pixels")[..., 3] > 0, ids > 0)


def test_objects_have_the_colours_of_their_class_and_of_their_measure(made):
    view, table, ids = made
    by_class = tile(view, "style=fill&color=class")
    classes = np.concatenate([[0], table["class"].to_numpy()])[ids]
    for known in CLASSES[1:]:
        assert (by_class[classes == known.id, :3] == rgb_of(known.color)).all()
    by_area = tile(view, "style=fill&color=pixels")
    largest, smallest = (ids == 1 + place(table["pixels"].to_numpy()) for place in (np.argmax, np.argmin))
    assert tuple(by_area[largest][0, :3]) == (253, 231, 37)
    assert tuple(by_area[smallest][0, :3]) == (68, 1, 84)


@pytest.mark.parametrize(
    "path",
    ["histogram/nothing", "rows?sort=nothing", "rows?start=x", "region", "region?points=1,2", "rows?by=pixels&low=x",
     "tiles/objects/0/0/0/0?color=nothing", "tiles/objects/0/0/0/0?by=nothing&low=1"],
)  # fmt: skip
def test_wishes_without_sense_are_400(made, path):
    status, _, body = ask(made[0].address + path)
    assert (status, body[:7]) == (400, b"error: ")


def test_a_result_without_objects_has_no_table(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((64, 64)))
    with slideseg.view(tmp_path / "x.zarr", browser=False) as view:
        for path in ("measures", "rows", "region?points=0,0,1,0,1,1"):
            assert ask(view.address + path)[0] == 404


def test_other_pages_get_nothing_of_it(made):
    for path in ("measures", "rows", "histogram/pixels", "region?points=0,0,1,0,1,1"):
        headers = ask(made[0].address + path, Origin="http://elsewhere.example")[1]
        assert headers["Access-Control-Allow-Origin"] is None
