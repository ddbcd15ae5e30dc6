"""``slideseg view`` in a headless Chromium: what is on the screen, and what a click tells."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import slideseg
from slideseg.errors import ResultError
from slideseg.instances.run import objects
from slideseg.viewer.chromium import NAMES, Chromium
from tests.integration.conftest import run_slideseg
from tests.made_results import CLASSES, make_result

pytestmark = pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="no Chromium or Chrome (apt-get install chromium)")

SIZE = (900, 700)
SHAPE = (600, 900)
LOADED_S = 120
ORANGE, BLUE = (tuple(bytes.fromhex(known.color[1:])) for known in CLASSES[1:])
GREY = 200
NEAR = 4
SETTLED = "window.slideseg && window.slideseg.settled()"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A result whose class map is one block of each class, and a slide of one grey."""
    url = tmp_path_factory.mktemp("view") / "x.zarr"
    class_map = np.zeros(SHAPE, np.uint8)
    class_map[100:300, 100:400] = 1
    class_map[350:500, 600:800] = 2
    make_result(url, class_map, image=np.full((*SHAPE, 3), GREY, np.uint8))
    objects(str(url))
    return url


@pytest.fixture(scope="module")
def browser():
    with Chromium(SIZE) as browser:
        yield browser


def show(browser, view, fragment=""):
    """Open a page, wait until all of it is there, and return its pixels."""
    browser.open("about:blank")
    browser.open(f"{view.address}#{fragment}")
    browser.wait_for(SETTLED, LOADED_S)
    return pixels(browser)


def pixels(browser):
    return np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("RGB")).astype(int)


def color_at(browser, picture, y, x):
    """Return what is on the screen in the middle of a pixel of the class map."""
    across, down = browser.evaluate(f"window.slideseg.onScreen({x + 0.5}, {y + 0.5})")
    return picture[int(down), int(across)]


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({selector!r})?.innerText ?? null")


def test_classes_lie_on_the_slide_in_their_colours(made, browser):
    with slideseg.view(made, browser=False) as view:
        picture = show(browser, view, "classes=1&objects=0")
        for place, wanted in [((200, 250), ORANGE), ((105, 105), ORANGE), ((295, 395), ORANGE), ((400, 700), BLUE)]:
            assert abs(color_at(browser, picture, *place) - wanted).max() <= NEAR, place
        for place in [(50, 50), (90, 250), (310, 250), (200, 410), (200, 90), (550, 850)]:
            assert abs(color_at(browser, picture, *place) - GREY).max() <= NEAR, place
        assert picture.shape == (SIZE[1], SIZE[0], 3)


def test_opacity_and_hidden_classes(made, browser):
    with slideseg.view(made, browser=False) as view:
        picture = show(browser, view, "classes=0.5&objects=0&hidden=2")
        assert abs(color_at(browser, picture, 200, 250) - (np.array(ORANGE) + GREY) / 2).max() <= NEAR
        assert abs(color_at(browser, picture, 400, 700) - GREY).max() <= NEAR


def test_switching_a_class_off_and_on(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view, "classes=1&objects=0")
        for wanted in (GREY, ORANGE):
            browser.evaluate("document.querySelector('.legend input').click()")
            browser.wait_for(SETTLED, LOADED_S)
            assert abs(color_at(browser, pixels(browser), 200, 250) - wanted).max() <= NEAR


def test_a_click_on_an_object_shows_its_row(made, browser):
    table = slideseg.open_result(made).table.to_pylist()
    with slideseg.view(made, browser=False) as view:
        show(browser, view)
        assert text(browser, "#row") is None
        for row, (y, x) in zip(table, [(200, 250), (400, 700)], strict=True):
            browser.click(*browser.evaluate(f"window.slideseg.onScreen({x}, {y})"))
            browser.wait_for(f"document.querySelector('.picked')?.innerText.startsWith('Object {row['id']} ')", LOADED_S)
            shown = text(browser, "#object")
            assert row["class_name"] in shown
            assert f"{row['pixels']:,}" in shown
            assert f"object={row['id']}" in browser.evaluate("location.hash")
        browser.click(*browser.evaluate("window.slideseg.onScreen(20, 20)"))
        browser.wait_for("document.querySelector('.picked')?.innerText === 'background'", LOADED_S)
        assert text(browser, "#row") is None


def test_a_link_leads_to_an_object(made, browser):
    row = slideseg.open_result(made).table.to_pylist()[1]
    with slideseg.view(made, browser=False) as view:
        show(browser, view, "object=2")
        assert text(browser, ".picked").startswith("Object 2 ")
        across, down = browser.evaluate(f"window.slideseg.onScreen({row['centroid_x_px']}, {row['centroid_y_px']})")
        width = browser.evaluate("document.querySelector('main').clientWidth")
        assert abs(across - width / 2) < 2
        assert abs(down - SIZE[1] / 2) < 2
        show(browser, view, "object=2&zoom=3")
        assert "zoom=3" in browser.evaluate("window.slideseg.address()")


def test_close_up_pixels_have_sharp_edges(made, browser):
    with slideseg.view(made, browser=False) as view:
        picture = show(browser, view, "x=100&y=200&zoom=20&classes=1&objects=0&panel=off")
        left, down = browser.evaluate("window.slideseg.onScreen(100, 200)")
        row = picture[int(down) + 5]
        assert abs(row[int(left) - 2] - GREY).max() <= NEAR
        assert abs(row[int(left) + 2] - ORANGE).max() <= NEAR


def test_the_panel_names_classes_and_the_run(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view)
        panel = text(browser, "aside")
        for wanted in ("a slide.tif", "nucleus", "stroma & more", "600 x 900 px", "0.5 µm", "made"):
            assert wanted in panel
        browser.wait_for("document.querySelector('.legend small').innerText.includes('%')", LOADED_S)
        assert text(browser, ".legend small") == "1 · 11.1 %"
        assert browser.evaluate("window.slideseg.failure()") is None


def test_planes_of_a_stack(tmp_path, browser):
    planes = np.stack([np.full((300, 300), n, np.uint8) for n in (1, 2)])
    make_result(tmp_path / "x.zarr", planes, plane_axis="z")
    with slideseg.view(tmp_path / "x.zarr", browser=False) as view:
        picture = show(browser, view, "classes=1")
        assert abs(color_at(browser, picture, 150, 150) - ORANGE).max() <= NEAR
        browser.evaluate("p = document.querySelector('#plane'); p.value = 1; p.dispatchEvent(new Event('change'))")
        browser.wait_for(SETTLED, LOADED_S)
        assert abs(color_at(browser, pixels(browser), 150, 150) - BLUE).max() <= NEAR


def test_a_damaged_chunk_can_be_seen(tmp_path, browser):
    make_result(tmp_path / "x.zarr", np.zeros((300, 300), np.uint8), image=np.full((300, 300, 3), GREY, np.uint8))
    shard = tmp_path / "x.zarr" / "labels" / "segmentation" / "0" / "c" / "1" / "1"
    data = bytearray(shard.read_bytes())
    data[10] ^= 255
    shard.write_bytes(data)
    with slideseg.view(tmp_path / "x.zarr", browser=False) as view:
        picture = show(browser, view, "classes=1")
        assert "shard labels/segmentation/0/c/1/1 is damaged" in browser.evaluate("window.slideseg.failure()")
        around = [color_at(browser, picture, y, x) for y in range(50, 250, 10) for x in range(50, 250, 10)]
        assert np.mean([abs(one - GREY).max() > 30 for one in around]) > 0.9


def test_without_the_token_there_is_no_page(made, browser):
    with slideseg.view(made, browser=False) as view:
        browser.open(view.address.rsplit("/", 2)[0] + "/")
        browser.wait_for("document.body?.innerText.includes('needs its token')", LOADED_S)


def test_the_command_writes_a_screenshot(made, tmp_path):
    target = tmp_path / "page.png"
    target.write_bytes(b"mine")
    words = ["view", made, "--screenshot", target, "--size", "640x480", "--at", "classes=1&objects=0&panel=off"]
    refused = run_slideseg(*words)
    assert (refused.status, target.read_bytes()) == (2, b"mine")
    done = run_slideseg(*words, "--overwrite", "--json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == {"status": "ok", "error": None, "screenshot": str(target)}
    picture = np.asarray(Image.open(target).convert("RGB")).astype(int)
    assert picture.shape == (480, 640, 3)
    shares = [np.mean(abs(picture - wanted).max(-1) <= NEAR) for wanted in (ORANGE, BLUE)]
    assert shares[0] / shares[1] == pytest.approx(2, rel=0.1)


def test_a_screenshot_that_would_lack_something_is_not_written(made, tmp_path):
    shutil.copytree(made, tmp_path / "x.zarr")
    (tmp_path / "x.zarr" / "tables" / "objects.parquet").unlink()
    wanted = (
        r"^the page can't be shown whole: tables/objects\.parquet is missing \(try slideseg objects with the same options\)$"
    )
    with slideseg.view(tmp_path / "x.zarr", browser=False) as view, pytest.raises(ResultError, match=wanted):
        view.screenshot(tmp_path / "page.png", SIZE)
    assert not (tmp_path / "page.png").exists()


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    """Three results, one of which is unfinished."""
    folder = tmp_path_factory.mktemp("sheet")
    shutil.copytree(made, folder / "two.zarr")
    make_result(folder / "one.zarr", np.ones((300, 300), np.uint8), image=np.full((300, 300, 3), GREY, np.uint8))
    make_result(folder / "stopped.zarr", np.ones((64, 64), np.uint8), finish=False)
    return folder


def names(browser):
    return browser.evaluate("[...document.querySelectorAll('.card h2')].map(one => one.textContent)")


def test_a_sheet_shows_every_result_and_what_is_wrong_with_it(folder, browser):
    with slideseg.view(folder, browser=False) as view:
        show(browser, view)
        assert names(browser) == ["one", "stopped", "two"]
        cards = browser.evaluate("[...document.querySelectorAll('.card')].map(one => one.innerText)")
        assert "no objects looked for" in cards[0]
        assert "unfinished" in cards[1]
        assert "goes on where it stopped" in cards[1]
        assert "2 objects" in cards[2]
        assert browser.evaluate("document.querySelectorAll('.card img').length") == 2
        assert text(browser, "#title") == "3 results"


def test_a_sheet_is_sorted_and_filtered_and_its_address_tells_how(folder, browser):
    with slideseg.view(folder, browser=False) as view:
        show(browser, view, "sort=objects&down=1")
        assert names(browser)[0] == "two"
        browser.evaluate("document.querySelector('#down').click()")
        assert names(browser)[0] == "two", "those that have no number come last"
        browser.evaluate("f = document.querySelector('#find'); f.value = 'ST'; f.dispatchEvent(new Event('input'))")
        assert names(browser) == ["stopped"]
        assert browser.evaluate("location.hash") == "#sort=objects&find=ST"
        show(browser, view, "find=nowhere")
        assert names(browser) == []
        assert "No result" in text(browser, "#nothing")


def test_a_click_on_a_card_opens_its_slide_and_there_is_a_way_back(folder, browser):
    with slideseg.view(folder, browser=False) as view:
        show(browser, view)
        browser.evaluate("document.querySelectorAll('.card a')[2].click()")
        browser.wait_for(f"location.pathname.endsWith('/r/2/') && {SETTLED}", LOADED_S)
        assert text(browser, "#title") == "a slide.tif"
        browser.evaluate("document.querySelector('#back').click()")
        browser.wait_for(f"document.querySelector('#cards') && {SETTLED}", LOADED_S)
        assert names(browser) == ["one", "stopped", "two"]
    with slideseg.view(folder / "two.zarr", browser=False) as view:
        show(browser, view)
        assert browser.evaluate("document.querySelector('#back').hidden") is True


def test_the_command_writes_a_screenshot_of_a_sheet(folder, tmp_path):
    done = run_slideseg("view", folder, "--screenshot", tmp_path / "sheet.png", "--at", "find=o")
    assert (done.status, done.err) == (0, "")
    assert Image.open(tmp_path / "sheet.png").size == (1600, 1000)
