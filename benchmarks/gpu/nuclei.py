"""Train the model of nuclei on a machine with a GPU and no network, within the seconds that it is lent; see pack.py.

    python3 benchmarks/gpu/nuclei.py build/gpu OUT 480 -s network.base_channels=32 -s network.start=null

First points become outlines by the bundled model; then a short training says how long an epoch takes, and another takes what
time there is. OUT gets best.safetensors and gpu.json: the hardware, how long it all took, and how good the model is on
TNBC's patients 09 to 11 and on validation patches of BRCA-M2C, whose images are packed as JPEG. More words go to ``slideseg
train``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "configs" / "nuclei.yaml"
SAMPLES, PROBE = 3200, 1600
"""Samples an epoch of the training, and of the short one before it, whose second epoch is timed."""
KEPT = 60
"""Seconds that are kept for judging the model."""
HELD_OUT = ("09", "10", "11")
MPP = "0.5"
"""Microns of a pixel of BRCA-M2C."""


def main() -> None:
    """Run it."""
    begun = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("packed", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("seconds", type=float)
    wanted, words = parser.parse_known_args()
    wanted.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("site.tar.xz", "data.tar"):
            with tarfile.open(wanted.packed / name) as tar:
                tar.extractall(folder, filter="data")
        run = Slideseg(folder)
        run.outlines()
        epoch = run.seconds_of_an_epoch(words)
        left = wanted.seconds - KEPT - (time.monotonic() - begun)
        epochs = max(2, int(left / epoch))
        run.train(folder / "run", words, SAMPLES, epochs)
        shutil.copy(folder / "run" / "best.safetensors", wanted.out)
        figures = {"tnbc_held_out": run.judged("tnbc"), "brca_m2c_val": run.judged("brca")}
        times = {"epochs": epochs, "seconds_an_epoch": round(epoch, 2), "seconds": round(time.monotonic() - begun)}
        report = {"hardware": hardware(), "words": words, **times, "figures": figures}
        (wanted.out / "gpu.json").write_text(json.dumps(report, indent=2), encoding="utf-8")


class Slideseg:
    """The command, with the packages and the data that were unpacked."""

    def __init__(self, folder: Path) -> None:
        data = folder / "data"
        self.folder, self.tnbc, self.brca = folder, data / "nuclei_tnbc", data / "he_points_brca_m2c"
        paths = {"SLIDESEG_TEST_DATA": data, "NOTHING": data / "nothing", "OUTLINES": folder / "outlines"}
        packages = os.pathsep.join((str(ROOT), str(folder / "site")))
        self._env = {**os.environ, "PYTHONPATH": packages, **{name: str(path) for name, path in paths.items()}}

    def __call__(self, *words: object) -> str:
        """Run it with these words; return what it prints."""
        print(*words, flush=True)
        command = [sys.executable, "-m", "slideseg", *map(str, words)]
        return subprocess.run(command, env=self._env, check=True, stdout=subprocess.PIPE, text=True).stdout

    def outlines(self) -> None:
        """Make outlines of the training patches' points."""
        patches = self._chosen(self.brca, "brca", ("split", ("train",)))
        words = ("--points", self.brca / "points", "-m", "nuclei", "--mpp-of-slide", MPP)
        self("outline", patches, *words, "-o", self.folder / "outlines")

    def train(self, run: Path, words: list[str], samples: int, epochs: int) -> None:
        """Train as the recipe says, but for this."""
        self("train", RECIPE, "-o", run, *words, "-s", f"training.samples={samples}", "-s", f"training.epochs={epochs}")

    def seconds_of_an_epoch(self, words: list[str]) -> float:
        """Return how long an epoch of the recipe takes."""
        probe = self.folder / "probe"
        self.train(probe, words, PROBE, 2)
        with (probe / "metrics.csv").open(newline="", encoding="utf-8") as file:
            return float(list(csv.DictReader(file))[-1]["seconds"]) * SAMPLES / PROBE

    def judged(self, which: str) -> dict[str, Any]:
        """Return how good the model is on images that it did not learn from."""
        out, model = self.folder / f"{which}-result", ("-m", self.folder / "run", "--workers", 1)
        if which == "tnbc":
            images, mpp, truth = self._chosen(self.tnbc, which, ("patient", HELD_OUT)), (), self.tnbc / "labels"
            metrics = ("--metrics", "semantic,instances")
        else:
            images, mpp = self._chosen(self.brca, f"{which}-val", ("split", ("val",))), ("--mpp-of-slide", MPP)
            truth, metrics = self.brca / "points", ("--metrics", "points", "--distance", "3")
        self("predict", images, "-o", out, *model, *mpp, "--objects", "--tissue", "none")
        said: dict[str, Any] = json.loads(self("evaluate", out, truth, *metrics, "--json"))["metrics"]
        return said

    def _chosen(self, source: Path, name: str, which: tuple[str, tuple[str, ...]]) -> Path:
        """Return a folder with those images of a set whose row in its index has one of these values."""
        folder, (column, values) = self.folder / name, which
        folder.mkdir()
        with (source / "index.csv").open(newline="", encoding="utf-8") as file:
            names = [row["id"] for row in csv.DictReader(file) if row[column] in values]
        for one in names:
            (folder / f"{one}.jpg").symlink_to(source / "images" / f"{one}.jpg")
        return folder


def hardware() -> dict[str, object]:
    import torch  # noqa: PLC0415 - so that the help needs nothing

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"gpu": gpu, "cores": len(os.sched_getaffinity(0)), "torch": torch.__version__}


if __name__ == "__main__":
    main()
