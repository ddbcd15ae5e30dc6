"""R10: poisoned checkpoints and model files. Each is refused in one line; nothing runs, nothing is written."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from slideseg.errors import ResultError
from slideseg.model.config import UNetConfig
from slideseg.testing.models import random_model
from slideseg.training.record.checkpoint import COMMENT_BYTES, COMMENT_LENGTH, FORMAT, decode
from tests.reliability import report, trials
from tests.reliability.poisons import CANARY, CHECKPOINTS, MODELS, WEIGHTS, Evil, saved

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 1_500_000_000
"""Beyond what a command takes that is refused for a name. PyTorch's reader is let have one GiB."""


GUARD = "slideseg.slide.guard.serve"
"""What decodes slides, beside the command: the one process that `predict` starts."""


@dataclass(frozen=True)
class Seen:
    status: int
    err: str
    started: str
    peak: int


class Watcher:
    """Commands in one folder, each in a process of its own that is watched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        words = [sys.executable, "-m", "tests.reliability.watched"]
        self._server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, *arguments: Any) -> Seen:
        files = [str(self._folder / name) for name in ("out", "err", "started")]
        for name in files:
            Path(name).write_text("")
        request = [[str(word) for word in arguments], str(self._folder), dict(os.environ), *files]
        print(json.dumps(request), file=self._server.stdin, flush=True)
        status, peak = json.loads(self._server.stdout.readline())
        err, started = ((self._folder / name).read_text() for name in ("err", "started"))
        return Seen(status, err, started, peak)

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("poison")
    random_model(folder / "good.safetensors", UNetConfig(base_channels=2, depth=1))
    image = np.random.default_rng(10).integers(0, 255, (64, 64, 3), np.uint8)
    tifffile.imwrite(folder / "slide.tif", image, tile=(64, 64), photometric="rgb")
    (folder / "data").mkdir()
    tifffile.imwrite(folder / "data" / "images.tif", np.zeros((2, 64, 64), np.uint8))
    tifffile.imwrite(folder / "data" / "labels.tif", np.ones((2, 64, 64), np.uint8))
    return folder


@pytest.fixture(scope="module")
def watcher(folder) -> Iterator[Watcher]:
    watcher = Watcher(folder)
    yield watcher
    watcher.close()


@pytest.fixture(scope="module")
def usual(watcher) -> int:
    """The memory of a command that is refused before it reads anything."""
    seen = watcher.run("model", "show", "missing.safetensors")
    assert seen.status == 2
    return seen.peak


def recipe(folder: Path, start: str) -> Path:
    """Write a recipe that starts from a model."""
    text = f"""
name: x
data: {{sources: [{{images: data/images.tif, labels: data/labels.tif}}]}}
classes: [x]
network: {{start: {start}, base_channels: 2, depth: 1}}
loss: {{cross_entropy: 1}}
"""
    (folder / "recipe.yaml").write_text(text)
    return folder / "recipe.yaml"


def commands(folder: Path, bad: str) -> dict[str, list[Any]]:
    """Return every command that takes a model file; the first two use its weights."""
    return {
        "predict": ["predict", "slide.tif", "-m", bad, "-o", "x.zarr", "-w", "1"],
        "train": ["train", recipe(folder, bad), "-o", "run", "-w", "1"],
        "show": ["model", "show", bad],
        "info": ["info", bad],
        "import": ["model", "import", bad, "-o", "x.safetensors"],
    }


def left(folder: Path) -> set[str]:
    """Return what lies in the folder and above it, but for what the watcher writes."""
    names = {path.name for place in (folder, folder.parent) for path in place.iterdir()}
    return names - {"out", "err", "started", "recipe.yaml"}


def faults_of(seen: Seen, before: set[str], after: set[str], more: int) -> Iterator[str]:
    """Yield what is wrong with how a command refused what it was given."""
    if seen.status != 2:
        yield f"status {seen.status}"
    if not seen.err.startswith("error: ") or seen.err.count("\n") != 1 or "\x1b" in seen.err:
        yield f"said {seen.err[-300:]!r}"
    if started := [line for line in seen.started.splitlines() if GUARD not in line]:
        yield f"started {started}"
    if after != before:
        yield f"left {after ^ before}"
    if more > MOST_BYTES:
        yield f"took {more} bytes"


def refused(watcher: Watcher, folder: Path, usual: int, words: list[Any], accepted: list[str], what: str) -> int:
    """Run a command that must refuse what it is given; return the bytes that it took besides the usual."""
    before = left(folder)
    seen = watcher.run(*words)
    more = max(0, seen.peak - usual)
    accepted += [f"{what}: {fault}" for fault in faults_of(seen, before, left(folder), more)]
    return more


def test_good_files_are_not_refused(watcher, folder) -> None:
    """What is refused below is refused for its poison."""
    for name in ("show", "info"):
        assert watcher.run(*commands(folder, "good.safetensors")[name]).status == 0


def test_what_a_payload_would_do_is_seen(folder) -> None:
    """The watch over side effects works: the payload, unpickled, does make its canary."""
    code = (
        "import os, pickle, sys; from tests.reliability.watched import watch; watch('seen')\n"
        "from tests.reliability.poisons import CHECKPOINTS; os.mkdir('there'); os.chdir('there')\n"
        "pickle.loads(CHECKPOINTS['raw pickle']())"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in (os.getcwd(), *sys.path) if path)}
    subprocess.run([sys.executable, "-c", code], cwd=folder / "data", env=env, check=True)
    assert (folder / "data" / "there" / CANARY).exists()
    assert "os.system" in (folder / "data" / "seen").read_text()


def test_poisoned_checkpoints_are_refused(watcher, folder, usual) -> None:
    most, accepted = 0, []
    for kind, make in CHECKPOINTS.items():
        for name in ("bad.pt", "bad.pth")[: trials(1, 2)]:
            (folder / name).write_bytes(make())
            told = commands(folder, name)
            for command in ("import", "predict", "show", "info", "train")[: trials(1, 5)]:
                most = max(most, refused(watcher, folder, usual, told[command], accepted, f"{command} {kind}"))
            (folder / name).unlink()
    assert accepted == []
    report("R10", payloads="checkpoints", kinds=len(CHECKPOINTS), refused=len(CHECKPOINTS), side_effects=0, most_bytes=most)


def test_poisoned_model_files_are_refused(watcher, folder, usual) -> None:
    """In the quick form each goes through one command, another one for each."""
    good, most, accepted = (folder / "good.safetensors").read_bytes(), 0, []
    for number, (kind, make) in enumerate([*MODELS.items(), *WEIGHTS.items()]):
        (folder / "bad.safetensors").write_bytes(make(good))
        told = commands(folder, "bad.safetensors")
        those = list(told)[:2] if kind in WEIGHTS else list(told)
        for command in those if trials(0, 1) else [those[number % len(those)]]:
            most = max(most, refused(watcher, folder, usual, told[command], accepted, f"{command} {kind}"))
    (folder / "bad.safetensors").unlink()
    assert accepted == []
    kinds = len(MODELS) + len(WEIGHTS)
    report("R10", payloads="model files", kinds=kinds, refused=kinds, side_effects=0, most_bytes=most)


def hashed(data: bytes) -> bytes:
    """Return a training's checkpoint of an archive, with the hash that it needs to be believed."""
    data = data[: -COMMENT_LENGTH.size] + COMMENT_LENGTH.pack(COMMENT_BYTES)
    return data + f"slideseg-checkpoint sha256={hashlib.sha256(data).hexdigest()}".encode()


def test_a_trainings_checkpoint_is_not_believed_for_its_hash(tmp_path, monkeypatch) -> None:
    """Nor with a wrong one: who can forge the file can forge the hash."""
    monkeypatch.chdir(tmp_path)
    plain = {"format": FORMAT, "epoch": 1}
    wrong_hash = bytearray(hashed(saved(plain)))
    wrong_hash[100] ^= 1
    forged = [bytes(wrong_hash), *(hashed(saved(content)) for content in (plain | {"more": Evil()}, Evil(), plain, [plain]))]
    forged += [hashed(CHECKPOINTS[kind]()) for kind in ("compressed", "zip-slip", "invalid sparse CSR")]
    for data in forged:
        with pytest.raises(ResultError):
            decode(data, "epoch-0001.pt")
    assert not any(tmp_path.iterdir())
    report("R10", payloads="checkpoints of a training", kinds=len(forged), refused=len(forged), side_effects=0)
