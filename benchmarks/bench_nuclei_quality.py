"""How well models find nuclei, through the command line alone, beside a method that learns nothing.

    python benchmarks/bench_nuclei_quality.py                                    the bundled models
    python benchmarks/bench_nuclei_quality.py --model RUN --out nuclei_new       another one for H&E
    python benchmarks/bench_nuclei_quality.py --model RUN --only-he-validation --out nuclei_he

Judged are images that no model was trained on: MoNuSeg's 13 tiles, TNBC's three held-out patients, the validation split of the
2018 Data Science Bowl by kind, BRCA-M2C's test patches (points); and pictures without a nucleus, where all that is found is
false. Figures of outlines are means over images: Dice of nucleus (any class above 0) against background; AJI, F1 at an IoU of
0.5 and PQ of the objects of ``predict --objects``. The rival is that of ``without_learning.py``; its Dice is of its objects.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import without_learning
from common import COMMAND, hardware, write_result
from nothing_there import Nothing, dark_fields, places
from nuclei_sets import Images, brca_points, dsb, dsb_kinds, monuseg, read_image, tnbc
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

METRICS = ("dice", "aji", "f1", "pq")
BETTER = ("dice", "aji", "f1")
"""Metrics by which a tile is better only if it is by all of them."""
MPP = 0.25
"""Microns of a pixel that the models want."""
DISTANCE = "3"
"""Microns from a point within which it is found: 6 pixels of the patches, whose points are at 0.5 microns."""
Scores = dict[str, float]
Models = dict[str, str]
"""The model for each light."""


def run(*words: object) -> dict[str, Any]:
    """Run the command and return its JSON report."""
    done = subprocess.run([COMMAND, *map(str, words), "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@contextmanager
def predicted(
    images: Sequence[Path], model: str, mpp: float | None = None, more: Sequence[object] = ()
) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Segment images; yield the folder of the results and what is reported of each."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out" / (f"{images[0].stem}.zarr" if len(images) == 1 else "")
        out.parent.mkdir(exist_ok=True)
        options = ("-m", model, "-o", out, "--workers", 1, "--tissue", "none", "--image", "none", "--objects", *more)
        report = run("predict", *images, *options, *(() if mpp is None else ("--mpp-of-slide", mpp)))
        yield Path(folder) / "out", report["slides"]


@contextmanager
def found_without_learning(images: Images) -> Iterator[Path]:
    """Write what the rival finds, as label images at the images' own resolution."""
    with tempfile.TemporaryDirectory() as folder:
        for path in images.paths:
            times = 1 if images.mpp is None else round(images.mpp / MPP)
            labels = without_learning.find(enlarged(read_image(path), times), images.light)
            tifffile.imwrite(Path(folder, f"{path.stem}.tif"), labels[::times, ::times])
        yield Path(folder)


def enlarged(image: np.ndarray, times: int) -> np.ndarray:
    """Return an image (y, x, 3) with so many times the pixels a side."""
    height, width = image.shape[:2]
    return np.array(Image.fromarray(image).resize((width * times, height * times), Image.Resampling.BICUBIC))


def outlines_of(predictions: Path, truth: Path) -> dict[str, Scores]:
    """Return what ``slideseg evaluate`` says of every image, by name."""
    report = run("evaluate", predictions, truth, "--metrics", "semantic,instances")
    return {
        image["name"]: {name: round({**image["instances"], **image["semantic"]}[name], 4) for name in METRICS}
        for image in report["images"]
    }


def judge(images: Images, models: Models) -> dict[str, Any]:
    """Return the mean scores of a model and its rival, and on how many images it is better."""
    with predicted(images.paths, models[images.light]) as (folder, _):
        ours = outlines_of(folder, images.labels)
    with found_without_learning(images) as folder:
        rival = outlines_of(folder, images.labels)
    better = {metric: sum(ours[name][metric] > rival[name][metric] for name in ours) for metric in METRICS}
    by_all = sum(all(ours[name][metric] > rival[name][metric] for metric in BETTER) for name in ours)
    return {
        "images": len(ours),
        "ours": mean(ours.values()),
        "otsu": mean(rival.values()),
        "better": {**better, "all": by_all},
        "tiles": {name: {"ours": ours[name], "otsu": rival[name]} for name in ours},
    }


def judge_points(images: Images, models: Models) -> dict[str, Any]:
    """Return how well points were found."""
    with predicted(images.paths, models[images.light], images.mpp) as (folder, _):
        ours = points_of(folder, images.labels, DISTANCE)
    with found_without_learning(images) as folder:
        rival = points_of(folder, images.labels, f"{round(float(DISTANCE) / (images.mpp or MPP))}px")
    return {"images": len(images.paths), "ours": ours, "otsu": rival}


def points_of(predictions: Path, points: Path, distance: str) -> Scores:
    said = run("evaluate", predictions, points, "--metrics", "points", "--distance", distance)["metrics"]["points"]
    kept = ("recall", "precision", "f1", "points", "found", "doubled", "several")
    return {name: round(said[name], 4) for name in kept}


def judge_nothing(pictures: Sequence[Nothing], models: Models) -> dict[str, Any]:
    """Return by what a picture shows how many there are, and how much is found there: in all, and at most in one."""
    ours: dict[Path, int] = {}
    for light, mpp in dict.fromkeys((picture.light, picture.mpp) for picture in pictures):
        some = [picture.path for picture in pictures if (picture.light, picture.mpp) == (light, mpp)]
        with predicted(some, models[light], mpp) as (_, slides):
            ours |= {Path(slide["input"]): slide["objects"] for slide in slides}
    rows: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for picture in pictures:
        times = 1 if picture.mpp is None else max(1, round(picture.mpp / MPP))
        rival = without_learning.find(enlarged(read_image(picture.path), times), picture.light)
        rows[picture.shows].append((ours[picture.path], np.count_nonzero(np.unique(rival))))
    return {shows: {"pictures": len(counts), **_counted(counts)} for shows, counts in rows.items()}


def _counted(counts: list[tuple[int, int]]) -> dict[str, dict[str, int]]:
    columns = dict(zip(("ours", "otsu"), zip(*counts, strict=True), strict=True))
    return {name: {"found": int(sum(column)), "most": int(max(column))} for name, column in columns.items()}


def mean(scores: Any) -> Scores:
    scores = list(scores)
    return {name: round(float(np.mean([one[name] for one in scores])), 4) for name in METRICS}


def all_of(models: Models) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every part of the result."""
    sets = {"monuseg": monuseg(), "tnbc_held_out": tnbc(), **{f"dsb_{kind}": dsb(kind) for kind in dsb_kinds()}}
    yield "outlines", {name: judge(images, models) for name, images in sets.items()}
    yield "points", {"brca_m2c_test": judge_points(brca_points(), models)}
    with tempfile.TemporaryDirectory() as folder:
        yield "nothing_there", judge_nothing([*places(Path(folder)), *dark_fields(Path(folder))], models)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="nuclei", help="a bundled model's name, a model file, or a training run's folder")
    parser.add_argument("--model-fluo", default="nuclei-fluo", help="the same for fluorescence")
    parser.add_argument("--only-he-validation", action="store_true", help="only the four tiles that nuclei-he is judged by")
    parser.add_argument("--out", default="nuclei_quality", help="name of the result in benchmarks/results")
    options = parser.parse_args()
    models, busy = {"bright": options.model, "dark": options.model_fluo}, hardware()
    if options.only_he_validation:
        parts = {"outlines": {"monuseg": judge(monuseg(only_he_validation=True), models)}}
    else:
        parts = dict(all_of(models))
    write_result(options.out, {"models": {light: Path(model).name for light, model in models.items()}, **parts}, busy)


if __name__ == "__main__":
    main()
