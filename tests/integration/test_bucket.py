"""A result in a bucket: the same commands, the same bytes as in a folder, from any slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
def server():
    with running() as server:
        server.buckets["lab"] = {}
        yield server


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.ray)])
def test_a_picture_is_segmented_into_a_bucket_as_into_a_folder(picture, rgb_model, server, tmp_path, workers):
    (tmp_path / "tmp").mkdir()
    env = {**server.environment, "TMPDIR": str(tmp_path / "tmp"), "RAY_ADDRESS": "nonsense:1"}
    words = ["predict", picture, "-m", rgb_model[0], "-w", workers, "--objects", "--json"]

    here = run_slideseg(*words, "-o", tmp_path / "x.zarr", env=env)
    there = run_slideseg(*words, "-o", "s3://lab/runs/x.zarr", env=env, cwd=tmp_path)

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
    again = run_slideseg(*words, "-o", "s3://lab/runs/x.zarr", env=env)
    assert (again.status, again.slide["shards"]["computed"]) == (0, 0)
    assert run_slideseg("verify", "s3://lab/runs/x.zarr", env=env).status == 0


def test_on_a_cluster_a_picture_needs_a_folder_that_its_workers_share(picture, rgb_model, server):
    words = ["predict", picture, "-m", rgb_model[0], "-o", "s3://lab/x.zarr", "--address", "127.0.0.1:1"]
    refused = run_slideseg(*words, env=server.environment)
    assert refused.status == 2
    assert refused.err.startswith(f"error: {picture} can only be read from a copy")
    assert refused.err.count("\n") == 1
    assert server.buckets["lab"] == {}


def test_the_same_damage_is_found(picture, rgb_model, server):
    url = "s3://lab/x.zarr"
    assert run_slideseg("predict", picture, "-m", rgb_model[0], "-o", url, "-w", 1, env=server.environment).status == 0
    key = "x.zarr/labels/segmentation/0/c/0/0"
    server.buckets["lab"][key] = bytes(len(server.buckets["lab"][key]))
    done = run_slideseg("verify", url, env=server.environment)
    assert done.status == 1
    assert "labels/segmentation/0/c/0/0" in done.out
    assert np.frombuffer(server.buckets["lab"][key], np.uint8).max() == 0


def test_a_slide_in_a_bucket_is_read(picture, rgb_model, server, tmp_path):
    env, url = server.environment, "s3://lab/slides/x.zarr"
    assert run_slideseg("convert", picture, url, env=env).status == 0
    there = run_slideseg("predict", url, "-m", rgb_model[0], "-o", tmp_path / "x.zarr", "-w", 1, env=env)
    assert there.status == 0, there.err
    del server.buckets["lab"]["slides/x.zarr/0/c/0/0/0"]
    damaged = run_slideseg("predict", url, "-m", rgb_model[0], "-o", tmp_path / "y.zarr", "-w", 1, env=env)
    assert damaged.status == 1
    assert "shard 0/c/0/0/0 is missing" in damaged.err
