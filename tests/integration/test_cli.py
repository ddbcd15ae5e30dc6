"""The other commands, through the command line as a user types them."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import slideseg
from tests.integration.conftest import class_map, pixels_of, run_slideseg, whole_class_map
from tests.unit.model.test_importer import PublicUNet


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "p.tif"
    image = np.random.default_rng(0).integers(0, 255, (500, 700, 3), np.uint8)
    tifffile.imwrite(path, image, tile=(128, 128), photometric="rgb", resolution=(20_000, 20_000), resolutionunit="CENTIMETER")
    return path


def test_info_tells_slides_results_and_models_apart(picture, rgb_model, tmp_path, run_here):
    assert run_slideseg("predict", picture, "-m", rgb_model[0], "-o", tmp_path / "r.zarr", "-w", 1).status == 0
    slide, result, model = (run_here("info", p, "--json").report for p in (picture, tmp_path / "r.zarr", "nuclei"))

    assert (slide["kind"], slide["shape"], slide["mpp"]) == ("slide", [500, 700, 3], 0.5)
    assert (result["kind"], result["status"], result["tiling"]["exact"]) == ("result", "complete", True)
    assert (model["kind"], model["name"]) == ("model", "nuclei")
    assert "0.5" in run_slideseg("info", picture).out


def test_convert_writes_a_pyramid_with_the_same_pixels(picture, tmp_path):
    done = run_slideseg("convert", picture, tmp_path / "c.zarr")

    assert done.status == 0, done.err
    assert (pixels_of(tmp_path / "c.zarr") == pixels_of(picture)).all()
    assert slideseg.open_slide(tmp_path / "c.zarr").mpp == pytest.approx(0.5)
    assert run_slideseg("convert", tmp_path / "missing.tif", tmp_path / "d.zarr").status == 2
    assert not (tmp_path / "d.zarr").exists()


def test_models_are_listed_and_shown_with_their_quality(run_here):
    listed = run_here("model", "list").out.splitlines()
    assert [line.split()[0] for line in listed] == ["nuclei", "nuclei-fluo", "nuclei-types"]
    assert ["H&E" in line for line in listed] == ["fluorescence" not in line for line in listed] == [True, False, True]
    assert "made_for: nuclei in fluorescence (dark field)" in run_here("model", "show", "nuclei-fluo").out
    shown = run_here("model", "show", "nuclei", "--json").report

    assert shown["training"]["licence"] == "CC BY 4.0, BSD-3-Clause, CC0-1.0"
    assert "TopoXLab" in shown["training"]["attribution"]
    assert "monuseg_mean_dice" in json.dumps(shown["training"]["metrics"])
    assert run_slideseg("model", "show", "nothing").status == 2


def test_an_imported_checkpoint_segments(picture, tmp_path):
    torch.manual_seed(0)
    torch.save({"loss": 1.0, "state_dict": PublicUNet(3, 2, bilinear=False, base=4).state_dict()}, tmp_path / "cp.pth")
    out = tmp_path / "m.safetensors"

    assert run_slideseg("predict", picture, "-m", tmp_path / "cp.pth", "-o", tmp_path / "x.zarr").status == 2
    imported = run_slideseg("model", "import", tmp_path / "cp.pth", "-o", out, "--class", "background", "--class", "cell")
    assert imported.status == 0, imported.err
    before = out.read_bytes()
    again = ["model", "import", tmp_path / "cp.pth", "-o", out]
    refused = run_slideseg(*again)
    assert (refused.status, out.read_bytes()) == (2, before)
    assert "the target exists" in refused.err
    assert run_slideseg(*again, "--class", "background", "--class", "cell", "--overwrite").status == 0
    assert out.read_bytes() == before
    assert run_slideseg("model", "import", out, "-o", out, "--overwrite").status == 2
    assert out.read_bytes() == before
    assert run_slideseg("predict", picture, "-m", out, "-o", tmp_path / "x.zarr", "-w", 1).status == 0
    assert (class_map(tmp_path / "x.zarr") == whole_class_map(slideseg.load_model(out), pixels_of(picture))).all()


@pytest.mark.parametrize("place", ["r.zarr/0", "sub/../r.zarr/0", "link/0", "to_image"])
def test_a_slide_inside_the_result_that_it_would_replace_is_kept(picture, rgb_model, tmp_path, place):
    """Also by another name, as a mask of tissue, or as one slide of several."""
    result, options = tmp_path / "r.zarr", ("-m", rgb_model[0], "-w", 1, "--overwrite")
    slideseg.predict(picture, result, model=str(rgb_model[0]), workers=1, image="full")
    (tmp_path / "link").symlink_to(result)
    (tmp_path / "to_image").symlink_to(result / "0")
    (tmp_path / "sub").mkdir()
    before = {path: path.read_bytes() for path in result.rglob("*") if path.is_file()}
    inside = [(tmp_path / place, "-o", result), (picture, "-o", result, "--tissue", tmp_path / place)]
    several = [(tmp_path / place, tmp_path / "r.tif", "-o", tmp_path)]
    (tmp_path / "r.tif").write_bytes(picture.read_bytes())
    for words in (*inside, *several):
        done = run_slideseg("predict", *words, *options)
        assert done.status == 2, words
        assert "would replace" in done.err
    assert {path: path.read_bytes() for path in result.rglob("*") if path.is_file()} == before


def test_a_python_call_does_what_the_command_does(picture, rgb_model, tmp_path):
    seen = []
    report = slideseg.predict(picture, tmp_path / "x.zarr", model=str(rgb_model[0]), workers=1, on_progress=seen.append)
    result = slideseg.open_result(tmp_path / "x.zarr")

    assert report.status == "ok"
    assert seen[-1].done == seen[-1].total == 500 * 700
    assert (result.segmentation.compute() == slideseg.segment(pixels_of(picture), rgb_model[1])).all()
    assert result.mpp == pytest.approx(0.5)
    with pytest.raises(slideseg.SlidesegError, match="unknown option"):
        slideseg.predict(picture, tmp_path / "y.zarr", tiel=5)


def test_a_folder_of_pictures_becomes_a_folder_of_results(rgb_model, tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        Image.fromarray(np.random.default_rng(2).integers(0, 255, (90, 80, 3), np.uint8)).save(tmp_path / "in" / f"{name}.png")

    done = run_slideseg("predict", tmp_path / "in", "-o", tmp_path / "out", "-m", rgb_model[0], "-w", 1, "--json")

    assert done.status == 0, done.err
    found = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert found == ["a.zarr", "b.zarr", "report.csv", "report.html", "report.json"]
    assert [one["pixels"] for one in done.report["slides"]] == [7200, 7200]


def test_a_run_can_be_followed_by_programs(rgb_model, picture, tmp_path):
    words = ("predict", picture, "-o", tmp_path / "r.zarr", "-m", rgb_model[0], "-w", 1, "--objects", "--log-json", "--json")
    done = run_slideseg(*words)
    assert (done.status, done.report["status"]) == (0, "ok")
    lines = [json.loads(line) for line in done.err.splitlines()]
    told = {line["phase"] for line in lines if line["event"] == "progress"}
    assert {"segmenting", "finishing"} <= told
    assert {line["slide"] for line in lines if line["event"] == "progress"} == {str(picture)}


def test_the_package_runs_as_a_module():
    shown = subprocess.run([sys.executable, "-m", "slideseg", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("slideseg")
