"""How well the bundled model ``nuclei`` finds nuclei, beside a method that learns nothing.

    python benchmarks/bench_nuclei_quality.py --data DATA

``DATA`` holds ``nuclei_monuseg`` (H&E at 0.25 microns per pixel; no model was trained on it) and ``nuclei_dsb2018``
(index.csv with the split). Writes ``benchmarks/results/nuclei_quality.json``. The figure is Dice of nucleus (any class above
0) against background, image by image, then the mean. The rival is haematoxylin by colour deconvolution, a Gaussian of 1.5
pixels and Otsu's threshold, in the same run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.filters import threshold_otsu

from slideseg.model.bundled import load_model
from slideseg.training.nuclei import dice, evaluate, read_fields, scales_of, segment

if TYPE_CHECKING:
    from slideseg.model.file import LoadedModel

MONUSEG_MPP = 0.25
RESULT = Path(__file__).parent / "results" / "nuclei_quality.json"


def otsu(image: np.ndarray) -> np.ndarray:
    """Return where haematoxylin is above Otsu's threshold."""
    haematoxylin = ndimage.gaussian_filter(rgb2hed(image)[..., 0], 1.5)
    return haematoxylin > threshold_otsu(haematoxylin)


def judge_monuseg(model: LoadedModel, folder: Path) -> dict[str, dict[str, float]]:
    """Return the Dice of the model and of the rival on every tile."""
    tiles = {}
    for path in sorted((folder / "images").glob("*.png")):
        image = np.array(Image.open(path).convert("RGB"))
        truth = np.array(Image.open(folder / "labels" / f"{path.stem}.tif")) > 0
        found = segment(model, image, MONUSEG_MPP / model.mpp) > 0
        tiles[path.stem] = {"model": round(dice(found, truth), 4), "otsu": round(dice(otsu(image), truth), 4)}
        print(path.stem, tiles[path.stem])
    return tiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    model = load_model(options.model)
    tiles = judge_monuseg(model, options.data / "nuclei_monuseg")
    dsb = options.data / "nuclei_dsb2018"
    result = {
        "model": model.info.name,
        "sha256": model.sha256,
        "monuseg_mean_dice": {who: round(float(np.mean([t[who] for t in tiles.values()])), 4) for who in ("model", "otsu")},
        "monuseg_tiles_won": sum(t["model"] > t["otsu"] for t in tiles.values()),
        "monuseg_tiles": tiles,
        "dsb2018_val_mean_dice_by_kind": evaluate(model, read_fields(dsb, "val"), scales_of(read_fields(dsb, "train"))),
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "monuseg_tiles"}, indent=1))


if __name__ == "__main__":
    main()
