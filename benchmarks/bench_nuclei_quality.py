"""How well a model finds nuclei, through the command line alone, beside a method that learns nothing.

    python benchmarks/bench_nuclei_quality.py                      the bundled model
    python benchmarks/bench_nuclei_quality.py --model RUN --only-he-validation

H&E: the 13 tiles of MoNuSeg at 0.25 microns per pixel, as PNG (no resolution known: the pixels as they are) and as OME-TIFF
that says 0.25 (the model's own resolution). The bundled model never saw them; ``nuclei-he`` keeps four for validation. Then
the validation split of the 2018 Data Science Bowl. The figures are Dice of nucleus (any class above 0) against background, and
of the objects of ``predict --objects`` AJI and F1 at an IoU of 0.5; image by image, then the mean. The rival is haematoxylin by
colour deconvolution, a Gaussian of 1.5 pixels and Otsu's threshold; its objects are the parts that are connected by sides.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import tifffile
from common import COMMAND, DATA, hardware, write_result
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.filters import threshold_otsu

MONUSEG_MPP = 0.25
HE_VALIDATION = ("TCGA-21-5784", "TCGA-CH-5767", "TCGA-B0-5710", "TCGA-NH-A8F7")
"""The tiles that the recipe ``nuclei-he`` does not train on."""
Scores = dict[str, float]
"""Dice, AJI and F1."""


def run(*words: object) -> dict[str, object]:
    """Run the command and return its JSON report."""
    done = subprocess.run([COMMAND, *map(str, words), "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def judge(images: list[Path], labels: Path, model: str) -> dict[str, Scores]:
    """Return the scores of every image by name."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("-m", model, "-o", f"{folder}/out", "--workers", 1, "--tissue", "none", "--image", "none", "--objects")
        run("predict", *images, *options)
        return evaluated(Path(folder, "out"), labels)


def evaluated(predictions: Path, labels: Path) -> dict[str, Scores]:
    """Return what ``slideseg evaluate`` says of every image, by name."""
    report = run("evaluate", predictions, labels, "--metrics", "semantic,instances")
    return {
        image["name"]: {
            "dice": round(image["semantic"]["dice"], 4),
            **{name: round(image["instances"][name], 4) for name in ("aji", "f1")},
        }
        for image in report["images"]
    }


def as_ome_tiff(images: list[Path], folder: Path) -> list[Path]:
    """Write the images anew, with their resolution."""
    for image in images:
        facts = {"axes": "YXS", "PhysicalSizeX": MONUSEG_MPP, "PhysicalSizeY": MONUSEG_MPP, "PhysicalSizeXUnit": "um"}
        pixels = np.array(Image.open(image).convert("RGB"))
        tifffile.imwrite(folder / f"{image.stem}.ome.tif", pixels, photometric="rgb", tile=(256, 256), metadata=facts)
    return sorted(folder.glob("*.ome.tif"))


def judge_otsu(images: list[Path], labels: Path) -> dict[str, Scores]:
    """Return the scores of where haematoxylin is above Otsu's threshold."""
    with tempfile.TemporaryDirectory() as folder:
        for image in images:
            haematoxylin = ndimage.gaussian_filter(rgb2hed(np.array(Image.open(image).convert("RGB")))[..., 0], 1.5)
            objects, _ = ndimage.label(haematoxylin > threshold_otsu(haematoxylin))
            tifffile.imwrite(Path(folder, f"{image.stem}.tif"), objects.astype(np.int32))
        return evaluated(Path(folder), labels)


def judge_monuseg(folder: Path, model: str, *, only_he_validation: bool) -> dict[str, object]:
    images = sorted((folder / "images").glob("*.png"))
    if only_he_validation:
        images = [image for image in images if image.stem.startswith(HE_VALIDATION)]
    with tempfile.TemporaryDirectory() as scratch:
        columns = {
            "model_png": judge(images, folder / "labels", model),
            "model_at_its_mpp": judge(as_ome_tiff(images, Path(scratch)), folder / "labels", model),
            "otsu": judge_otsu(images, folder / "labels"),
        }
    tiles = {image.stem: {name: values[image.stem] for name, values in columns.items()} for image in images}
    return {"mean": {name: mean(list(values.values())) for name, values in columns.items()}, "tiles": tiles}


def judge_dsb(folder: Path, model: str) -> dict[str, object]:
    with (folder / "index.csv").open(newline="") as file:
        kinds = {row["id"]: row["kind"] for row in csv.DictReader(file) if row["split"] == "val"}
    scores = judge([folder / "images" / f"{name}.png" for name in kinds], folder / "labels", model)
    by_kind = defaultdict(list)
    for name, values in scores.items():
        by_kind[kinds[name]].append(values)
    kinds_of = {kind: {**mean(values), "images": len(values)} for kind, values in sorted(by_kind.items())}
    return {"mean": mean(list(scores.values())), "by_kind": kinds_of}


def mean(scores: list[Scores]) -> Scores:
    return {name: round(float(np.mean([one[name] for one in scores])), 4) for name in scores[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of nuclei_monuseg and nuclei_dsb2018")
    parser.add_argument("--model", default="nuclei", help="a bundled model's name, a model file, or a training run's folder")
    parser.add_argument("--only-he-validation", action="store_true", help="only the four tiles that nuclei-he is judged by")
    parser.add_argument("--out", default="nuclei_quality", help="name of the result in benchmarks/results")
    options = parser.parse_args()
    he = judge_monuseg(options.data / "nuclei_monuseg", options.model, only_he_validation=options.only_he_validation)
    result = {"model": Path(options.model).name, "monuseg": he}
    if not options.only_he_validation:
        result["dsb2018_validation"] = judge_dsb(options.data / "nuclei_dsb2018", options.model)
    write_result(options.out, result, hardware())


if __name__ == "__main__":
    main()
