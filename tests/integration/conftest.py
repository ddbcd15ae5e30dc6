"""Run the real command line in a process of its own, and compute the reference it must equal."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

import slideseg
from slideseg.cli import _run
from slideseg.model.config import UNetConfig
from slideseg.space.box import Box
from slideseg.testing.models import random_model
from tests.integration.started import command_server, start_slideseg

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def report(self):
        return json.loads(self.out)

    @property
    def slide(self):
        return self.report["slides"][0]


def command(*arguments):
    return [sys.executable, "-c", "from slideseg.cli import main; main()", *map(str, arguments)]


def run_slideseg(*arguments, cwd=None, env=None, timeout=280):
    """Run a command to its end; one with variables of its own starts from nothing, since some libraries read them on import."""
    if env is None:
        started = start_slideseg(*arguments, cwd=cwd)
        try:
            out, err = started.communicate(timeout)
        except subprocess.TimeoutExpired:
            started.kill()
            out, err = started.communicate()
        return Outcome(started.returncode, out, err)
    words, env = command(*arguments), {**os.environ, **env}
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run_here(capfd, monkeypatch):
    """Run commands in this process, which is enough to see what they refuse; `run_slideseg` gives each one of its own.

    What is logged, and what libraries write by themselves, is in the output too.
    """

    def run(*arguments, cwd=None):
        monkeypatch.chdir(cwd or Path.cwd())
        capfd.readouterr()
        shown = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(shown)
        try:
            status = _run([str(word) for word in arguments])
        finally:
            logging.getLogger().removeHandler(shown)
        return Outcome(status, *capfd.readouterr())

    return run


@pytest.fixture(scope="session", autouse=True)
def _the_command_server_ends():
    yield
    if command_server.cache_info().currsize:
        command_server().end()


def array_bytes(store):
    """Return every file of a store that holds pixels, by name."""
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(Path(store).rglob("*")) if p.is_file() and "c" in p.parts}


def whole_class_map(model, image):
    """Return the class map of one pass over the whole mirror-padded image (y, x, c)."""
    margin = -(-model.halo // model.stride) * model.stride
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), "reflect")
    with torch.inference_mode():
        logits = model.module(model.preprocess(padded))[
            0, :, margin : margin + image.shape[0], margin : margin + image.shape[1]
        ]
    ids = (torch.sigmoid(logits[0]) > 0.5) if len(logits) == 1 else logits.argmax(0)
    return ids.numpy().astype(np.uint8)


def pixels_of(path, plane=0, level=0):
    slide = slideseg.open_slide(path)
    return slide.read(Box(0, 0, *slide.levels[level].shape), level=level, plane=plane)


def class_map(store):
    return zarr.open(str(store), mode="r")["labels/segmentation/0"][:]


@pytest.fixture(scope="session")
def rgb_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "rgb.safetensors"
    return path, random_model(path, UNetConfig(3, 3, 6, 4))


@pytest.fixture(scope="session")
def sparse_model(tmp_path_factory):
    """A model of which most is background: a few thousand objects a slide instead of hundreds of thousands."""
    path = tmp_path_factory.mktemp("models") / "sparse.safetensors"
    return path, random_model(path, UNetConfig(3, 3, 6, 4), background=5.0)


@pytest.fixture(scope="session")
def grey_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "grey.safetensors"
    return path, random_model(path, UNetConfig(1, 1, 4, 3))
