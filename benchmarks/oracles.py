"""Other programs that read slides: pixels (planes, y, x, c) of a file without any code of slideseg, or None."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import openslide
import tifffile
import zarr
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Image.MAX_IMAGE_PIXELS = None
MOST = 400_000_000
"""Samples of an image that are compared at most."""


def by_openslide(path: Path) -> np.ndarray | None:
    """Return what OpenSlide reads, in front of the background that the slide states, else white."""
    file = path if path.is_file() else next(iter(sorted(path.glob("*.dcm"))), path)
    try:
        slide = openslide.OpenSlide(file)
        columns, rows = slide.dimensions
        if rows * columns * 3 > MOST:
            return None
        rgba = slide.read_region((0, 0), 0, (columns, rows))
    except openslide.OpenSlideError:
        return None
    color = slide.properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "ffffff")
    return _flattened(rgba, f"#{color}")[None]


def by_pillow(path: Path) -> np.ndarray | None:
    """Return what Pillow reads of PNG, JPEG and TIFF, turned upright, in front of white."""
    if not path.is_file():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return np.stack([_of_pillow(image, frame) for frame in range(_planes(image))])
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, EOFError, Image.DecompressionBombError):
        return None


def _planes(image: Image.Image) -> int:
    """Return how many frames are planes of one stack: those as large as the first, unless they differ."""
    frames = getattr(image, "n_frames", 1)
    sizes = []
    for frame in range(frames):
        image.seek(frame)
        sizes.append(image.size)
    return frames if len(set(sizes)) == 1 else 1


def _of_pillow(image: Image.Image, frame: int) -> np.ndarray:
    image.seek(frame)
    upright = ImageOps.exif_transpose(image)
    if upright.mode in {"RGBA", "LA", "PA"} or "transparency" in upright.info:
        return _flattened(upright.convert("RGBA"), "#ffffff")
    if upright.mode == "P":
        rgb = np.asarray(upright.convert("RGB"))
        grey = (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all()
        return rgb[..., :1] if grey else rgb
    if upright.mode in {"1", "CMYK", "YCbCr", "LAB"}:
        upright = upright.convert("L" if upright.mode == "1" else "RGB")
    pixels = np.asarray(upright)
    return pixels.astype(pixels.dtype.newbyteorder("=")).reshape(*pixels.shape[:2], -1)


def _flattened(image: Image.Image, color: str) -> np.ndarray:
    behind = Image.new("RGBA", image.size, color)
    return np.asarray(Image.alpha_composite(behind, image).convert("RGB"))


def by_tifffile(path: Path) -> np.ndarray | None:
    """Return the samples of the first series as tifffile decodes them; colours are turned only where a tag says how."""
    if not path.is_file():
        return None
    try:
        with tifffile.TiffFile(path) as tif:
            series = tif.series[0]
            if np.prod(series.shape) > MOST:
                return None
            pixels, axes, page = series.asarray(), series.axes, series.keyframe
    except Exception:  # noqa: BLE001  # it raises of everything, and then it is no oracle
        return None
    return _ordered(_coloured(pixels, page), axes)


def _coloured(pixels: np.ndarray, page: Any) -> np.ndarray:
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind == "u":
        pixels = ((1 << max(8, page.bitspersample)) - 1 - pixels).astype(pixels.dtype)
    return pixels


def _ordered(pixels: np.ndarray, axes: str) -> np.ndarray | None:
    """Return (planes, y, x, c) of an array with named axes; stacks are counted along t, then z."""
    letters = axes.replace("S", "C") if "C" not in axes else axes
    letters = "".join(letter if letter in "TZYXC" else "Z" for letter in letters)
    if len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters):
        return None
    order = [letters.index(letter) for letter in "TZYXC" if letter in letters]
    ordered = pixels.transpose(order)
    if "C" not in letters:
        ordered = ordered[..., None]
    return ordered.reshape(-1, *ordered.shape[-3:])


def by_reference(path: Path) -> np.ndarray | None:
    """Return the pixels that a lossless file was made from, where the folder tells them."""
    reference = path.parent / "reference_600x663x3_uint8.npy"
    expected = path.parent / "EXPECTED.json"
    if not (reference.is_file() and expected.is_file()):
        return None
    said = json.loads(expected.read_text()).get(path.name, {})
    same = said.get("shape") == [600, 663, 3] and not said.get("lossy") and said.get("max_abs_error_vs_reference") == 0
    return np.load(reference)[None] if same else None


def by_zarr(path: Path) -> np.ndarray | None:
    """Return what zarr-python reads of the first array."""
    if not path.is_dir():
        return None
    try:
        node = zarr.open(path, mode="r")
        array = node if isinstance(node, zarr.Array) else node["0"]
        if not isinstance(array, zarr.Array):
            return None
        axes = "TCZYX"[-array.ndim :] if array.ndim != 3 else "CYX"
        return _ordered(np.asarray(array[...]), axes)
    except (KeyError, ValueError, OSError, zarr.errors.BaseZarrError):
        return None


ORACLES: dict[str, Callable[[Path], np.ndarray | None]] = {
    "its source": by_reference,
    "OpenSlide": by_openslide,
    "Pillow": by_pillow,
    "tifffile": by_tifffile,
    "zarr-python": by_zarr,
}
