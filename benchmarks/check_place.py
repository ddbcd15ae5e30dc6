"""Do objects lie where they are? Centres of objects against a threshold of the pixels as OpenSlide or tifffile read them.

One picture of discs in the containers of several scanners, and real slides, each at two levels where it has two. The model is
a threshold too, so every object is known. What is told is by how many pixels of level 0 a centre is off at most: in the
table's pixels, in its microns, as a polygon in QuPath, and of made files from where it is in the picture.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import DATA, hardware, write_result

import slideseg
from slideseg.testing.models import threshold_model

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import containers
from tests.places import (
    Truth,
    bright,
    by_openslide,
    by_tifffile,
    centres_of,
    dark,
    differences,
    farthest,
    found_in,
)

LIMIT = 0.5
"""Pixels of level 0 that a centre may be off."""
REAL = {
    "SVS (CMU-1-Small-Region)": ("wsi/aperio/CMU-1-Small-Region.svs", False, 1),
    "NDPI (test3-TRITC-2-560)": ("wsi/ndpi/test3-TRITC-2-560.ndpi", True, 2),
    "MIRAX (reported)": ("reported/c30_bright.mrxs", False, 2),
}
"""Real slides by what they are: the file, whether what is bright is found, levels."""


def check(slide: Path, truth: Truth, level: int, model: Path, folder: Path) -> dict[str, float]:
    result = folder / "x.zarr"
    slideseg.predict(
        slide, output=result, model=model, level=level, objects=True, tissue="none", image="none", workers=1, overwrite=True
    )
    return {name: round(float(off), 6) for name, off in differences(result, truth, folder).items()}


def main() -> int:
    busy, rows, discs = hardware(), {}, containers.discs()
    picture = centres_of(Truth(dark(discs[..., 0]), (1.0, 1.0), (1.0, 1.0), (0, 0)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {kind: folder / f"{kind}.safetensors" for kind in (False, True)}
        for kind, path in models.items():
            threshold_model(path, bright=kind)
        for container, make in containers.MAKERS.items():
            (folder / container).mkdir()
            made = make(folder / container, discs)
            for level in (0, 1):
                plain = container in ("ome-tiff", "qptiff")
                truth = by_tifffile(made.path, level, dark, made.mpp_yx) if plain else by_openslide(made.path, level, dark)
                off = check(made.path, truth, level, models[False], folder)
                if container != "scn":  # which holds a piece of the picture twice
                    off["picture"] = round(farthest(found_in(folder / "x.zarr") - made.corner_yx, picture), 3)
                rows[f"{container}, level {level}"] = off
        for said, (where, kind, levels) in REAL.items():
            for level in range(levels if (DATA / where).exists() else 0):
                truth = by_openslide(DATA / where, level, bright if kind else dark)
                rows[f"{said}, level {level}"] = check(DATA / where, truth, level, models[kind], folder)
    write_result("place", {"limit": LIMIT, "off_by": rows}, busy)
    return int(max(off for row in rows.values() for off in row.values()) >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
