"""Lists of edits beside results."""

import json
import shutil

import numpy as np
import pytest

import slideseg
from slideseg.errors import ResultError, RunError
from slideseg.instances.run import objects
from slideseg.result import edits as module
from slideseg.result.edits import edits_path, read_edits, write_edits
from tests.made_results import blobs, make_result
from tests.results_of_discs import files


@pytest.fixture
def made(tmp_path):
    make_result(tmp_path / "biopsy.zarr", blobs((300, 300)))
    objects(tmp_path / "biopsy.zarr")
    return slideseg.open_result(tmp_path / "biopsy.zarr")


def test_what_is_written_is_read_and_the_result_stays_as_it_is(made, tmp_path):
    before = files(made.url)
    wanted = {3: "nucleus", 1: None, 2: "stroma & more"}
    written = write_edits(made, wanted)
    assert read_edits(made) == wanted
    assert files(made.url) == before
    assert edits_path(made) == tmp_path / "biopsy.edits.json"
    assert (tmp_path / "biopsy.edits.json").read_bytes() == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["biopsy.edits.json", "biopsy.zarr"]


def test_the_file_is_what_the_docs_say(made, tmp_path):
    write_edits(made, {13: None, 12: "nucleus"})
    said = json.loads((tmp_path / "biopsy.edits.json").read_text())
    assert list(said) == ["slideseg", "result", "model_sha256", "table_sha256", "edits"]
    assert (said["slideseg"], said["result"], len(said["table_sha256"])) == ("edits/1", "biopsy.zarr", 64)
    assert said["edits"] == [{"id": 12, "class": "nucleus"}, {"id": 13, "removed": True}]


def test_without_a_list_nothing_is_edited(made):
    assert read_edits(made) == {}


def test_a_list_follows_its_result_to_another_name(made, tmp_path):
    """Whose objects they are is said by the hashes, not by the name."""
    write_edits(made, {1: None})
    shutil.copytree(made.url, tmp_path / "other.zarr")
    shutil.copy(tmp_path / "biopsy.edits.json", tmp_path / "other.edits.json")
    assert read_edits(slideseg.open_result(tmp_path / "other.zarr")) == {1: None}


def test_a_list_of_other_objects_is_refused(made, tmp_path):
    write_edits(made, {1: None})
    objects(made.url, min_area=30, overwrite=True)
    with pytest.raises(
        ResultError, match=r"biopsy\.edits\.json belongs to other objects \(got another table_sha256; try to move it"
    ):
        read_edits(slideseg.open_result(made.url))
    path = tmp_path / "biopsy.edits.json"
    path.write_text(path.read_text().replace('"model_sha256": "', '"model_sha256": "0'))
    with pytest.raises(ResultError, match="another model_sha256"):
        read_edits(made)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ('{"id": 1}', "can't be read"),
        ('{"id": 1, "removed": false}', "can't be read"),
        ('{"id": 1, "class": "nucleus", "removed": true}', "can't be read"),
        ('{"id": true, "removed": true}', "can't be read"),
        ('{"id": 1.0, "removed": true}', "can't be read"),
        ('{"id": 1, "class": 1}', "can't be read"),
        ("7", "can't be read"),
        ('{"id": 1, "removed": true}, {"id": 1, "class": "nucleus"}', "two edits of object 1"),
        ('{"id": 0, "removed": true}', "no such object to edit"),
        ('{"id": 99999, "removed": true}', "no such object to edit"),
        ('{"id": 1, "class": "background"}', "no class of objects has this name"),
    ],
)
def test_an_edit_that_is_none_is_one_line(made, tmp_path, entries, message):
    write_edits(made, {1: None})
    path = tmp_path / "biopsy.edits.json"
    path.write_text(path.read_text().replace('{"id": 1, "removed": true}', entries))
    with pytest.raises(ResultError, match=message) as failed:
        read_edits(made)
    assert len(str(failed.value).splitlines()) == 1


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[" * 100_000, b"[]", b'{"slideseg": "edits/2", "edits": []}', b'{"slideseg": "edits/1"}']
)
def test_a_file_that_is_no_list_is_one_line(made, tmp_path, data):
    (tmp_path / "biopsy.edits.json").write_bytes(data)
    with pytest.raises(ResultError, match=r"biopsy\.edits\.json can't be read"):
        read_edits(made)


def test_a_file_without_end_is_not_read(made, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    (tmp_path / "biopsy.edits.json").write_bytes(b" " * 101)
    with pytest.raises(ResultError, match="101 bytes"):
        read_edits(made)


def test_what_makes_no_sense_is_not_written(made, tmp_path):
    for edits in ({0: None}, {1: "background"}, {1: "nothing"}, {10**6: None}):
        with pytest.raises(ResultError):
            write_edits(made, edits)
    assert not (tmp_path / "biopsy.edits.json").exists()


def test_a_list_that_can_not_be_written_leaves_the_one_before(made, tmp_path, monkeypatch):
    written = write_edits(made, {1: None})
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(RunError, match="can't be written"):
        write_edits(made, {1: None, 2: None})
    assert (tmp_path / "biopsy.edits.json").read_bytes() == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["biopsy.edits.json", "biopsy.zarr"]


def test_without_objects_there_is_nothing_to_edit(tmp_path):
    make_result(tmp_path / "x.zarr", np.ones((64, 64), np.uint8))
    with pytest.raises(ResultError, match="no objects to edit"):
        write_edits(slideseg.open_result(tmp_path / "x.zarr"), {1: None})
