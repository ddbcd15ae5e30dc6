"""The sets of real images that models of nuclei are judged by; none of them was trained on."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import tifffile
from common import DATA
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

HELD_OUT = ("09", "10", "11")
"""TNBC's patients that nothing is trained on."""
HE_VALIDATION = ("TCGA-21-5784", "TCGA-CH-5767", "TCGA-B0-5710", "TCGA-NH-A8F7")
"""MoNuSeg's tiles that the recipe ``nuclei-he`` does not train on."""


@dataclass(frozen=True)
class Images:
    """A set of images and the truth of each."""

    paths: tuple[Path, ...]
    """The images."""
    labels: Path
    """Folder of what is true, under the same names: label images, or points."""
    light: Literal["bright", "dark"] = "bright"
    """Which of the two models it is for."""
    mpp: float | None = None
    """Microns of a pixel; None for those of the model."""


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def monuseg(*, only_he_validation: bool = False) -> Images:
    paths = sorted((DATA / "nuclei_monuseg" / "images").glob("*.png"))
    kept = [path for path in paths if not only_he_validation or path.stem.startswith(HE_VALIDATION)]
    return Images(tuple(kept), DATA / "nuclei_monuseg" / "labels")


def tnbc() -> Images:
    folder = DATA / "nuclei_tnbc"
    names = [row["id"] for row in rows(folder) if row["patient"] in HELD_OUT]
    return Images(tuple(folder / "images" / f"{name}.png" for name in names), folder / "labels")


def dsb(kind: str) -> Images:
    """Return the validation images of a kind."""
    folder = DATA / "nuclei_dsb2018"
    names = [row["id"] for row in rows(folder) if row["split"] == "val" and row["kind"] == kind]
    paths = tuple(folder / "images" / f"{name}.png" for name in names)
    return Images(paths, folder / "labels", "dark" if kind == "fluorescence" else "bright")


def dsb_kinds() -> list[str]:
    """Return the kinds of validation images that there are."""
    return sorted({row["kind"] for row in rows(DATA / "nuclei_dsb2018") if row["split"] == "val"})


def brca_points() -> Images:
    """Return the test patches of BRCA-M2C, of which points are known."""
    folder = DATA / "he_points_brca_m2c"
    names = [row["id"] for row in rows(folder) if row["split"] == "test"]
    return Images(tuple(folder / "images" / f"{name}.jpg" for name in names), folder / "points", mpp=0.5)


def read_image(path: Path) -> np.ndarray:
    """Return an image (y, x, 3)."""
    return np.array(Image.open(path).convert("RGB"))


def read_labels(folder: Path, name: str) -> np.ndarray:
    """Return a label image (y, x)."""
    return tifffile.imread(folder / f"{name}.tif").astype(np.int64)
