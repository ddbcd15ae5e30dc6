"""How well a network trained by an isbi2012 recipe finds membranes on the validation planes, through the command line alone.

    slideseg train configs/isbi2012-small.yaml --workers 2
    python benchmarks/bench_isbi2012.py runs/isbi2012-small

It predicts the whole training stack, evaluates it plane by plane, and keeps the planes that the recipe leaves out of training
(12-14 and 27-29). Writes ``benchmarks/results/RUN.json``. The figures in the literature are of the challenge's hidden stack.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import yaml
from common import COMMAND, DATA, hardware, write_result

PLANES = (12, 13, 14, 27, 28, 29)
"""Validation planes of the stack; no recipe here trains on them or on their neighbours."""


def run(*words: object) -> dict[str, object]:
    """Run the command and return its JSON report."""
    done = subprocess.run([COMMAND, *map(str, words), "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def evaluate(model: Path, data: Path) -> dict[str, dict[str, float]]:
    """Return the mean over validation planes of every score of a model's class maps."""
    with tempfile.TemporaryDirectory() as folder:
        run("predict", data / "train-volume.tif", "-m", model, "-o", f"{folder}/x.zarr", "--workers", 1)
        report = run("evaluate", f"{folder}/x.zarr", data / "train-labels.tif", "--metrics", "isbi,semantic")
    images = [report["images"][plane] for plane in PLANES]
    isbi = {name: round(float(np.mean([image["isbi"][name] for image in images])), 6) for name in images[0]["isbi"]}
    return {**isbi, "dice": round(float(np.mean([image["semantic"]["dice"] for image in images])), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path, help="folder of the training run")
    parser.add_argument("--data", type=Path, default=DATA / "isbi2012", help="folder of train-volume.tif and train-labels.tif")
    options = parser.parse_args()
    recipe = yaml.safe_load((options.run / "config.yaml").read_text(encoding="utf-8"))
    report = json.loads((options.run / "report.json").read_text(encoding="utf-8"))
    result = {
        "training": {name: report[name] for name in ("epochs", "best_epoch", "seconds")},
        "planes": PLANES,
        "best": evaluate(options.run / "best.safetensors", options.data),
        "last": evaluate(options.run / "last.safetensors", options.data),
    }
    write_result(recipe["name"].replace("-", "_"), result, hardware())


if __name__ == "__main__":
    main()
