"""How well a model finds nuclei, through the command line alone, beside a method that learns nothing.

    python benchmarks/bench_nuclei_quality.py                      the bundled model
    python benchmarks/bench_nuclei_quality.py --model RUN --only-he-validation

H&E: the 13 tiles of MoNuSeg at 0.25 microns per pixel, as PNG (no resolution known: the pixels as they are) and as OME-TIFF
that says 0.25 (the model's own resolution). The bundled model never saw them; ``nuclei-he`` keeps four for validation. Then
the validation split of the 2018 Data Science Bowl. The figure is Dice of nucleus (any class above 0) against background, image
by image, then the mean. The rival is haematoxylin by colour deconvolution, a Gaussian of 1.5 pixels and Otsu's threshold.
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


def run(*words: object) -> dict[str, object]:
    """Run the command and return its JSON report."""
    done = subprocess.run([COMMAND, *map(str, words), "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def judge(images: list[Path], labels: Path, model: str) -> dict[str, float]:
    """Return the Dice of every image by name."""
    with tempfile.TemporaryDirectory() as folder:
        run("predict", *images, "-m", model, "-o", f"{folder}/out", "--workers", 1, "--tissue", "none", "--image", "none")
        report = run("evaluate", f"{folder}/out", labels, "--metrics", "semantic")
    return {image["name"]: round(image["semantic"]["dice"], 4) for image in report["images"]}


def as_ome_tiff(images: list[Path], folder: Path) -> list[Path]:
    """Write the images anew, with their resolution."""
    for image in images:
        facts = {"axes": "YXS", "PhysicalSizeX": MONUSEG_MPP, "PhysicalSizeY": MONUSEG_MPP, "PhysicalSizeXUnit": "um"}
        pixels = np.array(Image.open(image).convert("RGB"))
        tifffile.imwrite(folder / f"{image.stem}.ome.tif", pixels, photometric="rgb", tile=(256, 256), metadata=facts)
    return sorted(folder.glob("*.ome.tif"))


def otsu_dice(image: Path, label: Path) -> float:
    """Return the Dice of where haematoxylin is above Otsu's threshold."""
    haematoxylin = ndimage.gaussian_filter(rgb2hed(np.array(Image.open(image).convert("RGB")))[..., 0], 1.5)
    found, truth = haematoxylin > threshold_otsu(haematoxylin), tifffile.imread(label) > 0
    return round(float(2 * (found & truth).sum() / (found.sum() + truth.sum())), 4)


def judge_monuseg(folder: Path, model: str, *, only_he_validation: bool) -> dict[str, object]:
    images = sorted((folder / "images").glob("*.png"))
    if only_he_validation:
        images = [image for image in images if image.stem.startswith(HE_VALIDATION)]
    with tempfile.TemporaryDirectory() as scratch:
        columns = {
            "model_png": judge(images, folder / "labels", model),
            "model_at_its_mpp": judge(as_ome_tiff(images, Path(scratch)), folder / "labels", model),
            "otsu": {image.stem: otsu_dice(image, folder / "labels" / f"{image.stem}.tif") for image in images},
        }
    tiles = {image.stem: {name: values[image.stem] for name, values in columns.items()} for image in images}
    return {"mean_dice": {name: mean(values.values()) for name, values in columns.items()}, "tiles": tiles}


def judge_dsb(folder: Path, model: str) -> dict[str, object]:
    with (folder / "index.csv").open(newline="") as file:
        kinds = {row["id"]: row["kind"] for row in csv.DictReader(file) if row["split"] == "val"}
    dice = judge([folder / "images" / f"{name}.png" for name in kinds], folder / "labels", model)
    by_kind = defaultdict(list)
    for name, value in dice.items():
        by_kind[kinds[name]].append(value)
    return {"mean_dice": mean(dice.values()), "by_kind": {kind: [mean(v), len(v)] for kind, v in sorted(by_kind.items())}}


def mean(values: object) -> float:
    return round(float(np.mean(list(values))), 4)


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
