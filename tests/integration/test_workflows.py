"""The workflow of ``cluster/snakemake`` in a real Snakemake, which the tests' packages leave out (`pip install snakemake`)."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slideseg.model.config import UNetConfig
from slideseg.testing.models import random_model
from tests.integration.conftest import ROOT, array_bytes, run_slideseg

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("snakemake") is None, reason="snakemake is not on the PATH"),
    pytest.mark.timeout(400),
]

SLIDESEG = f"""#!/bin/bash
# The second slide is not readable at the first try.
if [[ ! -e tried && $* != *"--rows 1 "* ]]; then touch tried; exit 137; fi
export PYTHONPATH={shlex.quote(str(ROOT))}
exec {shlex.quote(sys.executable)} -c 'from slideseg.cli import main; main()' "$@"
"""


@pytest.fixture
def folder(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (70, 90), np.uint8)
    for name in ("a.png", "b c.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    random_model(tmp_path / "m.safetensors", UNetConfig(1, 1, 4, 2))
    (tmp_path / "slides.csv").write_text("path\na.png\nb c.png\n")
    (tmp_path / "slideseg").write_text(SLIDESEG)
    (tmp_path / "slideseg").chmod(0o755)
    return tmp_path


def snakemake(folder, *words):
    config = ["--config", "slides=slides.csv", "results=results", "options=-m m.safetensors"]
    command = f'PATH={shlex.quote(str(folder))}:"$PATH" exec snakemake "$@"'
    return subprocess.run(
        ["bash", "-c", command, "snakemake", "-s", ROOT / "cluster" / "snakemake" / "Snakefile", "-c", "1", *words, *config],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("target", "reports"), [([], ["1.json", "2.json"]), (["cohort"], ["all.json"])])
def test_a_workflow_segments_all_slides_also_where_a_try_fails(folder, target, reports):
    done = snakemake(folder, *target)
    assert done.returncode == 0, done.stderr
    assert (folder / "tried").exists()
    said = [json.loads((folder / "results" / "reports" / name).read_text()) for name in reports]
    slides = [slide for report in said for slide in report["slides"]]
    assert [(Path(slide["input"]).name, slide["status"]) for slide in slides] == [("a.png", "ok"), ("b c.png", "ok")]
    assert run_slideseg("predict", folder / "a.png", "-m", folder / "m.safetensors", "-o", folder / "x.zarr").status == 0
    for name in ("a", "b c"):
        assert array_bytes(folder / "results" / f"{name}.zarr") == array_bytes(folder / "x.zarr")
    again = snakemake(folder, *target)
    assert "Nothing to be done" in again.stderr + again.stdout


def test_what_a_failed_try_has_done_is_there_for_the_next(folder):
    assert snakemake(folder, "results/reports/1.json").returncode == 0
    assert (folder / "results" / "a.zarr" / "zarr.json").exists()
    (folder / "results" / "reports" / "1.json").unlink()
    assert snakemake(folder, "results/reports/1.json").returncode == 0
    (slide,) = json.loads((folder / "results" / "reports" / "1.json").read_text())["slides"]
    assert slide["shards"] == {"total": 1, "computed": 0, "kept": 1}


def test_a_slide_that_is_missing_stops_no_other_and_rows_are_those_of_the_manifest(folder):
    """Also one in a bucket, a folder of slides, and two slides of one name."""
    (folder / "tried").touch()
    for name in ("more/d.png", "more/e.png", "other/a.tif"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.open(folder / "a.png").save(folder / name)
    rows = ["path, note", "s3://nowhere/x.svs,", "", "a.png,", 'none.svs,"a\nb"', "more,", "other/a.tif,"]
    (folder / "slides.csv").write_text("\n".join(rows))
    done = snakemake(folder, "--keep-going", "--retries", "0")
    assert done.returncode != 0
    assert {path.name for path in (folder / "results" / "reports").iterdir()} == {"2.json", "4.json", "5.json"}
    results = {path.name for path in (folder / "results").glob("*.zarr")}
    assert results == {"a.png.zarr", "d.zarr", "e.zarr", "a.tif.zarr"}


def test_a_row_that_has_changed_is_done_again_and_no_other(folder):
    assert snakemake(folder).returncode == 0
    (folder / "slides.csv").write_text("path,save_probabilities,overwrite\na.png,,\nb c.png,yes,yes\n")
    before = [(folder / "results" / "reports" / f"{row}.json").stat().st_mtime_ns for row in (1, 2)]
    done = snakemake(folder, "results/reports/2.json")
    assert done.returncode == 0, done.stderr
    after = [(folder / "results" / "reports" / f"{row}.json").stat().st_mtime_ns for row in (1, 2)]
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    assert (folder / "results" / "b c.zarr" / "probabilities").is_dir()
