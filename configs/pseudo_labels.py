"""Label a slide with a model, where it is sure: a training with such labels learns what real tissue looks like (self-training).

    python configs/pseudo_labels.py SLIDE MODEL FOLDER

writes FOLDER/images and FOLDER/labels, the slide's level 0 as it is and enlarged, for `labels_are: classes` with
`values: {0: 0, 1: 1, 255: ignore}`: nucleus or background where the model is sure on average of both sizes. Pixels where it is
not, and glass, are ignored.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

import slideseg
from slideseg.slide.open import open_slide
from slideseg.space.box import Box

ENLARGED = 1.8
SURE = (0.25, 0.7)
"""Below: background; above: nucleus; between: nobody knows."""
GLASS = 215
"""Pixels whose darkest channel is brighter are glass, if they are ..."""
FAR = 24
"""... so many pixels from any darker one."""
IGNORED = 255


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    wanted = parser.parse_args()
    slide = open_slide(str(wanted.slide))
    picture = Image.fromarray(slide.read(Box.of_shape(slide.levels[0].shape)))
    enlarged = picture.resize((round(picture.width * ENLARGED), round(picture.height * ENLARGED)), Image.Resampling.BICUBIC)
    found = [probability(one, wanted.model) for one in (picture, enlarged)]
    for name in ("images", "labels"):
        (wanted.folder / name).mkdir(parents=True, exist_ok=True)
    for number, one in enumerate((picture, enlarged)):
        mean = np.mean([resized(p, one.size) for p in found], axis=0)
        name = f"{wanted.slide.stem}-{number}.png"
        one.save(wanted.folder / "images" / name)
        Image.fromarray(labels(mean, np.asarray(one))).save(wanted.folder / "labels" / name)
    rows = "".join(f"{wanted.slide.stem}-{number},train\n" for number in (0, 1))
    (wanted.folder / "index.csv").write_text(f"id,split\n{rows}", encoding="utf-8")


def probability(picture: Image.Image, model: str) -> np.ndarray:
    """Return the probability of anything but background (y, x), float32."""
    with tempfile.TemporaryDirectory() as folder:
        picture.save(f"{folder}/picture.png")
        slideseg.predict(
            f"{folder}/picture.png", f"{folder}/out.zarr", model=model, tissue="none", workers=1, save_probabilities=True
        )
        probabilities = slideseg.open_result(f"{folder}/out.zarr").probabilities
        if probabilities is None:
            msg = "the result holds no probabilities"
            raise RuntimeError(msg)
        return np.asarray(1 - np.asarray(probabilities[0]) / 255, np.float32)


def resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return values (y, x) as a picture of ``size`` (x, y)."""
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))


def labels(probability_YX: np.ndarray, image_YXC: np.ndarray) -> np.ndarray:
    """Return 0, 1 or `IGNORED` for every pixel (y, x), uint8."""
    low, high = SURE
    out = np.full(probability_YX.shape, IGNORED, np.uint8)
    out[probability_YX < low] = 0
    out[probability_YX > high] = 1
    glass = ndimage.distance_transform_edt(image_YXC.min(axis=2) > GLASS) > FAR
    out[glass] = IGNORED
    return out


if __name__ == "__main__":
    main()
