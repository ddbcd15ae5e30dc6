"""Where the time of a run went, on its page."""

import re

import pytest

from slideseg.cohort.spent import spent, stages_of
from tests.unit.cohort.test_markup import EVIL, Parsed

STAGES = {"plan": 1.0, "segment": 80.0, "objects": 0.0}
WORKERS = [
    {"node": "b", "tasks": 12, "seconds": 90.0, "busy": 45.0, "idle": 0.5},
    {"node": "a", "tasks": 1300, "seconds": 3700.0, "busy": 3700.0, "idle": 0.0},
]


def rows_of(html):
    return [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", html) if "<td>" in row]


def test_stages_are_added_up_over_the_slides_and_workers_have_a_row_each():
    html = spent({"slides": [{"stage_seconds": STAGES}, {"stage_seconds": STAGES}, {"status": "failed"}], "by_worker": WORKERS})
    assert rows_of(html) == [
        ["plan", "2 s", "1.2 %"],
        ["segment", "2:40 min", "98.8 %"],
        ["objects", "0 s", "0.0 %"],
        ["<bdi>a</bdi>", "1,300", "1:01 h", "1:01 h", "0.0 %"],
        ["<bdi>b</bdi>", "12", "1:30 min", "45 s", "50.0 %"],
    ]


@pytest.mark.parametrize("slide", [{}, {"stage_seconds": dict.fromkeys(STAGES, 0.0)}])
def test_of_what_is_not_known_there_is_nothing(slide):
    assert spent({"slides": [slide]}) == ""
    assert stages_of(slide) == []


def test_names_of_machines_are_text():
    html = spent({"slides": [], "by_worker": [{**WORKERS[0], "node": EVIL}]})
    assert {kind for kind, _ in Parsed(html).tags} <= {
        "div",
        "section",
        "h2",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "bdi",
    }
