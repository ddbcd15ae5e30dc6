"""Do two versions of slideseg write the same bytes? Three results and a small training, by the command of each.

    python benchmarks/compare_bytes.py OLD_CHECKOUT [NEW_CHECKOUT]

A slide with objects and probabilities, a stack, and a slide worked on at another resolution; then the weights of
``configs/tiny.yaml``. Arrays, tables, metadata of viewers and weights are compared file by file. What a run writes about
itself (``attributes.slideseg``: paths, times, version) is not: it says so on purpose where versions differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

ROOT = Path(__file__).parents[1]
TILE = 256
PREDICT = {
    "slide": ("slide.tif", "--objects", "--save-probabilities", "--image", "full", "-w", "2", "--tile", "512"),
    "stack": ("stack.tif", "--objects", "-w", "1"),
    "resampled": ("slide.tif", "--mpp", "0.4", "--objects", "-w", "1"),
}
"""Inputs and options of the results."""


def make_inputs(folder: Path) -> None:
    """Write a slide of dark blobs on pale tissue, 0.25 microns a pixel, larger than a shard, and a grey stack with masks."""
    rng = np.random.default_rng(0)
    slide = _blobs(rng, (1900, 2300), 1500, 6.0)
    tissue = np.array([225, 180, 215]) - slide[..., None] * np.array([130, 120, 70]) + rng.normal(0, 6, (*slide.shape, 3))
    pixels = np.clip(tissue, 0, 255).astype(np.uint8)
    centimetres = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(folder / "slide.tif", pixels, tile=(TILE, TILE), photometric="rgb", compression="zlib", **centimetres)
    planes = np.stack([_blobs(rng, (300, 420), 60, 7.0) for _ in range(3)])
    grey = np.clip(200 - 130 * planes + rng.normal(0, 12, planes.shape), 0, 255).astype(np.uint8)
    tifffile.imwrite(folder / "stack.tif", grey, metadata={"axes": "ZYX"}, imagej=True)
    tifffile.imwrite(folder / "masks.tif", (planes > 0.3).astype(np.uint8) * 255, imagej=True, metadata={"axes": "ZYX"})


def _blobs(rng: np.random.Generator, shape: tuple[int, int], number: int, radius: float) -> np.ndarray:
    """Return an image (y, x) from 0 to 1 with so many round blobs."""
    seeds = np.zeros(shape, np.float32)
    seeds[tuple(rng.integers(0, side, number) for side in shape)] = 1
    smooth = ndimage.gaussian_filter(seeds, radius / 2)
    return np.minimum(1, smooth / np.quantile(smooth, 0.97))


def run(checkout: Path, folder: Path, *arguments: str) -> None:
    """Run ``slideseg`` of a checkout in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "slideseg", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{checkout}: slideseg {' '.join(arguments)}\n{done.stderr}")


def digests(checkout: Path, inputs: Path) -> dict[str, str]:
    """Return a hash of each file that a checkout writes, by its name."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, (slide, *options) in PREDICT.items():
            run(checkout, folder, "predict", str(inputs / slide), "-o", f"{name}.zarr", *options)
        stack = [f"data.sources.0.{key}={inputs / file}" for key, file in (("images", "stack.tif"), ("labels", "masks.tif"))]
        tiny = str(checkout / "configs" / "tiny.yaml")
        run(checkout, folder, "train", tiny, "-o", "run", "-w", "1", *(word for one in stack for word in ("-s", one)))
        files = [*folder.glob("*.zarr/**/*"), *folder.glob("run/*.safetensors")]
        return {str(path.relative_to(folder)): digest(path) for path in sorted(files) if path.is_file()}


def digest(path: Path) -> str:
    """Return a file's hash; of a description of Zarr's without what the run says about itself."""
    data = path.read_bytes()
    if path.name == "zarr.json":
        meta = json.loads(data)
        meta["attributes"].pop("slideseg", None)
        data = json.dumps(meta).encode()
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    """Compare, print what differs, and fail if anything does."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path, nargs="?", default=ROOT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        make_inputs(Path(scratch))
        old, new = (digests(checkout.resolve(), Path(scratch)) for checkout in (arguments.old, arguments.new))
    different = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    for name in different:
        print("only in the old" if name not in new else "only in the new" if name not in old else "different", name)
    print(f"{len(old)} files, {len(different)} of them not the same")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
