"""What users get wrong: the right exit status, one line, nothing written."""

import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.integration.conftest import run_slideseg

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "rgb.tif"
    tifffile.imwrite(path, RNG.integers(0, 255, (300, 400, 3), np.uint8), tile=(128, 128), photometric="rgb")
    return path


def damaged(path, folder):
    out = folder / "damaged.safetensors"
    out.write_bytes(path.read_bytes()[:-100])
    return out


def case_missing(folder, slide, model):
    return [folder / "missing.svs"], "no such file"


def case_empty_folder(folder, slide, model):
    (folder / "empty").mkdir()
    return [folder / "empty"], "holds no slides"


def case_no_image(folder, slide, model):
    (folder / "text.tif").write_text("not a tiff at all, only words")
    return [folder / "text.tif"], "text.tif"


def case_empty_file(folder, slide, model):
    (folder / "empty.tif").touch()
    return [folder / "empty.tif"], "empty.tif"


def case_truncated(folder, slide, model):
    (folder / "cut.tif").write_bytes(slide.read_bytes()[: slide.stat().st_size // 2])
    return [folder / "cut.tif"], "cut.tif"


def case_dtype(folder, slide, model):
    tifffile.imwrite(folder / "complex.tif", np.zeros((64, 64, 3), np.complex64), photometric="rgb")
    return [folder / "complex.tif"], "complex64"


def case_axes(folder, slide, model):
    np.save(folder / "five.npy", np.zeros((2, 3, 4, 50, 60), np.uint8))
    return [folder / "five.npy"], "five.npy"


def case_channels(folder, slide, model):
    tifffile.imwrite(folder / "four.tif", np.zeros((64, 64, 4), np.uint8), photometric="minisblack", planarconfig="contig")
    return [folder / "four.tif"], "4 channel(s), want 3"


def case_mask(folder, slide, model):
    Image.fromarray(np.ones((30, 80), np.uint8)).save(folder / "mask.png")
    return [slide, "--tissue", folder / "mask.png"], "the mask has other proportions"


def case_model(folder, slide, model):
    return [slide, "-m", damaged(model, folder)], "damaged.safetensors"


def case_no_model(folder, slide, model):
    return [slide, "-m", "no-such-model"], "no-such-model"


def case_level(folder, slide, model):
    return [slide, "--level", "7"], "has no level 7"


def case_level_and_mpp(folder, slide, model):
    return [slide, "--level", "0", "--mpp", "0.5"], "exclude each other"


def case_no_mpp(folder, slide, model):
    return [slide, "--mpp", "0.5"], "does not say its microns per pixel"


def case_tile(folder, slide, model):
    return [slide, "--tile", "100"], "tile is too small"


def case_memory(folder, slide, model):
    return [slide, "--memory", "1MiB"], "the memory does not hold one tile"


def case_size(folder, slide, model):
    return [slide, "--memory", "lots"], "a size can't be read"


def case_address(folder, slide, model):
    return [slide, "--address", "127.0.0.1:1"], "no Ray cluster answers"


def case_option(folder, slide, model):
    return [slide, "--halo", "5"], "No such option"


def case_config(folder, slide, model):
    (folder / "c.yaml").write_text("tiel: 512\n")
    return [slide, "--config", folder / "c.yaml"], "unknown option"


def case_foreign_output(folder, slide, model):
    (folder / "out.zarr").mkdir()
    (folder / "out.zarr" / "thesis.txt").write_text("years of work")
    return [slide, "--overwrite"], "is no slideseg result"


CASES = [name for name in list(globals()) if name.startswith("case_")]
IN_ITS_OWN_PROCESS = ("case_missing", "case_address")
"""One to see that the command itself does so, and the one that starts Ray's client."""


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_clear_line_and_nothing_is_written(case, slide, rgb_model, tmp_path, run_here):
    words, expected = globals()[case](tmp_path, slide, rgb_model[0])
    model = [] if "-m" in words else ["-m", rgb_model[0]]
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    run = run_slideseg if case in IN_ITS_OWN_PROCESS else run_here
    outcome = run("predict", *words, *model, "-o", tmp_path / "out.zarr", "-w", 1, "--json")

    assert outcome.status == 2, outcome.err
    assert [line for line in outcome.err.splitlines() if "segmenting" not in line] == [outcome.err.strip().splitlines()[-1]]
    assert outcome.err.strip().splitlines()[-1].startswith("error: ")
    assert expected in outcome.err
    assert outcome.report["status"] == "failed"
    assert all(one["status"] == "failed" for one in outcome.report["slides"])
    assert expected in outcome.report["error"]
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_damaged_tile_fails_the_run_but_not_the_other_shards(slide, rgb_model, tmp_path):
    path = tmp_path / "rot.tif"
    tifffile.imwrite(
        path, RNG.integers(0, 255, (1100, 1100, 3), np.uint8), tile=(256, 256), photometric="rgb", compression="deflate"
    )
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[10]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 64)

    outcome = run_slideseg("predict", path, "-m", rgb_model[0], "-w", 1, "--json", cwd=tmp_path)

    assert outcome.status == 1, outcome.err
    assert "1 of 4 shards failed" in outcome.report["error"]
    assert len(list((tmp_path / "rot.zarr").glob("labels/segmentation/0/c/*/*"))) == 3
    assert run_slideseg("info", tmp_path / "rot.zarr", "--json").report["status"] == "unfinished"


def test_one_bad_slide_of_two_does_not_stop_the_other(slide, rgb_model, tmp_path):
    (tmp_path / "text.tif").write_text("words")

    outcome = run_slideseg(
        "predict", tmp_path / "text.tif", slide, "-o", tmp_path / "out", "-m", rgb_model[0], "-w", 1, "--json"
    )

    assert outcome.status == 1
    assert outcome.report["status"] == "partial"
    assert [one["status"] for one in outcome.report["slides"]] == ["failed", "ok"]
    assert (tmp_path / "out" / "rgb.zarr" / "zarr.json").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_refused(slide, rgb_model, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)

    outcome = run_slideseg("predict", slide, "-o", tmp_path / "locked" / "x.zarr", "-m", rgb_model[0], "-w", 1)

    assert outcome.status == 2
    assert "can't be written" in outcome.err
