"""A ``~`` that no shell has expanded, as in ``--output=~/x`` and in Python, means the same home in every command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import slideseg
from slideseg.errors import SlidesegError
from tests.made_results import blobs, make_result

NOBODY = "~nobody-is-called-so/x"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home, with a slide, labels and a result in it, which is not the current folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    home = tmp_path / "home"
    tifffile.imwrite(home / "a.tif", np.zeros((64, 64, 3), np.uint8), photometric="rgb")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(home / "labels.png")
    make_result(home / "r.zarr", blobs((64, 64)))
    (home / "a.csv").write_text("y,x\n1,1\n")
    (home / "m.csv").write_text("path\na.tif\n")
    (home / "c.yaml").write_text("model: nuclei\nworkers: 1\n")
    return home


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (("info", "~/a.tif"), ""),
        (("info", "~"), ""),
        (("convert", "~/a.tif", "~/c.zarr"), "c.zarr"),
        (("summary", "~", "-o", "~/s.csv"), "s.csv"),
        (("export", "~/r.zarr", "--to", "png", "-o", "~/p.png"), "p.png"),
        (("evaluate", "~/labels.png", "~/labels.png"), ""),
        (("evaluate", "~/r.zarr", "~/a.csv"), ""),
        (("verify", "~/r.zarr"), ""),
        (("objects", "~/r.zarr"), "r.zarr/labels/objects"),
        (("predict", "--manifest", "~/m.csv", "-o", "~/out", "--config", "~/c.yaml", "--dry-run"), ""),
        (("predict", "~/a.tif", "-o", "~/one.zarr", "-w", "1"), "one.zarr"),
    ],
)  # fmt: skip
def test_every_command_expands_it(words, made, home, run_here):
    done = run_here(*words)
    assert done.status == 0, done.err
    assert (home / made).exists()
    assert not list(Path().iterdir()), "nothing is called ~"


def test_python_expands_it(home):
    assert slideseg.open_slide("~/a.tif").shape == (64, 64, 3)
    assert slideseg.open_result("~/r.zarr").url
    assert slideseg.plan("~/a.tif", "~/x.zarr", workers=1).output == f"{home}/x.zarr"


@pytest.mark.parametrize(
    "words",
    [
        ("train", "~/none.yaml"), ("train", "~/c.yaml"), ("outline", "~/none", "--points", "~/a.csv", "-o", "~/o"),
        ("predict", f"{NOBODY}.tif", "-o", f"{NOBODY}.zarr"), ("model", "show", NOBODY), ("model", "import", f"{NOBODY}.pth"),
        ("predict", "x.tif", "--config", NOBODY), ("evaluate", NOBODY, "y"), ("summary", NOBODY, "-o", f"{NOBODY}.csv"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_one_line(words, home, run_here):
    done = run_here(*words)
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("place", ["a\0.tif", "\udcff.tif"])
@pytest.mark.parametrize(
    "use",
    [
        *(slideseg.open_slide, slideseg.open_result, slideseg.load_model, slideseg.summary, slideseg.predict, slideseg.train),
        *(
            slideseg.verify,
            lambda place: slideseg.evaluate(place, "~/labels.png"),
            lambda place: slideseg.predict("~/a.tif", place),
        ),
        lambda place: slideseg.predict("~/a.tif", "x.zarr", tissue=place),
        lambda place: slideseg.convert(place, "x.zarr"),
        lambda place: slideseg.predict(manifest=place),
        lambda place: slideseg.export("~/r.zarr", "png", place),
    ],
)
def test_what_can_not_be_a_path_is_an_error_of_ours(use, place, home):
    with pytest.raises(SlidesegError):
        use(place)
    assert not list(Path().iterdir())
