"""Edits over the server: who may make them, and what follows them."""

import io
import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

import slideseg
from slideseg.colors import rgb_of
from slideseg.errors import ConfigError
from slideseg.instances.run import objects
from slideseg.result.edits import read_edits, write_edits
from tests.made_results import CLASSES, blobs, make_result
from tests.unit.viewer.server.test_slide import ask

REMOVAL = {"id": 1, "removed": True}
NAMES = {known.name: known for known in CLASSES}


@pytest.fixture
def url(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((400, 400)))
    objects(tmp_path / "x.zarr")
    return tmp_path / "x.zarr"


@pytest.fixture
def view(url):
    with slideseg.view(url, browser=False, edit=True) as view:
        yield view


def post(view, change=REMOVAL, base="", data=None, **headers):
    """Send a change as our page does, but for ``headers``; those that are None are left out."""
    own = {"Origin": "/".join(view.address.split("/")[:3]), "Content-Type": "application/json", **headers}
    sent = {name.replace("_", "-"): value for name, value in own.items() if value is not None}
    data = json.dumps(change).encode() if data is None else data
    request = urllib.request.Request(f"{view.address}{base}edits", data=data, headers=sent, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def test_our_own_page_can_change_an_object(view, url):
    status, _, said = post(view)
    assert (status, said["before"], said["number"]) == (200, {"id": 1, "original": True}, 1)
    assert read_edits(slideseg.open_result(url)) == {1: None}
    assert json.loads(ask(view.address + "edits")[2])["revision"] == said["revision"] == 1
    assert post(view, said["before"])[2]["number"] == 0
    assert read_edits(slideseg.open_result(url)) == {}


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "https://127.0.0.1:1"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "text/plain; application/json"}, 415),
    ],
)
def test_no_other_page_can(view, url, headers, wanted):
    headers = {"Content-Type" if name == "Content_Type" else name: value for name, value in headers.items()}
    status, told, _ = post(view, **headers)
    assert (status, told["Access-Control-Allow-Origin"]) == (wanted, None)
    assert not url.with_name("x.edits.json").exists()


def test_another_page_is_not_let_to_ask_first(view):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    status, told, _ = ask(view.address + "edits", "OPTIONS", Origin="http://evil.example", **asked)
    assert (status, told["Access-Control-Allow-Origin"]) == (405, None)


def test_without_the_token_or_for_another_name_nothing_is_changed(view, url):
    root, _, _ = view.address.rsplit("/", 2)
    request = urllib.request.Request(f"{root}/x/edits", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    refused.value.close()
    assert refused.value.code == 403
    assert post(view, Host="evil.example", Origin="http://evil.example")[0] == 403
    assert not url.with_name("x.edits.json").exists()


@pytest.mark.parametrize(
    ("data", "wanted"),
    [(b"", 400), (b"x", 400), (b"\xff", 400), (b"[" * 4000, 400), (b"[]", 400), (b" " * 5000, 413),
     (b'{"id": 0, "removed": true}', 409), (b'{"id": 1, "class": "background"}', 409)],
)  # fmt: skip
def test_what_is_no_change_is_refused(view, url, data, wanted):
    status, _, said = post(view, data=data)
    assert (status, said[:7]) == (wanted, "error: ")
    assert not url.with_name("x.edits.json").exists()


def test_a_server_that_was_not_told_to_takes_no_changes(url):
    with slideseg.view(url, browser=False) as view:
        assert post(view)[0] == 405
        assert json.loads(ask(view.address + "edits")[2])["editable"] is False
    assert not url.with_name("x.edits.json").exists()


def test_rows_tiles_and_regions_follow_the_edits(view, url):
    result = slideseg.open_result(url)
    table, ids = result.table.to_pylist(), np.asarray(result.objects)
    other = {"nucleus": "stroma & more", "stroma & more": "nucleus"}[table[1]["class_name"]]
    assert [post(view, change)[0] for change in (REMOVAL, {"id": 2, "class": other})] == [200, 200]
    rows = json.loads(ask(view.address + "rows?columns=class&count=3")[2])
    assert (rows["total"], rows["removed"], rows["edits"]) == (len(table), 1, {"1": None, "2": other})
    assert rows["columns"]["class"][1] == NAMES[other].id
    assert json.loads(ask(view.address + "objects/1")[2])["edited"] == {"removed": True, "was": table[0]["class_name"]}
    row = json.loads(ask(view.address + "objects/2")[2])
    assert (row["class"], row["class_name"]) == (NAMES[other].id, other)
    assert row["edited"] == {"class": other, "was": table[1]["class_name"]}
    assert json.loads(ask(view.address + "objects/3")[2]) == table[2]
    tile = ask(view.address + "tiles/objects/0/0/0/0?style=fill&color=class&edits=2")[2]
    pixels = np.asarray(Image.open(io.BytesIO(tile)).convert("RGBA"))
    np.testing.assert_array_equal(pixels[..., 3] > 0, ids > 1)
    assert (pixels[ids == 2, :3] == rgb_of(NAMES[other].color)).all()
    found = json.loads(ask(view.address + "region?points=0,0,400,0,400,400,0,400")[2])["found"]
    assert found[0]["count"] == len(table) - 1
    counted = {row["class_name"]: 0 for row in table}
    for row in table[1:]:
        counted[other if row["id"] == 2 else row["class_name"]] += 1
    assert [row["count"] for row in found[1:]] == [counted[known.name] for known in CLASSES[1:]]


def test_a_range_and_removed_objects_go_together(view):
    pixels = json.loads(ask(view.address + "rows?columns=pixels&count=1")[2])["columns"]["pixels"][0]
    post(view)
    inside = json.loads(ask(f"{view.address}rows?by=pixels&low={pixels}")[2])
    outside = json.loads(ask(f"{view.address}rows?by=pixels&low={pixels + 1}")[2])
    assert (inside["removed"], outside["removed"]) == (1, 0)
    assert 1 in inside["ids"]


def test_sorting_by_class_is_by_the_edited_one(view, url):
    table = slideseg.open_result(url).table.to_pylist()
    first = next(row["id"] for row in table if row["class"] == 1)
    post(view, {"id": first, "class": "stroma & more"})
    page = json.loads(ask(view.address + "rows?sort=class&columns=class&count=500")[2])
    assert page["columns"]["class"] == sorted(page["columns"]["class"])
    assert page["ids"].index(first) >= page["columns"]["class"].index(2)


def test_an_edited_result_on_a_sheet(url, tmp_path):
    make_result(tmp_path / "none.zarr", blobs((64, 64)))
    with slideseg.view(tmp_path, browser=False, edit=True) as view:
        assert post(view, base="r/1/")[0] == 200
        assert post(view, base="r/0/")[0] == 409
        assert json.loads(ask(view.address + "r/0/edits")[2])["editable"] is False
        assert post(view, base="r/2/")[0] == 404
    assert read_edits(slideseg.open_result(url)) == {1: None}


def test_where_nothing_can_be_edited_the_command_says_so(url, tmp_path):
    make_result(tmp_path / "none.zarr", blobs((64, 64)))
    with pytest.raises(ConfigError, match=r"nothing can be edited here \(got no objects"):
        slideseg.view(tmp_path / "none.zarr", browser=False, edit=True)
    write_edits(slideseg.open_result(url), {1: None})
    objects(url, min_area=40, overwrite=True)
    with pytest.raises(ConfigError, match="belongs to other objects"):
        slideseg.view(url, browser=False, edit=True)
    with slideseg.view(url, browser=False) as view:
        assert "belongs to other objects" in json.loads(ask(view.address + "edits")[2])["problem"]
        assert json.loads(ask(view.address + "rows?count=1")[2])["removed"] == 0
