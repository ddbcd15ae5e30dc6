"""How well ``nuclei-types`` tells kinds of nuclei apart, through the command line alone, on patches that it never learnt from.

    python benchmarks/bench_nuclei_types.py
    python benchmarks/bench_nuclei_types.py --model RUN --out nuclei_types_new

Judged are BRCA-M2C's test patches, by points: a nucleus is found if an object's middle lies within 3 microns of its point; then
the object's class is compared with the point's. What learns nothing finds nuclei as in bench_nuclei_quality.py, and calls all
of them tumour, which most are.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench_nuclei_quality import DISTANCE, found_without_learning, predicted, run
from common import hardware, write_result
from nuclei_sets import Images, brca_points

COMMONEST = "tumour"
"""The class that a method would name which knows none."""


def judge(images: Images, model: str) -> dict[str, Any]:
    """Return what was found, and which class it was given."""
    with predicted(images.paths, model, images.mpp) as (folder, _):
        ours = scores(folder, images.labels, DISTANCE)
    with found_without_learning(images) as folder:
        rival = scores(folder, images.labels, "6px")
    confusion = ours["confusion"]
    right = sum(row[column] for column, row in enumerate(confusion["matched"]))
    of_commonest = sum(confusion["matched"][confusion["truth"].index(COMMONEST)])
    return {
        "images": len(images.paths),
        "ours": {**ours, "right_class": share(right, ours["matched"])},
        "nothing_learnt": {**kept(rival), "right_class": share(of_commonest, ours["matched"])},
    }


def scores(predictions: Path, points: Path, distance: str) -> dict[str, Any]:
    """Return what ``slideseg evaluate`` says of the points."""
    said: dict[str, Any] = run("evaluate", predictions, points, "--metrics", "points", "--distance", distance)
    return said["metrics"]["points"]


def kept(points: dict[str, Any]) -> dict[str, float]:
    return {name: round(points[name], 4) for name in ("recall", "precision", "f1")}


def share(part: int, whole: int) -> float:
    return round(part / whole, 4)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="nuclei-types", help="a bundled model, a model file, or a run's folder")
    parser.add_argument("--out", default="nuclei_types", help="name of the result in benchmarks/results")
    options = parser.parse_args()
    busy = hardware()
    write_result(options.out, {"model": Path(options.model).name, **judge(brca_points(), options.model)}, busy)


if __name__ == "__main__":
    main()
