"""Draw what models find in the best, the median and the worst image of a set, by AJI: for docs/models/nuclei.md.

    python benchmarks/draw_nuclei.py                       docs/images/nuclei-SET-best.jpg, -median.jpg, -worst.jpg
    python benchmarks/draw_nuclei.py --sets monuseg --out FOLDER

Which images these are says ``results/nuclei_quality.json``, so nobody chooses them. MoNuSeg's licence is non-commercial: its
images may be looked at, and stay out of the repository; the sets for the docs are TNBC's held-out patients (CC BY 4.0) and the
fluorescence of the 2018 Data Science Bowl (CC0). On the left is the image, on the right what was found (yellow) over the truth
(green).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from bench_nuclei_quality import predicted
from common import RESULTS
from nuclei_sets import Images, dsb, monuseg, read_image, read_labels, tnbc
from PIL import Image

from slideseg.result.result import open_result

SETS = {"tnbc_held_out": tnbc, "dsb_fluorescence": lambda: dsb("fluorescence"), "monuseg": monuseg}
DRAWN = ("tnbc_held_out", "dsb_fluorescence")
PLACES = {"best": -1, "median": None, "worst": 0}
FOUND, TRUTH = (255, 220, 0), (40, 200, 60)
SIDE = 512
"""Pixels a side at most: the middle of larger images."""
ENLARGED = 2
"""So that outlines are thin."""


def chosen(tiles: dict[str, dict[str, dict[str, float]]]) -> dict[str, str]:
    """Return the names of the best, the median (the lower of two) and the worst image, by the AJI of ours; ties by name."""
    names = sorted(tiles, key=lambda name: (tiles[name]["ours"]["aji"], name))
    return {place: names[(len(names) - 1) // 2 if index is None else index] for place, index in PLACES.items()}


def edges(labels: np.ndarray) -> np.ndarray:
    """Return the pixels (y, x) of objects that lie beside another object or the background."""
    padded = np.pad(labels, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    others = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return (middle > 0) & np.any([other != middle for other in others], axis=0)


def drawn(image: np.ndarray, found: np.ndarray, truth: np.ndarray) -> Image.Image:
    """Return the image beside itself with outlines."""
    middle = tuple(slice((side - min(side, SIDE)) // 2, (side + min(side, SIDE)) // 2) for side in image.shape[:2])
    image, found, truth = (np.repeat(np.repeat(one[middle], ENLARGED, 0), ENLARGED, 1) for one in (image, found, truth))
    over = image.copy()
    over[edges(truth)], over[edges(found)] = TRUTH, FOUND
    return Image.fromarray(np.concatenate([image, over], axis=1))


def draw(images: Images, names: dict[str, str], model: str, to: str) -> None:
    """Write a picture for each place; ``to`` has a %s for its name."""
    paths = {path.stem: path for path in images.paths}
    for place, name in names.items():
        with predicted([paths[name]], model, images.mpp) as (folder, _):
            found = np.asarray(open_result(folder / f"{name}.zarr").objects)
        drawn(read_image(paths[name]), found, read_labels(images.labels, name)).save(to % place, quality=88)
        print(to % place, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=DRAWN)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--model-fluo", default="nuclei-fluo")
    parser.add_argument("--result", default="nuclei_quality", help="name of the result in benchmarks/results that tells which")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "images")
    options = parser.parse_args()
    outlines = json.loads((RESULTS / f"{options.result}.json").read_text(encoding="utf-8"))["outlines"]
    models = {"bright": options.model, "dark": options.model_fluo}
    for name in options.sets:
        images = SETS[name]()
        to = str(options.out / f"nuclei-{name.replace('_', '-')}-%s.jpg")
        draw(images, chosen(outlines[name]["tiles"]), models[images.light], to)


if __name__ == "__main__":
    main()
