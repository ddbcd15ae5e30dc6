"""The dashboard asks for what runs tell, and can be imported."""

import itertools
import json
import re

import pytest

from slideseg.tasks.metrics import COUNTERS, GAUGES
from tests.unit.cluster import CLUSTER

COLUMNS = 24
LABELS = {f"ray_{name}_total": tags for name, (_, tags) in COUNTERS.items()} | {
    f"ray_{name}": tags for name, (_, tags) in GAUGES.items()
}
"""Of each name, as Ray gives them to Prometheus."""


@pytest.fixture(scope="module")
def board():
    return json.loads((CLUSTER / "grafana" / "slideseg.json").read_text(encoding="utf-8"))


def queries(board):
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_every_name_is_one_that_a_run_tells_and_none_is_left_out(board):
    asked = {name for query in queries(board) for name in re.findall(r"ray_\w+", query)}
    assert asked == set(LABELS)
    for variable in board["templating"]["list"][1:]:
        name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
        assert (label in LABELS[name], label) == (True, variable["name"])


def test_labels_are_those_of_their_names_and_every_query_is_of_the_chosen_runs(board):
    for query in queries(board):
        found = re.findall(r"(ray_\w+)\{(.*?)\}", query)
        assert len(found) == len(re.findall(r"ray_", query)), query
        for name, selectors in found:
            chosen = re.findall(r'(\w+)=~"\$(\w+)"', selectors)
            assert ("run", "run") in chosen
            assert {label for label, _ in chosen} <= set(LABELS[name])
        grouped = {label.strip() for labels in re.findall(r"by \((.*?)\)", query) for label in labels.split(",")}
        assert all(grouped <= set(LABELS[name]) for name, _ in found), query


def test_counters_are_asked_for_rates_or_totals_and_gauges_are_not(board):
    for query in queries(board):
        for call, name in re.findall(r"(\w*)\(?(ray_\w+)", query):
            assert call not in ("rate", "max_over_time") or name.endswith("_total"), query


def test_the_board_can_be_imported_and_panels_do_not_overlap(board):
    assert isinstance(board["schemaVersion"], int)
    assert {"title", "uid", "panels", "templating", "time"} <= set(board)
    assert "id" not in board, "Grafana gives it one"
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    cells = [set(cells_of(panel["gridPos"])) for panel in board["panels"]]
    assert all(not one & other for one, other in itertools.combinations(cells, 2))
    assert all(0 <= x < COLUMNS for some in cells for x, _ in some)
    for panel in board["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def cells_of(place):
    rows, columns = range(place["y"], place["y"] + place["h"]), range(place["x"], place["x"] + place["w"])
    return itertools.product(columns, rows)


def test_the_page_on_clusters_names_them_all():
    page = (CLUSTER.parent / "docs" / "clusters.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| `ray_slideseg_")]
    named = {name: tuple(re.findall(r"`(\w+)`", row.split("|")[2])) for row in rows for name in re.findall(r"`(ray_\w+)`", row)}
    assert named == LABELS
