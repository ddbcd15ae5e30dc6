"""A run on a running cluster: the test starts its own head, with token authentication, and ends that process alone."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import array_bytes, run_slideseg
from tests.s3_server import running

pytestmark = [pytest.mark.ray, pytest.mark.timeout(280)]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def cluster():
    """Yield (address, environment) of a head of two cores in a folder of its own, with keys to buckets of its own."""
    with tempfile.TemporaryDirectory(prefix="seg-head-", ignore_cleanup_errors=True) as folder:
        token = Path(folder, "token")
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
        keys = {"AWS_ACCESS_KEY_ID": "anyone", "AWS_SECRET_ACCESS_KEY": "anything"}
        nowhere = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
        port = free_port()
        words = [
            "start", "--head", "--block", f"--port={port}", "--num-cpus=2", f"--temp-dir={folder}",
            "--include-dashboard=false", "--object-store-memory=80000000", "--node-ip-address=127.0.0.1",
        ]  # fmt: skip
        ray = Path(sys.executable).with_name("ray")
        head = subprocess.Popen(
            [ray, *words],
            env={**os.environ, **env, **keys, **nowhere},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(port, head)
            yield f"127.0.0.1:{port}", env
        finally:
            end(head)


def wait_for(port, head):
    for _ in range(600):
        assert head.poll() is None, "the head did not start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the head does not answer")


def end(head):
    """End the head and its own children, nobody else's."""
    family = psutil.Process(head.pid).children(recursive=True)
    head.send_signal(signal.SIGTERM)
    psutil.wait_procs([psutil.Process(head.pid), *family], timeout=15)
    for one in family:
        if one.is_running():
            one.kill()
    head.wait(15)


def test_a_cluster_gives_the_same_bytes_as_this_process(cluster, data, grey_model, tmp_path):
    address, env = cluster
    words = ["predict", data / "isbi2012" / "test-volume.tif", "-m", grey_model[0], "--json"]

    remote = run_slideseg(*words, "-o", "a.zarr", "--address", address, "-w", 2, env=env, cwd=tmp_path)

    assert remote.status == 0, remote.err
    assert remote.slide["shards"]["computed"] == 30
    assert run_slideseg(*words, "-o", tmp_path / "b.zarr", "-w", 1).status == 0
    assert array_bytes(tmp_path / "a.zarr") == array_bytes(tmp_path / "b.zarr")


def test_a_wrong_token_is_one_clear_line(cluster, data, grey_model, tmp_path):
    address, env = cluster
    (tmp_path / "token").write_text(secrets.token_hex(32))

    outcome = run_slideseg(
        "predict", data / "isbi2012" / "test-volume.tif", "-m", grey_model[0], "--address", address, "-o", tmp_path / "x.zarr",
        env={**env, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), "RAY_NUM_REDIS_GET_RETRIES": "3"},  # a second each, else 20
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
