"""What does int8 cost in quality? The bundled model on real H&E whose truth is known, in int8 and in fp32.

Each image is segmented by `slideseg predict --precision int8`, which fits itself to a few tiles of it, and in fp32. The Dice
coefficient of nuclei of any class with the truth is that of all pixels of a set together. What needs no learning, Otsu's
threshold, is shown beside it. How fast it is, `bench_engine.py` tells.

Claim: the Dice coefficient changes by at most 0.002.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import hardware, write_result
from nuclei_sets import monuseg, read_image, read_labels, tnbc
from skimage.filters import threshold_otsu
from without_learning import stain_of

import slideseg

if TYPE_CHECKING:
    from nuclei_sets import Images

LIMIT = 0.002
SETS = {"MoNuSeg": monuseg, "TNBC, patients held out": tnbc}


class Counts:
    """Pixels of two masks, and of both."""

    def __init__(self) -> None:
        self._both = self._sum = 0

    def add(self, found: np.ndarray, truth: np.ndarray) -> None:
        """Count an image's."""
        self._both += int(np.count_nonzero(found & truth))
        self._sum += int(np.count_nonzero(found)) + int(np.count_nonzero(truth))

    @property
    def dice(self) -> float:
        """Return the Dice coefficient."""
        return round(2 * self._both / max(1, self._sum), 4)


def classes(path: Path, precision: str, folder: Path) -> np.ndarray:
    """Return the class map (y, x) of an image."""
    given = {"model": "nuclei", "tissue": "none", "level": 0, "workers": 1, "precision": precision}
    slideseg.predict(str(path), output=str(folder / f"{path.stem}-{precision}.zarr"), overwrite=True, **given)
    return np.asarray(slideseg.open_result(folder / f"{path.stem}-{precision}.zarr").segmentation)


def compare(images: Images, folder: Path) -> dict[str, object]:
    """Segment a set in both formats."""
    fp32, int8, otsu, same = Counts(), Counts(), Counts(), Counts()
    others = pixels = 0
    for path in images.paths:
        truth = read_labels(images.labels, path.stem) > 0
        exact, approximate = (classes(path, precision, folder) for precision in ("fp32", "int8"))
        fp32.add(exact > 0, truth)
        int8.add(approximate > 0, truth)
        stain = stain_of(read_image(path), "bright")
        otsu.add(stain > threshold_otsu(stain), truth)
        same.add(approximate > 0, exact > 0)
        others, pixels = others + int(np.count_nonzero(exact != approximate)), pixels + exact.size
    return {
        "images": len(images.paths),
        "dice_fp32": fp32.dice,
        "dice_int8": int8.dice,
        "dice_otsu": otsu.dice,
        "dice_of_both": same.dice,
        "other_classes": round(others / pixels, 6),
    }


def main() -> None:
    """Run it."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    busy = hardware()
    with tempfile.TemporaryDirectory() as name:
        found = {title: compare(make(), Path(name)) for title, make in SETS.items()}
    changes = [abs(of["dice_int8"] - of["dice_fp32"]) for of in found.values()]
    write_result("int8", {"by_set": found, "limit": LIMIT, "passed": max(changes) <= LIMIT}, busy)


if __name__ == "__main__":
    main()
