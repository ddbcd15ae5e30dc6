"""Lines that ``slideseg info`` prints for people."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import slideseg
from slideseg.cli import cli
from slideseg.instances.run import objects
from slideseg.model.config import UNetConfig
from slideseg.storage.lease import Lease
from slideseg.testing.models import random_model
from slideseg.testing.records import made_classes
from slideseg.testing.slides import PatternSlide, write_pyramid
from tests.damage import rewrite
from tests.dicom_files import REDUCED, Made, series, write
from tests.made_results import blobs, make_result


def printed(path, *options):
    return CliRunner().invoke(cli, ["info", str(path), *options]).output


def test_a_result_is_told_in_lines(tmp_path):
    class_map = np.zeros((300, 400), np.uint8)
    class_map[:30, :40] = 1
    make_result(tmp_path / "x.zarr", class_map, mpp=0.49999999999999994)
    objects(tmp_path / "x.zarr")
    lines = printed(tmp_path / "x.zarr").splitlines()
    told = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in lines if line[0] != " "}
    under = [line.strip() for line in lines if line[0] == " "]

    assert told["kind"] == "result, complete"
    assert told["class map"] == "300 x 400, 0.5 \u00b5m a pixel, from level 0"
    assert told["classes"] == "nucleus: 300 \u00b5m\u00b2, 1 % of the area"
    assert told["objects"] == "1"
    assert under[-2] == "nucleus: 1, 33.33 per mm\u00b2, 1 % of the area, median 300 \u00b5m\u00b2"
    assert told["rules"].startswith("nucleus and stroma & more, ") or told["rules"] == "nucleus and stroma & more"
    assert not any(sign in line for line in lines for sign in "[{'\"")
    told = json.loads(printed(tmp_path / "x.zarr", "--json"))
    assert told["slide"]["mpp"] == 0.49999999999999994
    shares = {"background": 0.99, "nucleus": 0.01, "stroma & more": 0.0}
    assert told["class_areas"] == {"shares": shares, "exact": True, "outer": None, "all_but_background": 0.01}


def test_the_area_of_objects_is_told_where_a_class_is_their_outer_part(tmp_path):
    """Else 3.2 % nucleus would be read as the area of the nuclei."""
    class_map = np.zeros((100, 100), np.uint8)
    class_map[10:30, 10:30], class_map[16:24, 16:24] = 2, 1
    make_result(tmp_path / "x.zarr", class_map, mpp=1.0, classes=made_classes("background", "nucleus", "border"))
    lines = printed(tmp_path / "x.zarr").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("classes"))
    assert [line[11:] for line in lines[first : first + 3]] == [
        "nucleus: 64 \u00b5m\u00b2, 0.64 % of the area",
        "border: 336 \u00b5m\u00b2, 3.36 % of the area (outer part of the objects)",
        "all but background: 400 \u00b5m\u00b2, 4 % of the area",
    ]
    told = json.loads(printed(tmp_path / "x.zarr", "--json"))["class_areas"]
    assert (told["outer"], told["all_but_background"]) == ("border", 0.04)


def test_an_unfinished_result_says_so_and_a_damaged_class_map_what_is_wrong(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)), finish=False)
    with Lease(str(tmp_path / "x.zarr")):
        assert "result, running" in printed(tmp_path / "x.zarr")
        assert json.loads(printed(tmp_path / "x.zarr", "--json"))["status"] == "running"
    assert "result, unfinished" in printed(tmp_path / "x.zarr")
    assert json.loads(printed(tmp_path / "x.zarr", "--json"))["status"] == "unfinished"
    assert "classes" not in printed(tmp_path / "x.zarr")

    make_result(tmp_path / "y.zarr", blobs((300, 300)))
    (tmp_path / "y.zarr" / "labels/segmentation/0/c/0/0").write_bytes(b"")
    lines = printed(tmp_path / "y.zarr").splitlines()
    assert any(line.startswith("classes    can't be counted: ") for line in lines)
    assert lines[-1].startswith("made by")
    assert json.loads(printed(tmp_path / "y.zarr", "--json"))["class_areas"]["error"] in printed(tmp_path / "y.zarr")


def test_a_result_of_another_version_is_printed_as_it_is(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)))
    rewrite(tmp_path / "x.zarr" / "zarr.json", lambda said: said["slideseg"]["run"].update(format="slideseg-result/1"))
    ran = CliRunner().invoke(cli, ["info", str(tmp_path / "x.zarr")], standalone_mode=False)

    assert (ran.return_value, "another version" in ran.output) == (1, True)
    assert "kind            result" in ran.output


def test_info_prints_lists_of_facts_a_line_an_entry(tmp_path):
    write_pyramid(tmp_path / "x.tif", PatternSlide((900, 700)), levels=3, mpp=0.5)
    lines = CliRunner().invoke(cli, ["info", str(tmp_path / "x.tif")]).output.splitlines()
    assert "shape       900 x 700 x 3" in lines
    first = lines.index("levels      shape 900 x 700, downsample 1, scale 1 x 1")
    assert lines[first + 1] == "            shape 450 x 350, downsample 2, scale 2 x 2"
    assert not any(line.startswith(("bounds", "z_step", "channels")) for line in lines)


def write_run(folder, *models):
    """Write what a training leaves that `info` could take for something else."""
    folder.mkdir()
    for name in ("config.yaml", "data.json"):
        (folder / name).write_text("{}")
    (folder / "report.json").write_text('{"status": "complete", "epochs": 3}')
    Image.new("RGB", (300, 200)).save(folder / "curves.png")
    for name in models:
        random_model(folder / f"{name}.safetensors", UNetConfig(3, 2, 2, 1), mpp=0.25 if name == "best" else 0.5)


@pytest.mark.parametrize("models", [("best", "last"), ("last",)])
def test_a_training_run_is_told_by_the_model_that_is_used_of_it(tmp_path, models):
    write_run(tmp_path / "run", *models)
    (told, alone) = (
        json.loads(printed(path, "--json")) for path in (tmp_path / "run", tmp_path / f"run/{models[0]}.safetensors")
    )
    used = {"path": str(tmp_path / "run"), "model": f"{models[0]}.safetensors", "status": "complete"}
    assert told == {**alone, "training_run": used}
    line = f"training_run  path {tmp_path / 'run'}, model {models[0]}.safetensors, status complete"
    assert printed(tmp_path / "run").splitlines()[:2] == ["kind          model", line]
    shown = CliRunner().invoke(cli, ["model", "show", str(tmp_path / "run"), "--json"])
    assert {"kind": "model", **json.loads(shown.stdout)} == alone


def test_a_training_run_that_is_not_over_says_so(tmp_path):
    write_run(tmp_path / "run")
    assert printed(tmp_path / "run").splitlines() == [
        "kind    training run",
        f"path    {tmp_path / 'run'}",
        "status  no epoch is over: there is no model yet",
    ]
    (tmp_path / "run" / "data.json").unlink()  # as in runs before there was one
    random_model(tmp_path / "run" / "last.safetensors", UNetConfig(3, 2, 2, 1))
    for report in ('{"status": "failed"}', "[", "[]"):
        (tmp_path / "run" / "report.json").write_text(report)
        assert "model last.safetensors, status not complete" in printed(tmp_path / "run")


def test_outlines_are_told_in_one_line(tmp_path):
    random_model(tmp_path / "model.safetensors", UNetConfig(3, 2, 2, 1), mpp=0.5)
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("y,x\n3,4\n9,9\n")
    where = {"model": tmp_path / "model.safetensors", "mpp_of_slide": 0.5}
    slideseg.outline(tmp_path / "a.png", tmp_path / "a.csv", tmp_path / "out", **where)
    line = f"kind  outlines to learn from, as data.sources of a recipe; made by slideseg outline of {tmp_path / 'a.csv'}"
    assert printed(tmp_path / "out") == f"{line}: 1 image with 2 points\n"
    told = json.loads(printed(tmp_path / "out", "--json"))
    assert (told["kind"], told["path"], told["points"], told["status"]) == ("outlines", str(tmp_path / "out"), 2, "ok")
    (tmp_path / "out" / "report.json").write_text(json.dumps({"outlines of": "x.csv", "status": "running"}))
    assert printed(tmp_path / "out").endswith(" of x.csv: unfinished\n")


def write_series(folder):
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 255, (100, 130, 3), dtype=np.uint8)
    one = series()
    write(folder / "0.dcm", Made(pixels, series=one))
    write(folder / "1.dcm", Made(pixels[::2, ::2], series=one, spacing=(0.001, 0.001), kind=REDUCED))


def test_a_folder_that_one_series_fills_is_that_slide_and_one_with_others_lists_all(tmp_path):
    folder = tmp_path / "x"
    write_series(folder)
    assert json.loads(printed(folder, "--json"))["shape"] == [100, 130, 3]

    write_pyramid(folder / "b.tif", PatternSlide((90, 70)), levels=1, mpp=0.5)
    write_pyramid(folder / "b_macro.tif", PatternSlide((90, 70)), levels=1, mpp=0.5)
    told = json.loads(printed(folder, "--json"))
    assert told == {
        "kind": "folder",
        "path": str(folder),
        "slides": [str(folder / "0.dcm"), str(folder / "b.tif")],
        "left_out": [{"name": "b_macro.tif", "is": "macro of b.tif"}],
    }
    assert printed(folder).splitlines() == [
        "kind      folder",
        f"path      {folder}",
        f"slides    {folder / '0.dcm'}",
        f"          {folder / 'b.tif'}",
        "left_out  name b_macro.tif, is macro of b.tif",
    ]


def test_nothing_is_selected_of_a_folder_of_slides(tmp_path):
    for name in "ab":
        write_pyramid(tmp_path / f"{name}.tif", PatternSlide((90, 70)), levels=1, mpp=0.5)
    ran = CliRunner().invoke(cli, ["info", str(tmp_path), "--series", "0"])
    assert "needs one" in str(ran.exception)
    assert "a.tif" in str(ran.exception)
    (tmp_path / "empty").mkdir()
    assert "is a folder, but no slide" in str(CliRunner().invoke(cli, ["info", str(tmp_path / "empty")]).exception)
