"""Of a document and its copy it is known which is damaged, whatever bit of either flips."""

import json
from pathlib import Path

import pytest

from slideseg.errors import ResultError
from slideseg.result.manifest import MAP_PART
from slideseg.result.twice import attributes_in, find_twins, group_text, write_twice
from slideseg.storage.store import open_store
from tests.damage import flipped, rewrite

SAID = {"ome": {"version": "0.5", "name": "a slide"}, "slideseg": {"status": "complete", "mpp": 0.5}}


@pytest.fixture
def place(tmp_path):
    write_twice(open_store(tmp_path), MAP_PART, SAID)
    return tmp_path


def twins(place):
    return find_twins(open_store(place, read_only=True), MAP_PART)


def test_what_is_whole_is_read(place):
    found = twins(place)
    assert (found.damaged, found.copy_damaged) == (False, False)
    assert {key: found.attributes[key] for key in SAID} == SAID
    assert attributes_in(Path(place, "zarr.json").read_bytes(), "zarr.json") == found.attributes


@pytest.mark.parametrize("key", [MAP_PART.document, MAP_PART.copy])
def test_every_flipped_byte_of_either_is_seen_and_the_other_is_believed(place, key):
    file = place / key
    data, text = file.read_bytes(), Path(place, MAP_PART.document).read_text()
    for at in range(len(data)):
        file.write_bytes(flipped(data, at))
        found = twins(place)
        assert (found.damaged, found.copy_damaged, found.text) == (key == "zarr.json", key != "zarr.json", text)
    for content in (None, b"", b"[" * 100_000, b"[]", b'{"attributes": []}', data[: len(data) // 2], b"\xff"):
        file.unlink() if content is None else file.write_bytes(content)
        found = twins(place)
        assert (found.damaged, found.copy_damaged, found.text) == (key == "zarr.json", key != "zarr.json", text)
        file.write_bytes(data)


def test_where_both_are_damaged_nobody_knows(place):
    for key in (MAP_PART.document, MAP_PART.copy):
        Path(place, key).write_bytes(b"{")
    assert twins(place).attributes == {}
    assert twins(place).text is None


def test_a_document_of_another_time_is_believed_and_not_its_copy(place):
    rewrite(place / "zarr.json", lambda said: said["slideseg"].update(status="running"))
    found = twins(place)
    assert (found.damaged, found.copy_damaged, found.attributes["slideseg"]["status"]) == (False, True, "running")


def test_what_older_versions_and_others_wrote_is_no_damage(tmp_path):
    for attributes in (SAID, {"other": 1}, {}):
        Path(tmp_path, "zarr.json").write_text(group_text(attributes))
        assert (twins(tmp_path).damaged, twins(tmp_path).copy_damaged) == (False, False)
    Path(tmp_path, "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "array"}))
    assert not twins(tmp_path).damaged
    assert attributes_in(None, "zarr.json") == {}


def test_every_reader_refuses_a_changed_record(place):
    file = place / "zarr.json"
    file.write_text(file.read_text().replace('"mpp": 0.5', '"mpp": 0.4'))
    with pytest.raises(ResultError, match=r"zarr\.json is damaged .*verify --repair"):
        attributes_in(file.read_bytes(), "zarr.json")
