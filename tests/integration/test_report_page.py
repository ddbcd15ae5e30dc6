"""The page of a run in a headless Chromium: sorted, filtered, enlarged, and nothing loaded or run that is not its own."""

import itertools
import shutil

import numpy as np
import pytest

import slideseg
from slideseg.cohort.report import write_reports
from slideseg.viewer.chromium import NAMES, Chromium
from tests.made_results import blobs, make_result

pytestmark = pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="no Chromium or Chrome (apt-get install chromium)")

LOADED_S = 60
NAME = '"><img src=x onerror="document.title=\'run\'">'
EVIL = f"<script>document.title='run'</script>{NAME}"
STAGES = {"plan": 0.1, "copy": 0.0, "segment": 0.6, "pyramids": 0.1, "objects": 0.15, "commit": 0.05}
SHOWN = "[...document.querySelectorAll('.wide tbody tr')].filter(row => row.offsetParent).map(row => row.id)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report of three slides with few, most and some objects, and of one that failed."""
    folder = tmp_path_factory.mktemp("page")
    slides = []
    for name, rows in (("few", 60), ("most", 300), ("some", 150)):
        class_map = blobs((300, 300))
        class_map[rows:] = 0
        make_result(folder / f"{name}.zarr", class_map, image=np.full((300, 300, 3), 200, np.uint8))
        slideseg.objects(folder / f"{name}.zarr")
        told = {"input": f"{name}{NAME}.tif", "output": str(folder / f"{name}.zarr"), "status": "ok"}
        slides.append({**told, "seconds": 1.0, "stage_seconds": STAGES})
    slides.append({"input": "bad.tif", "output": "bad.zarr", "status": "failed", "error": EVIL, "notes": [EVIL]})
    worker = {"node": "a-node-with-a-rather-long-name.example", "tasks": 400, "seconds": 61.0, "busy": 58.0, "idle": 0.0492}
    run = {"status": "partial", "error": EVIL, "slides": slides, "by_worker": [{**worker, "tasks": n} for n in range(40)]}
    assert write_reports(str(folder), run) == {}
    return folder


@pytest.fixture(scope="module")
def browser():
    with Chromium((1300, 900)) as browser:
        yield browser


def show(browser, folder):
    browser.open("about:blank")
    browser.open((folder / "report.html").as_uri())
    browser.wait_for("location.protocol === 'file:' && document.readyState === 'complete'", LOADED_S)


def click(browser, selector):
    browser.evaluate(f"document.querySelector({selector!r}).click()")
    return browser.evaluate(SHOWN)


def test_a_click_on_a_head_sorts_and_another_turns_it_around(browser, folder):
    show(browser, folder)
    assert browser.evaluate(SHOWN) == ["s3", "s0", "s1", "s2"]
    found = "th:nth-child(5) button"
    assert click(browser, found) == ["s1", "s2", "s0", "s3"]
    assert click(browser, found) == ["s0", "s2", "s1", "s3"]
    assert click(browser, "th:nth-child(2) button") == ["s3", "s0", "s1", "s2"]
    assert browser.evaluate("document.querySelectorAll('[aria-sort]').length") == 1


def test_buttons_show_failed_slides_or_those_with_warnings(browser, folder):
    show(browser, folder)
    assert click(browser, "#only-failed") == ["s3"]
    assert click(browser, "#only-warned") == ["s3"]
    assert click(browser, "#all") == ["s3", "s0", "s1", "s2"]


def test_where_the_time_went_stays_whatever_is_filtered_and_sorted(browser, folder):
    show(browser, folder)
    rows = "[...document.querySelectorAll('.spent tr')].filter(row => row.offsetParent).length"
    assert browser.evaluate(rows) == 1 + len(STAGES) + 1 + 40
    click(browser, "#only-failed")
    click(browser, ".wide th:nth-child(9) button")
    assert browser.evaluate(rows) == 1 + len(STAGES) + 1 + 40
    assert browser.evaluate("[...document.querySelectorAll('.spent section')].every(one => one.scrollWidth <= one.clientWidth)")
    assert browser.evaluate("document.querySelectorAll('.spent section')[1].clientHeight") <= 420


def test_nothing_is_loaded_and_no_name_is_run(browser, folder):
    show(browser, folder)
    assert browser.evaluate("document.title") == folder.name
    assert (
        browser.evaluate("performance.getEntriesByType('resource').filter(entry => !entry.name.startsWith('data:')).length")
        == 0
    )
    assert browser.evaluate("document.querySelectorAll('tbody img').length") == 3
    assert browser.evaluate("[...document.images].every(image => image.naturalWidth === 300)")


def test_names_of_any_length_hide_nothing(browser, folder):
    """A row's name, folder and command stand below each other, and no cell is wider than the page."""
    show(browser, folder)
    tops = browser.evaluate("[...document.querySelectorAll('#s0 .slide > *')].map(one => one.getBoundingClientRect())"
                            ".map(box => [box.top, box.bottom])")  # fmt: skip
    assert all(above[1] <= below[0] + 1 for above, below in itertools.pairwise(tops))
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_picture_fills_the_window_when_it_is_clicked(browser, folder):
    show(browser, folder)
    browser.click(
        *browser.evaluate("(({x, y}) => [x + 20, y + 20])(document.querySelector('#s0 img').getBoundingClientRect())")
    )
    assert browser.evaluate("document.querySelector('#s0 img').getBoundingClientRect().width") == 1300
