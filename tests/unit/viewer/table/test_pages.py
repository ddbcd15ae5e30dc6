"""Pages of the table: the rows that a whole sort would give there."""

import json

import numpy as np
import pytest

from slideseg.errors import ConfigError
from slideseg.viewer.table.looks import Looks
from slideseg.viewer.table.pages import MOST_ROWS, Pages
from tests.unit.viewer.table.conftest import CLASSES, NUMBER


@pytest.fixture
def pages(made):
    return Pages(made[1], Looks(made[1], CLASSES))


def test_without_wishes_it_is_the_table_from_its_start(made, pages):
    told = pages.page({"columns": "id,class,area_um2", "count": "3"})
    assert (told["total"], told["start"], told["ids"]) == (NUMBER, 0, [1, 2, 3])
    assert told["columns"]["class"] == made[0]["class"][:3].tolist()
    assert told["columns"]["area_um2"][0] is None, "JSON has no NaN"
    json.loads(json.dumps(told, allow_nan=False))


@pytest.mark.parametrize("down", ["0", "1"])
@pytest.mark.parametrize("by", ["area_um2", "pixels", "class", "id"])
def test_pages_together_are_the_sorted_table(made, pages, by, down):
    values, ids = made[0][by].astype(float), []
    for start in range(0, NUMBER + 90, 90):
        ids += pages.page({"sort": by, "down": down, "start": str(start), "count": "90"})["ids"]
    assert sorted(ids) == list(range(1, NUMBER + 1))
    there = values[np.array(ids) - 1]
    known = there[~np.isnan(there)]
    assert np.isnan(there[len(known) :]).all(), "what has no value comes last, whichever the direction"
    assert (np.diff(known) <= 0).all() if down == "1" else (np.diff(known) >= 0).all()


def test_only_what_is_shown_is_in_it(made, pages):
    wishes = {"sort": "area_um2", "by": "pixels", "low": "5", "high": "9", "count": "500"}
    wanted = np.flatnonzero((made[0]["pixels"] >= 5) & (made[0]["pixels"] <= 9)) + 1
    told = pages.page(wishes)
    assert told["total"] == len(wanted) == len(told["ids"])
    assert sorted(told["ids"]) == wanted.tolist()
    for place in (0, 7, len(wanted) - 1):
        assert pages.place(told["ids"][place], wishes) == place
    hidden = next(number for number in range(1, NUMBER + 1) if number not in wanted)
    assert pages.place(hidden, wishes) is None
    assert pages.place(NUMBER + 1, {}) is None


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"start": "-1"}, "start is no whole number"),
        ({"count": "ten"}, "count is no whole number"),
        ({"sort": "class_name"}, "no such column"),
        ({"columns": "id,nothing"}, "no such column"),
        ({"columns": ",".join(["id"] * 41)}, "too many columns"),
    ],
)
def test_wishes_without_sense_are_one_line(pages, wishes, message):
    with pytest.raises(ConfigError, match=message):
        pages.page(wishes)


def test_a_page_has_an_end(pages):
    assert len(pages.page({"count": "99999999999999999999999"})["ids"]) == MOST_ROWS
    assert pages.page({"start": "99999999999999999999999"})["ids"] == []
