"""Measure the colours of haematoxylin and eosin in H&E images: what painted samples are dyed with.

    python configs/stains.py slideseg/training/samples/stains.csv FOLDER [FOLDER ...]

A row an image, by Macenko et al., "A method for normalizing histology slides for quantitative analysis", ISBI 2009: the two
ends of the plane in which the optical densities of stained pixels lie. Those of the package are of the training images of
BRCA-M2C and TNBC.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

STAINED = 0.15
"""Least optical density of a stained pixel, in each channel."""
FEWEST = 2000
"""Stained pixels without which an image says nothing."""
ENDS = (1, 99)
"""Percentiles of the angle in the plane."""


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    wanted = parser.parse_args()
    table, folders = wanted.table, wanted.folders
    found = (stains_of(np.asarray(Image.open(path).convert("RGB"))) for folder in folders for path in sorted(folder.iterdir()))
    rows = [",".join(f"{value:.3f}" for value in stains.ravel()) for stains in found if stains is not None]
    table.write_text("\n".join(["h_red,h_green,h_blue,e_red,e_green,e_blue", *rows, ""]), encoding="utf-8")


def stains_of(image: np.ndarray) -> np.ndarray | None:
    """Return the optical densities (2, RGB), of length 1, of haematoxylin and eosin; None where there is too little."""
    density = -np.log((image.reshape(-1, 3) + 1.0) / 256)
    stained = density[(density > STAINED).all(axis=1)]
    if len(stained) < FEWEST:
        return None
    _, axes = np.linalg.eigh(np.cov(stained.T))
    plane = axes[:, [2, 1]] * np.sign(axes[0, [2, 1]])
    along, across = (stained @ plane).T
    angles = np.percentile(np.arctan2(across, along), ENDS)
    ends = np.array([plane @ (np.cos(angle), np.sin(angle)) for angle in angles])
    return ends[np.argsort(-ends[:, 0])] / np.linalg.norm(ends, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
