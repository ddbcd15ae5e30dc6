"""Exports are written whole or not at all, and say in one line why they can't be."""

import os

import pytest

from slideseg.errors import ConfigError, ResultError, RunError
from slideseg.exports.run import export
from slideseg.model.file import save_model
from slideseg.model.network.unet import UNet
from slideseg.result.result import open_result
from slideseg.storage.whole_file import check_target, whole
from tests.made_results import make_result
from tests.unit.exports.conftest import SHAPE, left, picture
from tests.unit.model.test_file import CONFIG, INFO


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        ("pdf", {}, "no such format"),
        ("png", {"simplify": 1.0}, "simplify is an option of geojson"),
        ("geojson", {"size": 100}, "size is an option of png"),
        ("geojson", {"simplify": -1.0}, "simplify is out of range"),
        ("png", {"opacity": 2.0}, "opacity is out of range"),
        ("png", {"size": 0}, "size is out of range"),
        ("png", {"plane": 1}, "plane is out of range"),
        ("png", {"colour": 1}, "unknown option"),
        ("png", {"labels": "cells"}, "labels can't be like that"),
        ("geojson", {"object_type": "cell"}, "object_type can't be like that"),
    ],
)
def test_wrong_options_are_refused(result, tmp_path, to, options, message):
    with pytest.raises(ConfigError, match=message):
        export(result[0], to, tmp_path / "x", **options)
    assert left(tmp_path) == []


def test_a_slide_is_never_replaced(result):
    slide = open_result(result[0]).record.slide.path
    with pytest.raises(ConfigError, match="would replace the slide itself"):
        export(result[0], "png", slide, overwrite=True)


def test_a_target_that_is_there_stays(result, tmp_path):
    (tmp_path / "x.png").write_bytes(b"mine")
    with pytest.raises(ResultError, match="the target exists"):
        export(result[0], "png", tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == b"mine"
    export(result[0], "png", tmp_path / "x.png", size=10, overwrite=True)
    assert picture(tmp_path / "x.png").shape[1] == 10


@pytest.mark.parametrize(("output", "message"), [("s3://b/x.png", "local files"), ("no/x.png", "does not exist")])
def test_a_target_that_cannot_be_written(output, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultError, match=message):
        check_target(output, overwrite=False)


def test_a_folder_is_no_target(tmp_path):
    with pytest.raises(ResultError, match="is a folder"):
        check_target(tmp_path, overwrite=True)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The current folder: a file, what is no file, and links."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "elsewhere").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, to in {
        "to_file": "file", "to_pipe": "pipe", "to_device": "/dev/null", "to_new": "elsewhere/new", "loop": "loop",
    }.items():  # fmt: skip
        (tmp_path / name).symlink_to(to)
    return tmp_path


@pytest.mark.parametrize("name", ["pipe", "to_pipe", "to_device", "loop"])
def test_what_is_no_file_is_not_replaced_by_one(made, name):
    """Who may write to /dev could have made a file of /dev/null."""
    before = (made / name).lstat()
    for write in (lambda: check_target(name, overwrite=True), lambda: whole(made / name).__enter__()):
        with pytest.raises(ResultError, match=r"the target (is no file|can't be written)"):
            write()
    with pytest.raises(ResultError, match=r"the target (is no file|can't be written)"):
        save_model(made / name, UNet(CONFIG), INFO)
    assert os.path.samestat((made / name).lstat(), before)


@pytest.mark.parametrize(("name", "to"), [("to_file", "file"), ("to_new", "elsewhere/new")])
def test_what_a_link_leads_to_is_written(made, name, to):
    with whole(check_target(name, overwrite=True)) as partial:
        assert partial.parent == (made / to).parent, "where it can be renamed"
        partial.write_bytes(b"new")
    assert (made / to).read_bytes() == b"new"
    assert (made / name).is_symlink()


def test_a_link_to_a_part_of_a_result_is_refused(class_map, tmp_path):
    make_result(tmp_path / "x.zarr", class_map[:300, :300])
    (tmp_path / "link.png").symlink_to(tmp_path / "x.zarr" / "zarr.json")
    with pytest.raises(ResultError, match="the target lies inside a Zarr store"):
        check_target(tmp_path / "link.png", overwrite=True)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(RunError, match=r"can't be written .*No space"), whole(tmp_path / "x.png") as partial:  # noqa: PT012
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "said"), [((13, "mine", "{}"), "Permission denied"), (("no room in {}",), "no room in {}")]
)
def test_an_error_names_the_target_not_the_file_that_becomes_it(tmp_path, arguments, said):
    target = tmp_path / "x.png"
    with pytest.raises(RunError) as caught, whole(target) as partial:
        raise OSError(*(one.format(partial) if isinstance(one, str) else one for one in arguments))
    assert str(caught.value) == f"{target} can't be written (got {said.format(target)})"


@pytest.mark.parametrize(
    "target", ["x.zarr/labels/segmentation/0/c/0/0", "x.zarr/zarr.json", "x.zarr/tables/t.png", "link/t.png"]
)
def test_a_target_inside_a_result_is_refused(class_map, tmp_path, target):
    """A result is never replaced by what is made of it."""
    make_result(tmp_path / "x.zarr", class_map[:300, :300])
    (tmp_path / "x.zarr" / "tables").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "x.zarr" / "tables")
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    with pytest.raises(ResultError, match=r"the target lies inside a Zarr store .*want a file outside .*x\.zarr\)"):
        export(tmp_path / "x.zarr", "png", tmp_path / target, overwrite=True)
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before


def test_an_unfinished_result_is_refused(class_map, tmp_path):
    make_result(tmp_path / "x.zarr", class_map, finish=False)
    with pytest.raises(ResultError, match="is unfinished"):
        export(tmp_path / "x.zarr", "png", tmp_path / "x.png")


def test_objects_that_are_not_there_are_missed(class_map, tmp_path):
    make_result(tmp_path / "x.zarr", class_map[:64, :64])
    with pytest.raises(ResultError, match=r"has no objects .*slideseg objects"):
        export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson", labels="objects")


@pytest.mark.parametrize("to", ["geojson", "ome-tiff", "png"])
@pytest.mark.parametrize("missing", [False, True])
def test_a_damaged_shard_is_one_line_and_leaves_nothing(class_map, tmp_path, to, missing):
    make_result(tmp_path / "x.zarr", class_map)
    (tmp_path / "out").mkdir()
    shard = tmp_path / "x.zarr/labels/segmentation/0/c/2/3"
    data = bytearray(shard.read_bytes())
    data[40] ^= 255
    shard.write_bytes(data)
    if missing:
        shard.unlink()
    with pytest.raises(ResultError, match=r"shard labels/segmentation/0/c/2/3 is (missing|damaged)"):
        export(tmp_path / "x.zarr", to, tmp_path / "out" / "x", **({"size": 2000} if to == "png" else {}))
    assert left(tmp_path / "out") == []


def test_progress_is_told(result, tmp_path):
    seen = []
    export(result[0], "ome-tiff", tmp_path / "x.tif", on_progress=seen.append)
    assert seen[-1].done == seen[-1].total > SHAPE[0] * SHAPE[1]
    assert seen[0].phase == "exporting"
