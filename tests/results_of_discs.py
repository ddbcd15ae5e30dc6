"""Finished results of discs, many over the seams of their shards, and what tests look at in them."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import zarr

from slideseg.testing.records import made_classes
from tests.made_results import make_result

NAMES = ("background", "nucleus", "border")
CLASSES = made_classes(*NAMES)


@functools.cache
def a_class_map(shape=(700, 600), seed=0) -> np.ndarray:
    """Return discs of nucleus with a rim of border, many over the seams of shards of 256 pixels; read only."""
    out = np.zeros(shape, np.uint8)
    y, x = np.indices(shape[-2:])
    for cy, cx, radius in np.random.default_rng(seed).integers((0, 0, 5), (*shape[-2:], 25), (60, 3)):
        distance = np.hypot(y - cy, x - cx)
        out[..., distance < radius + 2] = 2
        out[..., distance < radius] = 1
        out[..., distance < radius / 4] = 0
    out.flags.writeable = False
    return out


def write_result(path: Path, class_map: np.ndarray, mpp=0.5, facts=None) -> str:
    """Write a finished result of a class map (y, x) or (z, y, x) in shards of 256 pixels; return where it lies."""
    make_result(path, class_map, mpp=mpp, classes=CLASSES, plane_axis="z" if class_map.ndim == 3 else None, slide=facts)
    return str(path)


def labels_of(url: str) -> np.ndarray:
    """Return the ids of objects of a result."""
    return np.asarray(zarr.open_array(url, path="labels/objects/0", mode="r")[:])


def names_in(url: str) -> list[str]:
    """Return the labels that a result names."""
    return json.loads(Path(url, "labels/zarr.json").read_text())["attributes"]["ome"]["labels"]


def files(url: str) -> dict[str, bytes]:
    """Return every file of a result by its name."""
    return {p.relative_to(url).as_posix(): p.read_bytes() for p in Path(url).rglob("*") if p.is_file()}
