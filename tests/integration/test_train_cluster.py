"""`slideseg train --address` on a running cluster of two nodes: one worker on each."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import tifffile

from tests.integration.conftest import command
from tests.reliability import long_only

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

TINY = Path(__file__).parents[2] / "configs" / "tiny.yaml"

NODES = """
import json, sys
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
cluster.add_node(**node)
cluster.wait_for_nodes()
raylets = [node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()]
print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
sys.stdin.read()
cluster.shutdown()
"""
"""In a process of its own, because Ray reads its token once a process."""


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[tuple[str, list[int], dict[str, str]]]:
    """Yield (address, process numbers of the nodes, environment) of a cluster of two nodes with a core each."""
    with tempfile.TemporaryDirectory(prefix="seg-two-", ignore_cleanup_errors=True) as folder:
        token = Path(folder, "token")
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
        Path(folder, "ray").mkdir()  # where Ray notes the address of "the" cluster; not in the folder that all share
        nodes = subprocess.Popen(
            [sys.executable, "-c", NODES],
            env={**os.environ, **env, "RAY_TMPDIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert nodes.stdout is not None
            line = nodes.stdout.readline()
            assert line, nodes.communicate()[1]
            said = json.loads(line)
            yield said["address"], said["raylets"], env
        finally:
            family = psutil.Process(nodes.pid).children(recursive=True) if nodes.poll() is None else []
            nodes.communicate(timeout=60)
            for one in psutil.wait_procs(family, timeout=15)[1]:
                one.kill()


def write_stack(folder: Path) -> list[str]:
    """Write a stack and its masks; return them as settings."""
    rng = np.random.default_rng(0)
    masks = np.kron(rng.integers(0, 2, (5, 8, 8)), np.ones((1, 8, 8))).astype(np.uint8) * 255
    tifffile.imwrite(folder / "masks.tif", masks)
    tifffile.imwrite(folder / "images.tif", (masks // 2 + rng.integers(0, 60, masks.shape)).astype(np.uint8))
    return ["-s", f"data.sources.0.images={folder / 'images.tif'}", "-s", f"data.sources.0.labels={folder / 'masks.tif'}"]


def trains(raylet: int) -> bool:
    """Tell whether a worker of Ray Train lives on a node."""
    try:
        return any("RayTrainWorker" in " ".join(one.cmdline()) for one in psutil.Process(raylet).children())
    except psutil.NoSuchProcess:
        return False


@long_only
def test_each_node_has_one_of_two_workers(two_nodes: tuple[str, list[int], dict[str, str]], tmp_path: Path) -> None:
    address, raylets, env = two_nodes
    words = ["train", TINY, "-o", tmp_path / "run", "--workers", 2, "--address", address, "--json", *write_stack(tmp_path)]
    with subprocess.Popen(
        command(*words, "-s", "training.epochs=2", "-s", "data.sources.0.labels_are=instances"),
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        seen = set()
        while process.poll() is None:
            seen |= {raylet for raylet in raylets if trains(raylet)}
            time.sleep(0.05)
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert seen == set(raylets)
    assert err.count("all objects have one id") == 1  # a mask that is called instances, which only its pixels tell
    assert json.loads(out)["epochs"] == 2
    assert (tmp_path / "run" / "best.safetensors").is_file()


def test_more_workers_than_the_cluster_has_room_for_is_one_line(
    two_nodes: tuple[str, list[int], dict[str, str]], tmp_path: Path
) -> None:
    address, _, env = two_nodes
    words = ["train", TINY, "-o", tmp_path / "run", "--workers", 3, "--address", address, *write_stack(tmp_path)]
    program = f"import slideseg.training.ray as r; r.ROOM_SECONDS = 1; {command()[2]}"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 2
    assert "no room" in done.stderr
    assert len(done.stderr.splitlines()) == 1
