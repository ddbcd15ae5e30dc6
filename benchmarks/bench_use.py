"""What do several views and smoothing gain? The bundled model for nuclei in H&E on MoNuSeg's 13 tiles, which it never saw.

Through the command line alone; beside it the method that learns nothing. Means over tiles: Dice of nucleus against background,
and AJI, F1 at an IoU of 0.5 and PQ of objects; the time is the workers', of one process.
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
    given, busy, images = parser.parse_args(), hardware(), monuseg()
    found: dict[str, dict[str, float]] = {}
    for name, options in WAYS.items():
        with quality.predicted(images.paths, given.model, more=options) as (folder, slides):
            scores = quality.mean(quality.outlines_of(folder, images.labels).values())
        found[name] = {**scores, "compute_seconds": round(sum(slide["worker_seconds"]["compute"] for slide in slides), 1)}
        print(name, found[name], flush=True)
    with quality.found_without_learning(images) as folder:
        otsu = quality.mean(quality.outlines_of(folder, images.labels).values())
    write_result("use", {"model": given.model, "images": len(images.paths), "ways": found, "otsu": otsu}, busy)


if __name__ == "__main__":
    main()
