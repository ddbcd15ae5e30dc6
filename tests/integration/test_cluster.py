"""A run on a running cluster: the test starts its own head, with token authentication, and ends that process alone."""

import importlib.util
import os
import platform
import secrets
import signal
import subprocess
import time

import numpy as np
import pytest
import tifffile

from tests.clusters import Cluster
from tests.integration.conftest import array_bytes, command, run_slideseg
from tests.namespaces import Blinded, permitted
from tests.s3_server import running

pytestmark = [pytest.mark.ray, pytest.mark.timeout(280)]

IMPATIENT = {"RAY_NUM_REDIS_GET_RETRIES": "3"}
"""For a cluster that refuses the token: Ray tries it so often, a second each; else 20 times."""


@pytest.fixture(scope="module")
def started():
    """Yield a head of two cores, with keys to buckets of its own."""
    keys = {"AWS_ACCESS_KEY_ID": "anyone", "AWS_SECRET_ACCESS_KEY": "anything"}
    started = Cluster(2, {**keys, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"})
    yield started
    started.end()


@pytest.fixture
def cluster(started):
    """Return address and environment of the head."""
    return started.address, started.env


def test_the_doctor_looks_at_a_cluster(cluster, tmp_path):
    address, env = cluster
    done = run_slideseg("doctor", "--address", address, "--json", env=env)
    (found,) = [check for check in done.report["checks"] if check["name"] == f"cluster {address}"]
    assert found["state"] == "ok", found
    assert "1 node, 2 of 2 cores free; a worker on" in found["found"]
    (tmp_path / "token").write_text(secrets.token_hex(32))
    (tmp_path / "token").chmod(0o600)
    others = {**env, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), **IMPATIENT}
    done = run_slideseg("doctor", "--address", address, env=others)
    assert (done.status, done.out.splitlines()[-1].startswith(f"bad   cluster {address}: ")) == (1, True)


def test_a_cluster_gives_the_same_bytes_as_this_process(cluster, data, grey_model, tmp_path):
    address, env = cluster
    words = ["predict", data / "isbi2012" / "test-volume.tif", "-m", grey_model[0], "--json"]

    remote = run_slideseg(*words, "-o", "a.zarr", "--address", address, "-w", 2, env=env, cwd=tmp_path)

    assert remote.status == 0, remote.err
    assert remote.slide["shards"]["computed"] == 30
    assert run_slideseg(*words, "-o", tmp_path / "b.zarr", "-w", 1).status == 0
    assert array_bytes(tmp_path / "a.zarr") == array_bytes(tmp_path / "b.zarr")


@pytest.mark.skipif(importlib.util.find_spec("opencensus") is None, reason="Ray has no metrics endpoint without ray[default]")
def test_rays_metrics_say_what_the_report_says(started, rgb_model, tmp_path):
    (tmp_path / "slides").mkdir()
    image = np.random.default_rng(0).integers(0, 255, (60, 70, 3)).astype(np.uint8).repeat(20, 0).repeat(20, 1)
    for name in "abc":
        tifffile.imwrite(tmp_path / "slides" / f"{name}.tif", image, tile=(256, 256), photometric="rgb")
    (tmp_path / "slides" / "b.tif").write_bytes((tmp_path / "slides" / "a.tif").read_bytes()[:2000])
    before = metrics_of(started)
    words = ["predict", tmp_path / "slides", "-o", tmp_path / "out", "-m", rgb_model[0], "--objects", "--json"]

    done = run_slideseg(*words, "--address", started.address, "-w", 2, env=started.env)

    assert done.status == 1, done.err
    slides = [slide for slide in done.report["slides"] if slide["status"] == "ok"]
    said = metrics_of(started)
    said.subtract(before)
    assert said["pixels_total", ""] == sum(slide["pixels"] for slide in slides) == 2 * image.shape[0] * image.shape[1]
    assert said["shards_total", ""] == sum(slide["shards"]["computed"] for slide in slides)
    assert (said["slides_total", ""], said["slides_failed_total", ""]) == (2, 1)
    assert said["tasks_total", platform.node()] == sum(worker["tasks"] for worker in done.report["by_worker"])
    assert said["tasks_waiting", ""] == said["workers_at_work", platform.node()] == 0


def metrics_of(cluster):
    """Return what a cluster's endpoints say of runs; a node has none in its first seconds."""
    end = time.monotonic() + 60
    while True:
        try:
            return cluster.metrics("ray_slideseg_")
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.5)


def test_a_wrong_token_is_one_clear_line(cluster, data, grey_model, tmp_path):
    address, env = cluster
    (tmp_path / "token").write_text(secrets.token_hex(32))

    outcome = run_slideseg(
        "predict", data / "isbi2012" / "test-volume.tif", "-m", grey_model[0], "--address", address, "-o", tmp_path / "x.zarr",
        env={**env, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), **IMPATIENT},
    )  # fmt: skip

    assert outcome.status == 2, outcome.err
    assert "error: no Ray cluster answers at" in outcome.err
    assert not (tmp_path / "x.zarr").exists()


def test_workers_learn_from_the_command_where_a_bucket_is(cluster, data, grey_model):
    """Who started the cluster named another server, which answers nobody."""
    address, env = cluster
    words = ["predict", data / "isbi2012" / "test-volume.tif", "-m", grey_model[0], "--address", address, "-w", 2, "--json"]
    with running() as server:
        server.buckets["lab"] = {}
        option = ("--endpoint-url", server.environment["AWS_ENDPOINT_URL"])
        done = run_slideseg(
            *words,
            "-o",
            "s3://lab/x.zarr",
            *option,
            env={**server.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", **env},
        )
        assert done.status == 0, done.err
        assert done.slide["shards"]["computed"] > 0
        assert "x.zarr/zarr.json" in server.buckets["lab"]


@pytest.mark.skipif(not permitted(), reason="no namespaces may be made here")
def test_a_node_that_does_not_share_the_output_is_left_out_and_named(data, grey_model, tmp_path):
    """It would make a folder of its own, and what it writes there would be lost."""
    out, said = tmp_path / "shared" / "x.zarr", tmp_path / "said"
    out.parent.mkdir()
    split = Cluster(1, hosts=Blinded(out.parent))
    split.add_node(1, "blind")
    words = ["predict", data / "isbi2012" / "test-volume.tif", "-m", grey_model[0], "--json"]
    started = command(*words, "-o", out, "--address", split.address, "-w", 2)
    try:
        with said.open("w") as file, subprocess.Popen(started, env={**os.environ, **split.env}, stderr=file) as running:
            while f"is left out: {out} is not there on" not in said.read_text():
                assert running.poll() is None, said.read_text()
                send(signal.SIGSTOP, split.workers_of_head())  # it may have done all of it before the other is there
                time.sleep(0.1)
            send(signal.SIGCONT, split.workers_of_head())
    finally:
        split.end()
    assert running.returncode == 0, said.read_text()
    assert run_slideseg(*words, "-o", tmp_path / "b.zarr", "-w", 1).status == 0
    assert array_bytes(out) == array_bytes(tmp_path / "b.zarr")


def send(number, processes):
    for process in processes:
        process.send_signal(number)
