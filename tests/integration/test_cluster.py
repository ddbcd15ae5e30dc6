"""A run on a running cluster: the test starts its own head, with token authentication, and ends that process alone."""

import secrets

import pytest

from tests.clusters import Cluster
from tests.integration.conftest import array_bytes, run_slideseg
from tests.s3_server import running

pytestmark = [pytest.mark.ray, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def cluster():
    """Yield (address, environment) of a head of two cores, with keys to buckets of its own."""
    keys = {"AWS_ACCESS_KEY_ID": "anyone", "AWS_SECRET_ACCESS_KEY": "anything"}
    started = Cluster(2, {**keys, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"})
    yield started.address, started.env
    started.end()


def test_the_doctor_looks_at_a_cluster(cluster, tmp_path):
    address, env = cluster
    done = run_slideseg("doctor", "--address", address, "--json", env=env)
    (found,) = [check for check in done.report["checks"] if check["name"] == f"cluster {address}"]
    assert found["state"] == "ok", found
    assert "1 node, 2 of 2 cores free; a worker on" in found["found"]
    (tmp_path / "token").write_text(secrets.token_hex(32))
    (tmp_path / "token").chmod(0o600)
    done = run_slideseg("doctor", "--address", address, env={**env, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")})
    assert (done.status, done.out.splitlines()[-1].startswith(f"bad   cluster {address}: ")) == (1, True)


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
