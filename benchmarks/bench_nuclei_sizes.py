"""What the size of nuclei that were found says of slides whose resolution nobody knows: the hints of ``predict --objects``.

    python benchmarks/bench_nuclei_sizes.py --model nuclei

MoNuSeg's 13 tiles and TNBC's 13 of held-out patients, stored without a resolution, as they are and made finer and coarser.
"""

from __future__ import annotations

import argparse
import math
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench_nuclei_quality import MPP, predicted
from common import hardware, write_result
from nuclei_sets import monuseg, read_image, tnbc
from PIL import Image

from slideseg.result.found.plausible import FEWEST_OBJECTS
from slideseg.result.result import open_result

TRUE_MPP = (0.125, 0.25, 0.5, 1.0)
HINT = re.compile(r"pixels may be of ([0-9.]+)")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="nuclei", help="a model whose file tells what it learnt from")
    model, busy = parser.parse_args().model, hardware()
    rows = {str(mpp): hints(mpp, model) for mpp in TRUE_MPP}
    write_result("nuclei_sizes", {"model": model, "images": len(tiles()), "by_true_mpp": rows}, busy)


def tiles() -> list[Path]:
    return [*monuseg().paths, *tnbc().paths]


def hints(true_mpp: float, model: str) -> dict[str, Any]:
    """Return what is told of the tiles if their pixels are of ``true_mpp`` microns."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [resized(path, MPP / true_mpp, Path(folder)) for path in tiles()]
        with predicted(paths, model) as (_, slides):
            told = [float(hint[1]) for slide in slides for note in slide["notes"] if (hint := HINT.search(note))]
            across = [microns_across(slide["output"]) for slide in slides if slide["objects"] >= FEWEST_OBJECTS]
    return {
        "with_30_nuclei": len(across),
        "told_of": len(told),
        "told": [min(told), float(np.median(told)), max(told)] if told else None,
        "median_microns_across_as_if_0.25": round(float(np.median(across)), 2),
    }


def resized(path: Path, times: float, folder: Path) -> Path:
    image = Image.fromarray(read_image(path))
    size = round(image.width * times), round(image.height * times)
    image.resize(size, Image.Resampling.BICUBIC if times > 1 else Image.Resampling.BOX).save(folder / f"{path.stem}.png")
    return folder / f"{path.stem}.png"


def microns_across(result: str) -> float:
    """Return the diameter of the disc of the objects' mean area, in microns of the model's pixels."""
    labels = np.asarray(open_result(result).objects[:])  # type: ignore[index]
    return MPP * 2 * math.sqrt((labels > 0).sum() / len(np.unique(labels[labels > 0])) / math.pi)


if __name__ == "__main__":
    main()
