"""One small run that has everything, its bytes when nothing disturbs it, and how to get at its processes."""

import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

import slideseg
from slideseg.model.config import UNetConfig
from slideseg.testing.models import random_model
from tests.clusters import is_worker
from tests.integration.conftest import array_bytes, command
from tests.integration.started import Started, start_slideseg

PLANES, SIDE = 36, 320
"""One shard a plane: enough of them to be hit at any time, small enough for a second's work in all."""
OPTIONS = {"objects": True, "mpp_of_slide": 1.0, "min_area": 60.0}
OBJECTS = ("--objects", "--mpp-of-slide", 1, "--min-area", 60)
"""The network's weights are random: what it finds is mostly specks."""


@dataclass(frozen=True)
class Workload:
    """What is done, and what must come of it."""

    slide: Path
    model: Path
    bytes: dict[str, bytes]
    """Every file with pixels, by its key, of the run that nothing disturbed."""

    def words(self, out, workers, *more):
        return ["predict", self.slide, "-o", out, "-m", self.model, *OBJECTS, "-w", workers, "--json", *more]

    def is_as_undisturbed(self, out):
        """Tell whether a result has the same files with the same bytes, and nothing lies about."""
        left = [path.name for path in out.parent.iterdir() if path.name.startswith(f".{out.name}")]
        return array_bytes(out) == self.bytes and not left and not list(out.rglob("*#*"))


@pytest.fixture(scope="session")
def workload(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workload")
    small = np.random.default_rng(7).integers(0, 255, (PLANES, SIDE // 16, SIDE // 16)).astype(np.uint8)
    tifffile.imwrite(folder / "stack.tif", small.repeat(16, 1).repeat(16, 2), metadata={"axes": "ZYX"}, compression="zlib")
    random_model(folder / "m.safetensors", UNetConfig(in_channels=1, out_channels=1, base_channels=6, depth=2), seed=3)
    out = folder / "undisturbed.zarr"
    slideseg.predict(folder / "stack.tif", out, model=folder / "m.safetensors", workers=1, **OPTIONS)
    return Workload(folder / "stack.tif", folder / "m.safetensors", array_bytes(out))


def shards_in(out):
    """Return how many shards of the class map are there."""
    return len([path for path in out.glob("labels/segmentation/0/c/*/*/*") if "#" not in path.name])


class Run:
    """A command that is under way."""

    def __init__(self, words, env=None, within=()):
        """Begin it, within what other words run it in; with an environment of its own it starts from nothing."""
        self._said = [tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")]  # noqa: SIM115 - a pipe would fill in hours
        self.process = (
            subprocess.Popen([*within, *command(*words)], stdout=self._said[0], stderr=self._said[1], env=env)
            if env
            else start_slideseg(*words)
        )

    def until(self, out, shards):
        """Wait for so many shards; tell whether it was still under way then."""
        while shards_in(out) < shards and self.process.poll() is None:
            time.sleep(0.002)
        return self.process.poll() is None

    def below(self):
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def workers(self):
        """Return the processes of its workers."""
        return [one for one in self.below() if is_worker(one)]

    def end(self):
        """Wait for its end; return its status and what it said on its two outputs."""
        status = self.process.wait(timeout=500)
        if isinstance(self.process, Started):
            return status, *self.process.said()
        for file in self._said:
            file.seek(0)
        return status, *(file.read() for file in self._said)
