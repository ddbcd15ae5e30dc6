"""Which place lies in which, whatever they are called; what an output must not replace."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from slideseg.errors import ConfigError, ModelError, ResultError
from slideseg.model.bundled import find_model
from slideseg.storage.place import absolute, check_kept, check_parent, is_within, local_path, locate, near
from slideseg.storage.store import open_store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: r.zarr with an array in it, and links to both."""
    (tmp_path / "r.zarr" / "0").mkdir(parents=True)
    (tmp_path / "to_r").symlink_to("r.zarr")
    (tmp_path / "to_array").symlink_to(tmp_path / "r.zarr" / "0")
    (tmp_path / "r.zarr2").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "place",
    ["r.zarr", "r.zarr/", "r.zarr/0", "r.zarr/0/c/1", "./x/../r.zarr/0", "to_r", "to_r/0", "to_array", "r.zarr/a.tif"],
)
@pytest.mark.parametrize("outer", ["r.zarr", "r.zarr/", "r.zarr/0/..", "to_r", "file://{here}/r.zarr"])
def test_what_lies_in_a_folder_is_found_by_any_name(here: Path, place: str, outer: str) -> None:
    assert is_within(place, outer.format(here=here))
    assert is_within(here / place, outer.format(here=here))


@pytest.mark.parametrize("place", [".", "..", "r.zarr2", "r.zar", "x/r.zarr", "s3://bucket/r.zarr", "https://host/r.zarr", "/"])
def test_what_lies_beside_or_around_it_does_not(here: Path, place: str) -> None:
    assert not is_within(place, "r.zarr")


def test_a_folder_that_is_not_there_yet_has_one_name(here: Path) -> None:
    assert is_within("new.zarr/0", "new.zarr")
    assert not is_within("r.zarr/0", "new.zarr")


def test_one_folder_may_have_two_names(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As mounts have, and any where letters' size does not count; made by telling that the two are the same."""
    stat = os.stat
    monkeypatch.setattr("os.stat", lambda path, **options: stat(str(path).replace("r.zarr2", "r.zarr"), **options))
    assert is_within("r.zarr2/0", "r.zarr")
    assert is_within("r.zarr2/new/x", "r.zarr/new"), "also what is in none of them yet"
    assert not is_within("r.zarr/0", "same")


def test_where_a_file_system_gives_no_numbers_names_tell(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.stat", lambda *_, **__: os.stat_result((0o40755, 0, 7, 1, 0, 0, 0, 0, 0, 0)))
    assert is_within("r.zarr/0", "r.zarr")
    assert not is_within("r.zarr2", "r.zarr")


@pytest.mark.parametrize("path", ["a\0.tif", "file:///a%00.tif", "bad\udcff.tif", "s3://bucket/a\0.tif", "~/\0"])
def test_what_can_not_be_a_name_is_told_wherever_it_is_named(path: str) -> None:
    for look in (local_path, locate, absolute, open_store, check_parent, find_model):
        with pytest.raises(ConfigError, match=r"no path|not UTF-8"):
            look(path)


def test_who_has_no_home_is_a_name_like_others(here: Path) -> None:
    for look in (local_path, find_model, absolute, locate):
        with contextlib.suppress(ModelError):
            look("~nobody-is-called-so/x.tif")
    assert local_path("~nobody-is-called-so/x.tif") == "~nobody-is-called-so/x.tif"


@pytest.mark.parametrize(
    ("place", "outer", "wanted"),
    [
        ("s3://b/r.zarr/0", "s3://b/r.zarr", True),
        ("s3://b/r.zarr", "s3://b/r.zarr/", True),
        ("s3://b/r.zarr/0", "s3://b", True),
        ("s3://b/r.zarr2", "s3://b/r.zarr", False),
        ("s3://c/r.zarr/0", "s3://b/r.zarr", False),
        ("r.zarr/0", "s3://b", False),
        ("r.zarr", "https://host", False),
    ],
)
def test_buckets_have_folders_too(place: str, outer: str, wanted: bool) -> None:
    assert is_within(place, outer) == wanted


def test_where_nothing_can_be_created_is_told(here: Path) -> None:
    check_parent("new.zarr")
    for place, told in {
        "none/new.zarr": "does not exist",
        "/proc/new.zarr": r"can't be written \(got /proc: ",
        "": "needs a name",
        "/": "needs a name",
    }.items():
        with pytest.raises(ResultError, match=told):
            check_parent(place)
    assert sorted(path.name for path in here.iterdir()) == ["r.zarr", "r.zarr2", "to_array", "to_r"]


def test_what_would_be_replaced_is_named(here: Path) -> None:
    check_kept(["r.zarr2", "https://host/x"], "r.zarr", "the slide")
    with pytest.raises(ConfigError, match=r"would replace the slide \(got to_r/0 in r.zarr; try another --output\)"):
        check_kept(["r.zarr2", "to_r/0"], "r.zarr", "the slide")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("scans/biopsy1.swz", "scans/biopsy1.svs"),
        ("scans/BIOPSY1.SVS", "scans/biopsy1.svs"),
        ("scnas/biopsy1.svs", "scans/biopsy1.svs"),
        ("scnas/other.svs", "scans"),
        ("scan/", "scans"),
        ("scans/biopsy1.svs", None),
        ("nothing alike", None),
        ("scans/biopsy1.svs/x", None),
        ("s3://scans/biopsy", None),
        ("", None),
    ],
)
def test_what_is_nearly_called_so_may_be_meant(typed, meant, tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "biopsy1.svs").touch()
    monkeypatch.chdir(tmp_path)
    assert near(typed) == meant
    if typed and "://" not in typed:
        assert near(str(tmp_path / typed)) == (meant and str(tmp_path / meant))


def test_of_a_link_that_leads_nowhere_it_is_said_where(tmp_path):
    (tmp_path / "slide.tif").symlink_to("/nowhere/slide.tif")
    (tmp_path / "slides").symlink_to("/nowhere")
    for typed, link, target in (("slide.tif", "slide.tif", "/nowhere/slide.tif"), ("slides/a.tif", "slides", "/nowhere")):
        assert near(tmp_path / typed) == f"to mend it: {tmp_path / link} is a link to {target}, which is not there"
