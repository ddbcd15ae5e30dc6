"""What do several views, smoothing and a second model gain? The bundled nuclei on MoNuSeg's 13 tiles, which it never saw.

    git show a36909d:slideseg/model/weights/nuclei.safetensors > before.safetensors
    python benchmarks/bench_use.py --beside before.safetensors

The second model is the one that was bundled before: it learnt 2,400 steps less, and other outlines. Through the command line
alone; beside it the method that learns nothing. Means over tiles: Dice of nucleus against background, and AJI, F1 at an IoU of
0.5 and PQ of objects. What it costs is counted, not timed: a pass of the network for each view and model.
"""

from __future__ import annotations

import argparse

import bench_nuclei_quality as quality
from common import hardware, write_result
from nuclei_sets import monuseg

WAYS: dict[str, tuple[str | float, ...]] = {
    "as it is": (),
    "--tta flips": ("--tta", "flips"),
    "--tta d4": ("--tta", "d4"),
    "--tta scales": ("--tta", "scales"),
    "--smooth 1": ("--smooth", 1),
    "--tta flips --smooth 1": ("--tta", "flips", "--smooth", 1),
}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="nuclei", help="the model")
    parser.add_argument("--beside", help="a second model of the same classes")
    given, busy, images = parser.parse_args(), hardware(), monuseg()
    ways = {name: (given.model, options) for name, options in WAYS.items()}
    if given.beside:
        ways |= {"the model before": (given.beside, ()), "both models": (given.model, ("-m", given.beside))}
    found: dict[str, dict[str, float]] = {}
    for name, (model, options) in ways.items():
        with quality.predicted(images.paths, model, more=options) as (folder, _):
            found[name] = quality.mean(quality.outlines_of(folder, images.labels).values())
        print(name, found[name], flush=True)
    with quality.found_without_learning(images) as folder:
        otsu = quality.mean(quality.outlines_of(folder, images.labels).values())
    write_result("use", {"model": given.model, "images": len(images.paths), "ways": found, "otsu": otsu}, busy)


if __name__ == "__main__":
    main()
