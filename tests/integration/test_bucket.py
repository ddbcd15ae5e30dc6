"""A result in a bucket: the same commands, the same bytes as in a folder, from any slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slideseg.errors import ConfigError
from slideseg.prediction.make_plan import make_plan
from slideseg.prediction.options import PredictOptions
from slideseg.result.manifest import MAP_PART
from slideseg.testing.slides import PatternSlide
from tests.integration.conftest import run_slideseg
from tests.s3_server import running


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A picture, which can't be read box by box."""
    path = tmp_path_factory.mktemp("slide") / "picture.png"
    Image.fromarray(PatternSlide((700, 900)).read((0, 0, 700, 900))).save(path)
    return path


@pytest.fixture
def server(monkeypatch):
    """A server of buckets that the environment names."""
    with running() as server:
        server.buckets["lab"] = {}
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.ray)])
def test_a_picture_is_segmented_into_a_bucket_as_into_a_folder(picture, sparse_model, server, tmp_path, workers, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("RAY_ADDRESS", "nonsense:1")
    words = ["predict", picture, "-m", sparse_model[0], "--objects", "--json"]

    here = run_slideseg(*words, "-o", tmp_path / "x.zarr", "-w", 1)
    there = run_slideseg(*words, "-o", "s3://lab/runs/x.zarr", "-w", workers, cwd=tmp_path)

    assert (here.status, there.status) == (0, 0), here.err + there.err
    assert there.slide["objects"] == here.slide["objects"]
    keys = {key.removeprefix("runs/x.zarr/"): data for key, data in server.buckets["lab"].items()}
    files = {
        path.relative_to(tmp_path / "x.zarr").as_posix(): path for path in Path(tmp_path, "x.zarr").rglob("*") if path.is_file()
    }
    assert keys.keys() == files.keys()
    assert {key for key, path in files.items() if path.read_bytes() != keys[key]} <= {MAP_PART.document, MAP_PART.copy}, (
        "they tell its time"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tmp", "x.zarr"]
    assert list((tmp_path / "tmp").iterdir()) == []
    again = run_slideseg(*words, "-o", "s3://lab/runs/x.zarr", "-w", workers)
    assert (again.status, again.slide["shards"]["computed"]) == (0, 0)
    assert run_slideseg("verify", "s3://lab/runs/x.zarr").status == 0


def test_on_a_cluster_a_picture_needs_a_folder_that_its_workers_share(picture, sparse_model, server):
    options = PredictOptions(model=str(sparse_model[0]), address="127.0.0.1:1")
    with pytest.raises(ConfigError, match="can only be read from a copy, which the workers of a cluster share"):
        make_plan(str(picture), "s3://lab/x.zarr", options)
    assert server.buckets["lab"] == {}


def test_the_same_damage_is_found(picture, sparse_model, server):
    url = "s3://lab/x.zarr"
    assert run_slideseg("predict", picture, "-m", sparse_model[0], "-o", url, "-w", 1).status == 0
    key = "x.zarr/labels/segmentation/0/c/0/0"
    server.buckets["lab"][key] = bytes(len(server.buckets["lab"][key]))
    done = run_slideseg("verify", url)
    assert done.status == 1
    assert "labels/segmentation/0/c/0/0" in done.out
    assert np.frombuffer(server.buckets["lab"][key], np.uint8).max() == 0


def test_a_slide_in_a_bucket_is_read(picture, sparse_model, server, tmp_path):
    url = "s3://lab/slides/x.zarr"
    assert run_slideseg("convert", picture, url).status == 0
    there = run_slideseg("predict", url, "-m", sparse_model[0], "-o", tmp_path / "x.zarr", "-w", 1)
    assert there.status == 0, there.err
    del server.buckets["lab"]["slides/x.zarr/0/c/0/0/0"]
    damaged = run_slideseg("predict", url, "-m", sparse_model[0], "-o", tmp_path / "y.zarr", "-w", 1)
    assert damaged.status == 1
    assert "shard 0/c/0/0/0 is missing" in damaged.err


@pytest.fixture(scope="module")
def two_slides(picture):
    """A bucket with two slides, a result, and what else lies about; the command's environment says nothing of the server."""
    with running() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            if name != "AWS_ENDPOINT_URL":
                patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        server.buckets["lab"] = {"slides/c.ndpi": b"II*", "slides/notes.txt": b"", "slides/more/x": b""}
        for name in ("a", "b"):
            assert there(server, "convert", picture, f"s3://lab/slides/{name}.zarr").status == 0
        yield server


def there(server, *words):
    """Run a command that is told by an option where the bucket is."""
    return run_slideseg(*words, "--endpoint-url", server.environment["AWS_ENDPOINT_URL"])


def test_a_folder_in_a_bucket_stands_for_its_slides_and_every_command_finds_the_server(two_slides, sparse_model, tmp_path):
    """The one that the option names: the environment's answers to nobody."""
    out = "s3://lab/slides/"
    done = there(two_slides, "predict", "s3://lab/slides", "-m", sparse_model[0], "-o", out, "-w", 1, "--objects", "--json")
    assert done.status == 2, "results would replace the slides"
    done = there(two_slides, "predict", "s3://lab/slides", "-m", sparse_model[0], "-o", "s3://lab/out/", "-w", 1, "--objects")
    assert done.status == 0, done.err
    assert "left out, name it to take it: more (a folder)\n" in done.err
    assert "left out: c.ndpi (of such files only local ones are read)\n" in done.err
    folders = {key.split("/")[1] for key in two_slides.buckets["lab"] if key.startswith("out/")}
    assert folders == {"a.zarr", "b.zarr", "report.csv", "report.html", "report.json"}
    for words in (
        ("verify", "s3://lab/out/a.zarr"),
        ("info", "s3://lab/out/a.zarr"),
        ("info", "s3://lab/slides"),
        ("objects", "s3://lab/out/a.zarr"),
        ("summary", "s3://lab/out"),
        ("evaluate", "s3://lab/out/a.zarr", "s3://lab/out/b.zarr"),
        ("export", "s3://lab/out/a.zarr", "--to", "csv", "-o", tmp_path / "x.csv"),
        ("convert", "s3://lab/slides/a.zarr", "s3://lab/copies/a.zarr"),
    ):
        done = there(two_slides, *words)
        assert done.status == 0, done.err
    assert "a.zarr" in there(two_slides, "info", "s3://lab/slides").out


def test_what_can_t_be_read_in_a_bucket_is_one_line(two_slides, sparse_model):
    for url, said in (
        ("s3://lab/slides/c.ndpi", "can't be read where it is (want a TIFF, SVS, OME-TIFF or zarr: of others only local files"),
        ("s3://lab/none", "missing, damaged or unsupported zarr (got no zarr.json or .zgroup or .zarray)"),
        ("s3://none/x.zarr", "there is no such bucket: s3://none"),
    ):
        done = there(two_slides, "predict", url, "-m", sparse_model[0], "-o", "s3://lab/y.zarr", "-w", 1)
        assert (done.status, done.err.count("\n")) == (2, 1), done.err
        assert said in done.err
    wrong = run_slideseg("info", "s3://lab/slides/a.zarr", "--endpoint-url", "here:9000")
    assert (wrong.status, wrong.err) == (
        2,
        "error: the address of the S3 server can't be read (got here:9000, want http://host:port or https://host)\n",
    )
