"""``slideseg export`` on the command line."""

import json

import pytest

from slideseg.cli import main
from tests.made_results import blobs, make_result
from tests.results_of_discs import a_class_map, write_result


@pytest.fixture
def here(tmp_path, monkeypatch):
    make_result(tmp_path / "x.zarr", blobs((100, 120)), objects=True, table=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["export", *map(str, arguments)])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


@pytest.mark.parametrize(("to", "name"), [("geojson", "x.geojson"), ("ome-tiff", "x.ome.tif"), ("png", "x.png")])
def test_the_file_is_named_after_the_result(here, capsys, to, name):
    code, out, _ = run(capsys, "x.zarr", "--to", to)
    assert code == 0
    assert out.startswith(f"{name}: ")
    assert (here / name).stat().st_size > 0


def test_the_report_is_one_object(here, capsys):
    code, out, _ = run(capsys, "x.zarr", "--to", "geojson", "-o", "y.geojson.gz", "--simplify", 1, "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["status"], report["error"], report["labels"]) == ("ok", None, "objects")
    assert report["bytes"] == (here / "y.geojson.gz").stat().st_size
    assert report["features"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["x.zarr"], 2, "--to"),
        (["x.zarr", "--to", "pdf"], 2, "'pdf' is not one of"),
        (["y.zarr", "--to", "png"], 2, "no such result"),
        (["x.zarr", "--to", "png", "-o", "no/x.png"], 2, "does not exist"),
        (["x.zarr", "--to", "geojson", "--size", "5"], 2, "size is an option of png"),
        (["x.zarr", "--to", "png", "-o", "q.png.gz"], 2, "--to png is not packed (got q.png.gz; try q.png)"),
        (["x.zarr", "--to", "parquet", "-o", "q.Zip"], 2, "--to parquet is not packed (got q.Zip; try q)"),
    ],
)
def test_a_failure_is_one_line(here, capsys, arguments, code, message):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (code, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_classes_are_chosen_by_name_and_what_is_left_out_is_said(here, capsys):
    write_result(here / "discs.zarr", a_class_map())
    code, out, err = run(capsys, "discs.zarr", "--to", "geojson")
    assert code == 0
    said = "note: border is left out: it is the outer part of objects, in pieces; --class border exports it"
    assert err.splitlines()[-1] == said
    code, both, err = run(
        capsys, "discs.zarr", "--to", "geojson", "--class", "nucleus", "--class", "border", "-o", "y.geojson", "--json"
    )
    report = json.loads(both)
    assert (code, report["notes"]) == (0, [])
    assert "note" not in err
    assert f" {report['features']} features" not in out
    code, _, err = run(capsys, "discs.zarr", "--to", "geojson", "--class", "stroma", "-o", "z.geojson")
    assert code == 2
    assert err == "error: there is no such class of regions (got stroma, want nucleus, border)\n"


def test_an_existing_target_is_refused_unless_it_may_be_replaced(here, capsys):
    assert run(capsys, "x.zarr", "--to", "png")[0] == 0
    code, _, err = run(capsys, "x.zarr", "--to", "png")
    assert code == 2
    assert "error: the target exists" in err
    assert run(capsys, "x.zarr", "--to", "png", "--overwrite")[0] == 0


def test_a_failure_with_json_is_one_object_too(here, capsys):
    code, out, err = run(capsys, "y.zarr", "--to", "png", "--json")
    assert code == 2
    assert json.loads(out) == {
        "status": "failed",
        "error": err.removeprefix("error: ").strip(),
        "output": None,
        "features": None,
        "rows": None,
    }
