"""The server of many results, asked over its socket."""

import json
import shutil

import numpy as np
import pytest

import slideseg
from slideseg.errors import ConfigError, ResultError
from slideseg.instances.run import objects
from tests.made_results import blobs, make_result
from tests.unit.viewer.server.test_slide import ask


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheet")
    for number, name in enumerate("ab"):
        make_result(folder / f"{name}.zarr", np.full((300, 300), number + 1, np.uint8), image=np.zeros((300, 300, 3), np.uint8))
    objects(folder / "b.zarr")
    make_result(folder / "c.zarr", blobs((64, 64)), finish=False)
    return folder


@pytest.fixture(scope="module")
def view(folder):
    with slideseg.view(folder, browser=False) as view:
        yield view


def test_a_folder_is_a_sheet_of_its_results(view):
    status, headers, body = ask(view.address)
    assert (status, b"sheet.js" in body) == (200, True)
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert [one["name"] for one in json.loads(ask(view.address + "list")[2])] == ["a", "b", "c"]
    assert view._slides.open_ones == (), "nothing is opened before somebody looks"


def test_each_result_has_its_page_below_its_number(view):
    for number in (0, 1):
        base = f"{view.address}r/{number}/"
        assert b"viewer/main.js" in ask(base)[2]
        assert ask(f"{base}page/viewer/main.js")[0] == 200
        assert json.loads(ask(f"{base}at/0/5/5")[2])["class"] == number + 1
        assert json.loads(ask(f"{base}data/zarr.json")[2])["node_type"] == "group"
        assert ask(f"{base}tiles/classes/0/0/0/0")[1]["Content-Type"] == "image/png"
    assert json.loads(ask(f"{view.address}r/1/objects/1")[2])["id"] == 1
    assert set(view._slides.open_ones) == {0, 1}


def test_cards_and_pictures(view):
    assert json.loads(ask(view.address + "r/1/card")[2])["objects"] == 1
    status, headers, body = ask(view.address + "r/0/thumbnail")
    assert (status, headers["Content-Type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")


def test_one_that_is_unfinished_says_so(view):
    card = json.loads(ask(view.address + "r/2/card")[2])
    assert card["status"] == "unfinished"
    for path in ("facts", "thumbnail", "at/0/0/0"):
        status, _, body = ask(f"{view.address}r/2/{path}")
        assert (status, b"is unfinished" in body) == (500, True), path


@pytest.mark.parametrize(
    "path", ["r/3/facts", "r/3/card", "r/3/thumbnail", "r/3/data/zarr.json", "r/-1/facts", "facts", "data/zarr.json"]
)
def test_what_is_not_there_is_404(view, path):
    assert ask(view.address + path)[0] == 404


def test_other_pages_see_the_files_and_nothing_else(view):
    for path, wanted in (("list", None), ("r/0/card", None), ("r/0/data/zarr.json", "*"), ("r/9/data/zarr.json", "*")):
        assert ask(view.address + path, Origin="http://elsewhere.example")[1]["Access-Control-Allow-Origin"] == wanted, path


def test_without_the_token_nothing_is_told(view):
    root = view.address.rsplit("/", 2)[0]
    assert {ask(f"{root}/{path}")[0] for path in ("list", "r/0/facts", "x/list", "x/r/0/data/zarr.json")} == {403}


def test_a_result_that_is_removed_meanwhile_is_told(tmp_path):
    for name in "ab":
        make_result(tmp_path / f"{name}.zarr", blobs((64, 64)))
    with slideseg.view([tmp_path / "a.zarr", tmp_path / "b.zarr"], browser=False) as view:
        shutil.rmtree(tmp_path / "b.zarr")
        assert json.loads(ask(view.address + "r/1/card")[2])["status"] == "unreadable"
        assert ask(view.address + "r/1/facts")[0] == 500
        assert ask(view.address + "r/1/data/zarr.json")[0] == 404
        assert ask(view.address + "r/0/facts")[0] == 200


def test_a_folder_of_one_is_a_sheet_and_a_result_is_none(tmp_path):
    make_result(tmp_path / "a.zarr", blobs((64, 64)))
    for named, wanted in ((tmp_path, True), (tmp_path / "a.zarr", False), (f"{tmp_path}/a.zarr/", False)):
        with slideseg.view(named, browser=False) as view:
            assert (b"sheet.js" in ask(view.address)[2]) is wanted, named


def test_the_address_of_a_comparison(folder):
    with slideseg.view([folder / "a.zarr", folder / "b.zarr"], browser=False, compare=True, at="#zoom=2") as view:
        assert view.address.endswith("/r/0/#with=1&zoom=2")
    with pytest.raises(ConfigError, match=r"two results can be compared \(got 3"):
        slideseg.view(folder, browser=False, compare=True)
    with pytest.raises(ResultError, match="unfinished"):
        slideseg.view([folder / "a.zarr", folder / "c.zarr"], browser=False, compare=True)


@pytest.mark.parametrize(
    ("at", "message"),
    [("sort=size", "want one of name, status, objects"), ("down=2", "0 or 1"), ("x=1&y=2", "the page knows no such place")],
)
def test_a_place_that_a_sheet_does_not_know(folder, at, message):
    with pytest.raises(ConfigError, match=message):
        slideseg.view(folder, browser=False, at=at)
