"""Edits as the page makes them."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

import slideseg
from slideseg.errors import ConfigError, ResultError
from slideseg.instances.run import objects
from slideseg.result.edits import read_edits, write_edits
from slideseg.viewer.edit_list import EditList
from tests.made_results import blobs, make_result


@pytest.fixture
def result(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)))
    objects(tmp_path / "x.zarr")
    return slideseg.open_result(tmp_path / "x.zarr")


def test_a_change_is_written_and_can_be_taken_back(result):
    edits = EditList(result, editable=True)
    assert edits.told() == {
        "editable": True, "problem": None, "classes": ("nucleus", "stroma & more"), "revision": 0, "number": 0
    }  # fmt: skip
    answers = [
        edits.change({"id": 5, "class": "nucleus"}, "stroma & more"),
        edits.change({"id": 5, "removed": True}, "stroma & more"),
        edits.change({"id": 7, "removed": True}, "nucleus"),
    ]
    assert read_edits(result) == {5: None, 7: None}
    assert [answer["revision"] for answer in answers] == [1, 2, 3]
    assert answers[1]["before"] == {"id": 5, "class": "nucleus"}
    edits.change(answers[1]["before"], "stroma & more")
    assert read_edits(result) == {5: "nucleus", 7: None}
    edits.change(answers[0]["before"], "stroma & more")
    assert read_edits(result) == {7: None}


def test_the_own_class_is_no_edit(result):
    edits = EditList(result, editable=True)
    edits.change({"id": 5, "removed": True}, "nucleus")
    edits.change({"id": 5, "class": "nucleus"}, "nucleus")
    assert read_edits(result) == {}


def test_a_list_that_is_there_goes_on(result):
    write_edits(result, {1: None, 2: "nucleus"})
    edits = EditList(result, editable=True)
    assert (edits.told()["number"], edits.told()["revision"]) == (2, 1)
    assert (edits.of(1), edits.of(2), edits.of(3)) == ({"removed": True}, {"class": "nucleus"}, {})
    edits.change({"id": 3, "removed": True}, "nucleus")
    assert read_edits(result) == {1: None, 2: "nucleus", 3: None}


def test_what_somebody_else_wrote_meanwhile_is_not_lost(result):
    edits = EditList(result, editable=True)
    edits.change({"id": 1, "removed": True}, "nucleus")
    write_edits(result, {9: None})
    with pytest.raises(ResultError, match="changed by somebody else"):
        edits.change({"id": 2, "removed": True}, "nucleus")
    assert read_edits(result) == {9: None}


def test_a_list_of_other_objects_is_told_and_left_as_it_is(result, tmp_path):
    (tmp_path / "x.edits.json").write_text(json.dumps({"slideseg": "edits/1", "edits": []}))
    before = (tmp_path / "x.edits.json").read_bytes()
    edits = EditList(result, editable=True)
    assert "belongs to other objects" in edits.told()["problem"]
    assert not edits.editable
    with pytest.raises(ResultError, match="belongs to other objects"):
        edits.change({"id": 2, "removed": True}, "nucleus")
    assert (tmp_path / "x.edits.json").read_bytes() == before


def test_only_who_may_can_change_something(result, tmp_path):
    with pytest.raises(ResultError, match="no --edit"):
        EditList(result, editable=False).change({"id": 2, "removed": True}, "nucleus")
    assert not (tmp_path / "x.edits.json").exists()


@pytest.mark.parametrize(
    "said",
    [
        None,
        7,
        {},
        {"id": 1},
        {"id": "1", "removed": True},
        {"id": 1, "removed": 0},
        {"id": True, "removed": True},
        {"id": 1, "class": ""},
    ],
)
def test_what_is_no_change_is_one_line(result, said):
    with pytest.raises(ConfigError, match="this is no edit"):
        EditList(result, editable=True).change(said, "nucleus")


@pytest.mark.parametrize("said", [{"id": 0, "removed": True}, {"id": 10**9, "removed": True}, {"id": 1, "class": "background"}])
def test_what_makes_no_sense_is_not_written(result, tmp_path, said):
    with pytest.raises(ResultError):
        EditList(result, editable=True).change(said, "nucleus")
    assert not (tmp_path / "x.edits.json").exists()


def test_beside_a_result_in_a_bucket_nothing_is_looked_for(result):
    result.url = "s3://no-such-bucket/x.zarr"
    assert EditList(result, editable=False).told()["problem"] is None
    assert "edits lie beside a local result" in EditList(result, editable=True).told()["problem"]


def test_of_two_writers_at_once_no_change_that_was_taken_is_lost(result):
    """Each as in a server of its own; who is refused reads the list again and tries once more."""

    def write(numbers):
        edits = EditList(result, editable=True)
        for number in numbers:
            while True:
                try:
                    edits.change({"id": number, "removed": True}, "nucleus")
                    break
                except ResultError:
                    edits = EditList(result, editable=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (range(1, 21), range(21, 41))))
    assert sorted(read_edits(result)) == list(range(1, 41))
