"""Classes are chosen by their names, and regions of the outer part of objects are left out unless they are asked for."""

import csv
import json

import pytest

import slideseg
from slideseg.errors import ConfigError
from slideseg.exports.run import export
from slideseg.testing.records import made_classes
from tests.made_results import blobs, make_result
from tests.qupath_reader import read_objects
from tests.results_of_discs import a_class_map, write_result


@pytest.fixture(scope="module")
def blobs_of_two(tmp_path_factory):
    """A result with objects of two classes."""
    path = tmp_path_factory.mktemp("chosen") / "x.zarr"
    make_result(path, blobs((500, 600)))
    slideseg.objects(path)
    return path


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """A result with a border class, and without objects."""
    return write_result(tmp_path_factory.mktemp("discs") / "x.zarr", a_class_map())


def names_in(path):
    return {one.name for one in read_objects(path)}


@pytest.mark.parametrize("labels", ["objects", "segmentation"])
def test_only_the_classes_that_are_named(blobs_of_two, tmp_path, labels):
    every = export(blobs_of_two, "geojson", tmp_path / "all.geojson", labels=labels)
    parts = []
    for name in ("nucleus", "stroma & more"):
        report = export(blobs_of_two, "geojson", tmp_path / "x.geojson", labels=labels, classes=(name,), overwrite=True)
        parts.append(read_objects(tmp_path / "x.geojson"))
        assert names_in(tmp_path / "x.geojson") == {name}
        assert report.features == len(parts[-1]) > 20
        assert report.notes == ()
    both = export(blobs_of_two, "geojson", tmp_path / "y.geojson", labels=labels, classes=("stroma & more", "nucleus"))
    assert sum(map(len, parts)) == every.features == both.features
    all_of_them = {str(one.id): one for one in read_objects(tmp_path / "all.geojson")}
    assert all(all_of_them[str(one.id)] == one for part in parts for one in part), "the same objects, ids and numbers"


@pytest.mark.parametrize("to", ["csv", "parquet", "anndata"])
def test_tables_have_only_the_rows_of_these_classes(blobs_of_two, tmp_path, to):
    every = export(blobs_of_two, "csv", tmp_path / "all.csv").rows
    counts = [export(blobs_of_two, to, tmp_path / n, classes=(n,)).rows for n in ("nucleus", "stroma & more")]
    assert sum(counts) == every
    assert min(counts) > 20
    export(blobs_of_two, "csv", tmp_path / "nuclei.csv", classes=("nucleus",))
    with (tmp_path / "nuclei.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["class_name"] for row in rows} == {"nucleus"}
    assert len(rows) == counts[0]


def test_an_unknown_class_is_refused_with_the_names_there_are(blobs_of_two, tmp_path):
    with pytest.raises(ConfigError, match=r"no such class of objects \(got Nucleus, want nucleus, stroma & more\)"):
        export(blobs_of_two, "geojson", tmp_path / "x.geojson", classes=("Nucleus", "nucleus"))
    with pytest.raises(ConfigError, match="classes is an option of geojson"):
        export(blobs_of_two, "png", tmp_path / "x.png", classes=("nucleus",))
    assert list(tmp_path.iterdir()) == []


def test_regions_of_the_border_are_left_out_and_that_is_said(discs, tmp_path):
    report = export(discs, "geojson", tmp_path / "x.geojson")
    assert names_in(tmp_path / "x.geojson") == {"nucleus"}
    (note,) = report.notes
    assert "border is left out" in note
    assert "--class border" in note
    report = export(discs, "geojson", tmp_path / "y.geojson", classes=("nucleus", "border"))
    assert names_in(tmp_path / "y.geojson") == {"nucleus", "border"}
    assert report.notes == ()
    assert json.loads((tmp_path / "x.geojson").read_text())["features"]


def test_a_border_that_is_all_there_is_stays(tmp_path):
    """As of a model of membranes."""
    make_result(tmp_path / "x.zarr", blobs((100, 120)).clip(0, 1), classes=made_classes("background", "border"))
    report = export(tmp_path / "x.zarr", "geojson", tmp_path / "x.geojson")
    assert report.features > 0
    assert report.notes == ()
