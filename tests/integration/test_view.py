"""``slideseg view`` in a headless Chromium: what is on the screen, and what a click tells."""

import base64
import io
import json
import shutil
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
from PIL import Image

import slideseg
from slideseg.errors import ResultError
from slideseg.instances.run import objects
from slideseg.result.edits import write_edits
from slideseg.viewer.chromium import NAMES, Chromium
from tests.integration.conftest import run_slideseg
from tests.made_results import CLASSES, make_result

pytestmark = pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="no Chromium or Chrome (apt-get install chromium)")

SIZE = (900, 700)
SHAPE = (600, 900)
LOADED_S = 60
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
        for place in [(50, 500), (90, 250), (310, 250), (200, 410), (200, 90), (550, 850)]:
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
        assert "Open in neuroglancer" in panel
        assert browser.evaluate("document.getElementById('neuroglancer').href") == f"{view.address}neuroglancer"


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


# --- tools: two objects of 200 x 300 and 150 x 200 pixels of 0.5 microns, one of each class


def press(browser, key):
    words = {"text": key} if len(key) == 1 else {}
    browser.command("Input.dispatchKeyEvent", type="keyDown", key=key, **words)
    browser.command("Input.dispatchKeyEvent", type="keyUp", key=key)


def drag(browser, start, end):
    """Drag with the left button between two pixels (x, y) of the class map."""
    places = [browser.evaluate(f"window.slideseg.onScreen({x}, {y})") for x, y in (start, end)]
    for kind, (x, y) in (("mousePressed", places[0]), ("mouseMoved", places[1]), ("mouseReleased", places[1])):
        browser.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)


def click(browser, x, y):
    browser.click(*browser.evaluate(f"window.slideseg.onScreen({x}, {y})"))


def hash_words(browser):
    return dict(parse_qsl(browser.evaluate("window.slideseg.address()").removeprefix("#")))


def settle(browser):
    browser.wait_for(SETTLED, LOADED_S)


def test_the_ruler_tells_microns_and_leaves_the_slide_where_it_is(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view, "zoom=0.6&x=450&y=300&panel=off")
        before, blank = hash_words(browser), pixels(browser)
        press(browser, "r")
        drag(browser, (100, 320), (500, 320))
        lengths = browser.evaluate(
            "import('./page/viewer/ruler.js').then(it => it.lengthOf([{x: 100, y: 320}, {x: 500, y: 320}]))"
        )
        assert lengths == "200 µm"
        assert hash_words(browser) == before
        line = color_at(browser, pixels(browser), 320, 300)
        assert abs(line - color_at(browser, blank, 320, 300)).max() > 30
        press(browser, "Escape")
        press(browser, "Escape")
        assert abs(color_at(browser, pixels(browser), 320, 300) - color_at(browser, blank, 320, 300)).max() <= NEAR


def test_the_table_and_the_slide_follow_each_other(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view)
        press(browser, "t")
        browser.wait_for("document.querySelectorAll('.row[data-id]').length === 2", LOADED_S)
        browser.evaluate("document.querySelectorAll('.row')[1].click()")
        browser.wait_for("document.querySelector('.picked.row')?.dataset.id === '2'", LOADED_S)
        settle(browser)
        assert text(browser, "#object .picked").startswith("Object 2 ")
        assert hash_words(browser)["object"] == "2"
        show(browser, view, "table=on")
        click(browser, 250, 200)
        browser.wait_for("document.querySelector('.picked.row')?.dataset.id === '1'", LOADED_S)
        browser.evaluate("document.querySelector('#rows-head button:nth-child(3)').click()")
        settle(browser)
        assert browser.evaluate("[...document.querySelectorAll('.row')].map(one => one.dataset.id)") == ["1", "2"]
        browser.evaluate("document.querySelector('#rows-head button:nth-child(3)').click()")
        settle(browser)
        assert browser.evaluate("[...document.querySelectorAll('.row')].map(one => one.dataset.id)") == ["2", "1"]


def test_objects_outside_the_range_vanish_from_slide_table_and_region(made, browser):
    table = slideseg.open_result(made).table.to_pydict()
    small, large = sorted(table["area_um2"])
    link = "classes=0&style=fill&color=class&table=on&region=0,0,900,0,900,600,0,600"
    with slideseg.view(made, browser=False) as view:
        picture = show(browser, view, link)
        assert abs(color_at(browser, picture, 200, 250) - ORANGE).max() <= 40, "tinted by the region"
        assert text(browser, "#shown") == "2 of 2 shown"
        browser.evaluate(
            f"f = document.querySelector('#high'); f.value = {(small + large) / 2}; f.dispatchEvent(new Event('change'))"
        )
        settle(browser)
        picture = pixels(browser)
        assert abs(color_at(browser, picture, 200, 250) - color_at(browser, picture, 320, 250)).max() <= NEAR
        assert abs(color_at(browser, picture, 400, 700) - color_at(browser, picture, 320, 250)).max() > 60
        assert text(browser, "#shown") == "1 of 2 shown"
        assert text(browser, "#rows-told") == "1 object"
        assert "of those that are shown" in text(browser, "#region")
        words = hash_words(browser)
        assert (words["by"], float(words["high"])) == ("area_um2", (small + large) / 2)
        browser.evaluate("document.querySelector('#all').click()")
        settle(browser)
        assert text(browser, "#shown") == "2 of 2 shown"


def test_a_range_is_dragged_over_the_histogram(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view)
        left, top, width, height = browser.evaluate(
            "(b => [b.left, b.top, b.width, b.height])(document.querySelector('#histogram').getBoundingClientRect())"
        )
        for kind, share in (("mousePressed", 0.5), ("mouseMoved", 0.9), ("mouseReleased", 0.999)):
            where = {"x": left + share * width, "y": top + height / 2}
            browser.command("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **where)
        settle(browser)
        assert text(browser, "#shown") == "1 of 2 shown"
        assert {"by", "low"} <= set(hash_words(browser))


def test_a_rectangle_counts_the_objects_in_it(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view, "zoom=0.5&x=450&y=300")
        press(browser, "m")
        drag(browser, (60, 60), (460, 310))
        browser.wait_for("document.querySelector('#region table') !== null", LOADED_S)
        counted = browser.evaluate("[...document.querySelectorAll('#region td:nth-child(2)')].map(one => one.innerText)")
        assert counted == ["1", "1", "0"]
        assert text(browser, "#region p") == "0.025 mm²"
        corners = [float(one) for one in hash_words(browser)["region"].split(",")]
        assert corners == pytest.approx([60, 60, 460, 60, 460, 310, 60, 310], abs=3)


def test_a_polygon_is_cut_where_the_slide_ends(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view, "zoom=0.5&x=450&y=300&region=-300,-300,450,-300,450,900,-300,900")
        assert text(browser, "#region p") == f"{450 * 600 * 0.25e-6:.4g} mm²"
        press(browser, "Escape")
        assert "region" not in hash_words(browser)
        press(browser, "g")
        for corner in ((500, 320), (850, 320), (850, 550), (500, 550)):
            click(browser, *corner)
        press(browser, "Enter")
        browser.wait_for("document.querySelector('#region table') !== null", LOADED_S)
        counted = browser.evaluate("[...document.querySelectorAll('#region td:nth-child(2)')].map(one => one.innerText)")
        assert counted == ["1", "0", "1"]


def test_keys_switch_layers_and_move(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view, "zoom=2&x=250&y=200")
        for key, name in (("o", "objects"), ("c", "classes"), ("i", "image")):
            press(browser, key)
            assert hash_words(browser)[name] == "0"
            press(browser, key)
            assert name not in hash_words(browser)
        press(browser, "1")
        browser.wait_for("new URLSearchParams(window.slideseg.address().slice(1)).get('zoom') === '1'", LOADED_S)
        press(browser, "ArrowRight")
        browser.wait_for("+new URLSearchParams(window.slideseg.address().slice(1)).get('x') > 280", LOADED_S)
        press(browser, "f")
        assert hash_words(browser)["style"] == "fill"
        press(browser, "?")
        assert browser.evaluate("document.querySelector('#help').open") is True
        press(browser, "o")
        press(browser, "Escape")
        assert browser.evaluate("document.querySelector('#help').open") is False
        assert "objects" not in hash_words(browser), "keys do nothing while the list is read"


def test_what_is_typed_into_a_field_is_no_key(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view)
        browser.evaluate("document.querySelector('#find-number').focus()")
        press(browser, "t")
        assert browser.evaluate("document.querySelector('#drawer').hidden") is True
        assert browser.evaluate("document.querySelector('#find-number').value") == "t"


def test_the_page_tells_all_keys_and_so_does_its_page_in_the_docs(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view)
        keys = browser.evaluate(
            "[...document.querySelectorAll('#keys tr')].map(row => [...row.cells].map(cell => cell.textContent))"
        )
    page = (Path(__file__).parents[2] / "docs" / "view.md").read_text(encoding="utf-8")
    assert len(keys) > 15
    assert [f"| `{name}` | {text} |" for name, text in keys if f"| `{name}` | {text} |" not in page] == []


def test_a_saved_picture_has_slide_objects_and_scale_bar(made, browser):
    with slideseg.view(made, browser=False) as view:
        show(browser, view, "zoom=0.6&x=450&y=300&classes=1&objects=0")
        data = browser.evaluate("window.slideseg.picture()").partition("base64,")[2]
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)
        width, height = browser.evaluate("(b => [b.clientWidth, b.clientHeight])(document.querySelector('#stage'))")
        assert picture.shape == (height, width, 3)
        assert abs(color_at(browser, picture, 200, 250) - ORANGE).max() <= NEAR
        assert (picture[height - 50 : height - 14, 14:150].min(-1) > 240).sum() > 60, "the bar and its text"


def test_on_a_narrow_screen_all_can_be_reached(made):
    with slideseg.view(made, browser=False) as view, Chromium((390, 760)) as phone:
        show(phone, view)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        for wanted in ("#home", "[data-tool=ruler]", "#table-button", "#save", "#help-button"):
            box = phone.evaluate(
                f"(b => [b.left, b.top, b.right, b.bottom])(document.querySelector('{wanted}').getBoundingClientRect())"
            )
            assert box[0] >= 0
            assert box[2] <= 390
            assert phone.evaluate(
                f"document.querySelector('{wanted}').contains(document.elementFromPoint({box[0] + 9}, {box[1] + 9}))"
            )
        assert phone.evaluate("document.querySelector('#stage').clientHeight") > 300
        phone.evaluate("document.querySelector('#panel-button').click()")
        assert phone.evaluate("document.querySelector('#stage').clientHeight") > 600


def touch(phone, kind, *places):
    points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
    phone.command("Input.dispatchTouchEvent", type=kind, touchPoints=points)


@pytest.fixture
def phone(made):
    """The page on a screen of 390 pixels that is touched."""
    with slideseg.view(made, browser=False) as view, Chromium((390, 760)) as phone:
        phone.command("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
        show(phone, view, "zoom=0.4&x=450&y=300&panel=off")
        yield phone


def test_two_fingers_zoom(phone):
    touch(phone, "touchStart", (150, 250), (250, 350))
    for step in range(10, 60, 10):
        touch(phone, "touchMove", (150 - step, 250 - step), (250 + step, 350 + step))
    touch(phone, "touchEnd")
    phone.wait_for("+new URLSearchParams(window.slideseg.address().slice(1)).get('zoom') > 0.7", LOADED_S)


def test_a_finger_draws_a_region_and_the_slide_stays_where_it_is(phone):
    before = hash_words(phone)
    phone.evaluate("document.querySelector('[data-tool=rectangle]').click()")
    corners = [phone.evaluate(f"window.slideseg.onScreen({x}, {y})") for x, y in ((200, 60), (460, 310))]
    touch(phone, "touchStart", corners[0])
    for share in (0.3, 0.6, 1):
        touch(phone, "touchMove", [(1 - share) * one + share * other for one, other in zip(*corners, strict=True)])
    touch(phone, "touchEnd")
    phone.wait_for("document.querySelector('#region table') !== null", LOADED_S)
    after = hash_words(phone)
    drawn = [float(one) for one in after.pop("region").split(",")]
    assert drawn == pytest.approx([200, 60, 460, 60, 460, 310, 200, 310], abs=4)
    assert after == before


@pytest.fixture(scope="module", params=["one slide", "two scans"])
def pair(request, made, tmp_path_factory):
    """The same ground segmented again in pixels of twice the size, where everything is of the second class.

    That was of the same slide at half its resolution, or of a scan whose level 0 has such pixels.
    """
    url = tmp_path_factory.mktemp("pair") / "half.zarr"
    class_map = np.zeros((300, 450), np.uint8)
    class_map[50:150, 50:200] = 2
    of = {"slide": {"shape": (*SHAPE, 3)}, "factor": 2.0} if request.param == "one slide" else {}
    make_result(url, class_map, mpp=1.0, image=np.full((300, 450, 3), GREY, np.uint8), **of)
    objects(str(url))
    return [made, url]


def test_two_results_beside_each_other_show_the_same_ground(pair, browser):
    with slideseg.view(pair, browser=False, compare=True, at="zoom=0.6&x=300&y=250&objects=0&classes=1&panel=off") as view:
        browser.open("about:blank")
        browser.open(view.address)
        settle(browser)
        picture = pixels(browser)
        here = browser.evaluate("window.slideseg.onScreen(250, 200)")
        there = browser.evaluate("window.slideseg.onScreen(125, 100, 1)")
        half = browser.evaluate("document.querySelector('#stage').clientWidth") / 2
        assert there[0] - here[0] == pytest.approx(half, abs=2)
        assert there[1] == pytest.approx(here[1], abs=1)
        assert abs(picture[int(here[1]), int(here[0])] - ORANGE).max() <= NEAR
        assert abs(picture[int(there[1]), int(there[0])] - BLUE).max() <= NEAR
        press(browser, "ArrowRight")
        browser.wait_for(f"Math.abs(window.slideseg.onScreen(250, 200)[0] - {here[0]}) > 30", LOADED_S)
        settle(browser)
        apart = "window.slideseg.onScreen(125, 100, 1)[0] - window.slideseg.onScreen(250, 200)[0]"
        assert browser.evaluate(apart) == pytest.approx(half, abs=2)


def test_of_two_results_a_click_tells_whose_object_it_is(pair, browser):
    with slideseg.view(pair, browser=False, compare=True, at="object=2") as view:
        browser.open("about:blank")
        browser.open(view.address)
        settle(browser)
        assert text(browser, "#object .picked") == "Object 2 · stroma & more · x"
        browser.evaluate("document.querySelector('#home').click()")
        browser.wait_for("new URLSearchParams(window.slideseg.address().slice(1)).get('zoom') < 0.6", LOADED_S)
        settle(browser)
        browser.click(*browser.evaluate("window.slideseg.onScreen(125, 100, 1)"))
        browser.wait_for("document.querySelector('#object .picked').innerText === 'Object 1 · stroma & more · half'", LOADED_S)
        assert browser.evaluate("document.querySelectorAll('.mark').length") == 1
        assert "object" not in hash_words(browser)


def test_blinking_shows_one_and_then_the_other(pair, browser):
    with slideseg.view(pair, browser=False, compare=True, at="blink=on&objects=0&classes=1&panel=off") as view:
        browser.open("about:blank")
        browser.open(view.address)
        settle(browser)
        place = [int(one) for one in browser.evaluate("window.slideseg.onScreen(250, 200)")]
        for wanted in (ORANGE, BLUE, ORANGE):
            assert abs(pixels(browser)[place[1], place[0]] - wanted).max() <= NEAR
            press(browser, "b")
            settle(browser)


def test_the_sheet_leads_to_a_comparison(folder, browser):
    with slideseg.view(folder, browser=False) as view:
        show(browser, view)
        assert browser.evaluate("document.querySelector('#compare').disabled") is True
        browser.evaluate("document.querySelectorAll('.choose').forEach((one, n) => { if (n !== 1) one.click(); })")
        browser.evaluate("document.querySelector('#compare').click()")
        browser.wait_for(f"document.querySelector('#slide-2') && {SETTLED}", LOADED_S)
        assert text(browser, "#compare-told") == "one and two"
        assert browser.evaluate("window.slideseg.failure()") is None


def test_an_object_is_corrected_removed_and_taken_back(made, browser, tmp_path):
    shutil.copytree(made, tmp_path / "x.zarr")
    edits = tmp_path / "x.edits.json"
    with slideseg.view(tmp_path / "x.zarr", browser=False, edit=True) as view:
        show(browser, view, "object=1&zoom=0.6&x=450&y=300&classes=0&style=fill&color=class&table=on")
        browser.evaluate("one = document.querySelector('#edit-class'); one.value = 'stroma & more'")
        browser.evaluate("one.dispatchEvent(new Event('change'))")
        browser.wait_for("document.querySelector('#object .edited')?.innerText === 'was nucleus'", LOADED_S)
        settle(browser)
        assert json.loads(edits.read_text())["edits"] == [{"id": 1, "class": "stroma & more"}]
        assert abs(color_at(browser, pixels(browser), 200, 300) - BLUE).max() <= NEAR
        assert text(browser, "#edits-told") == "1 object edited."
        press(browser, "x")
        browser.wait_for("document.querySelector('.row.removed') !== null", LOADED_S)
        settle(browser)
        assert abs(color_at(browser, pixels(browser), 200, 300) - GREY).max() <= NEAR
        assert text(browser, "#shown") == "1 of 2 shown"
        assert json.loads(edits.read_text())["edits"] == [{"id": 1, "removed": True}]
        for wanted in ([{"id": 1, "class": "stroma & more"}], []):
            press(browser, "u")
            told = "1 object edited." if wanted else ""
            browser.wait_for(f"document.querySelector('#edits-told').innerText === {told!r}", LOADED_S)
            settle(browser)
            assert json.loads(edits.read_text())["edits"] == wanted
        assert abs(color_at(browser, pixels(browser), 200, 300) - ORANGE).max() <= NEAR
        assert browser.evaluate("window.slideseg.failure()") is None


def test_without_edit_the_page_offers_no_changes_and_shows_those_that_were_made(made, browser, tmp_path):
    shutil.copytree(made, tmp_path / "x.zarr")
    write_edits(slideseg.open_result(tmp_path / "x.zarr"), {2: None})
    with slideseg.view(tmp_path / "x.zarr", browser=False) as view:
        picture = show(browser, view, "object=2&zoom=0.6&x=450&y=300&classes=0&style=fill&panel=on")
        assert abs(color_at(browser, picture, 420, 650) - GREY).max() <= NEAR
        assert text(browser, "#object .edited") == "removed"
        assert browser.evaluate("document.querySelector('#edit')") is None
        press(browser, "x")
        settle(browser)
        assert browser.evaluate("window.slideseg.failure()") is None
