"""Results that are opened when they are asked for, and how many stay open."""

import threading

import numpy as np
import pytest

from slideseg.errors import ResultError
from slideseg.viewer.shown import Shown
from slideseg.viewer.slides import Slides
from tests.made_results import make_result


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Six results, each of a class map of its own number, and one that is unfinished."""
    folder = tmp_path_factory.mktemp("slides")
    urls = [str(folder / f"{number}.zarr") for number in range(6)]
    for number, url in enumerate(urls):
        make_result(url, np.full((20, 20), number % 3, np.uint8))
    make_result(folder / "unfinished.zarr", np.ones((20, 20), np.uint8), finish=False)
    return [*urls, str(folder / "unfinished.zarr")]


@pytest.fixture
def closed(monkeypatch):
    """Where the results lie that were closed, in order."""
    found = []
    monkeypatch.setattr(Shown, "close", lambda shown: found.append(shown.result.url))
    return found


def test_those_used_last_stay_open(made, closed):
    slides = Slides(made, most_open=3)
    assert slides.open_ones == ()
    for number in (0, 1, 2, 0, 3):
        with slides.open(number) as shown:
            assert shown.result.url == made[number]
    assert slides.open_ones == (2, 0, 3)
    assert closed == [made[1]]
    slides.close()
    assert sorted(closed) == sorted(made[:4])


def test_what_somebody_looks_at_is_not_closed(made, closed):
    slides = Slides(made, most_open=2)
    with slides.open(0) as first:
        for number in (1, 2, 3):
            with slides.open(number):
                pass
        assert made[0] not in closed
        assert first.at(0, 0, 0) is not None
    assert slides.open_ones == (0, 3)


def test_many_who_ask_at_once_get_the_same_one(made, monkeypatch):
    opened, entered = [], threading.Barrier(8)
    slides = Slides(made)

    def look():
        entered.wait(30)
        with slides.open(1) as shown:
            opened.append(shown)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(opened) == 8
    assert len(set(map(id, opened))) == 1
    slides.close()


def test_results_share_a_cache_and_not_their_pixels(made):
    slides = Slides(made)
    for number in (0, 1, 2):
        with slides.open(number) as shown:
            assert shown.at(3, 3, 0)["class"] == number
    assert slides._caches.shards.bytes >= 3 * 400
    slides.close()


def test_one_that_is_unfinished_stops_no_other(made):
    slides = Slides(made)
    with pytest.raises(ResultError, match="unfinished"), slides.open(6):
        pass
    with slides.open(5) as shown:
        assert shown.result.url == made[5]
    slides.close()
