"""Pack what a GPU machine needs that has PyTorch and no network: missing packages, and for a training of nuclei the data.

    python benchmarks/gpu/pack.py build/gpu
    python benchmarks/gpu/pack.py build/gpu --nothing nothing

Packed is site.tar.xz, packages for Python 3.12 without Ray; that will do for ``benchmarks/gpu/run.sh ask``. ``nothing`` is what
configs/nothing.py wrote: with it data.tar is packed too, for nuclei.py, which is run there: TNBC,
training and validation patches of BRCA-M2C, training images of the Data Science Bowl (of fluorescence only some), and
places without nuclei. Images are stored as JPEG, so figures of what was learnt from them are to be taken elsewhere.
Then, on that machine: ``python3 benchmarks/gpu/nuclei.py build/gpu OUT 480``.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from common import DATA  # noqa: E402
from nuclei_sets import rows  # noqa: E402

PACKAGES = (
    *("annotated-types", "dask", "donfig", "google-crc32c", "imagecodecs", "locket", "numcodecs", "obstore"),
    *("openslide-bin", "openslide-python", "partd", "pydantic", "pydantic-core", "pydicom", "shapely", "tensorboardX"),
    *("typing-inspection", "zarr"),
)
"""What slideseg needs and a machine for PyTorch, with scikit-image, SciPy, tifffile, PyArrow and Matplotlib, does not have."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
CODECS = ("_imcd", "_shared", "_jpeg8", "_png", "libjpeg-", "libpng")
"""Beginnings of the files of imagecodecs that are packed; all are as large as the images."""
FLUORESCENCE = 20
"""Images of fluorescence that are packed."""
JPEG = {"quality": 80, "subsampling": 0}
MOST = 38 << 20
"""Bytes of all that is packed: with the repository's own files it is less than 64 MiB."""


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nothing", type=Path)
    wanted = parser.parse_args()
    shutil.rmtree(wanted.folder, ignore_errors=True)
    wanted.folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        pack_packages(Path(scratch), wanted.folder / "site.tar.xz")
        if wanted.nothing is not None:
            pack_data(Path(scratch, "data"), wanted.nothing, wanted.folder / "data.tar")
    size = sum(path.stat().st_size for path in wanted.folder.iterdir())
    print(f"{wanted.folder}: {size / 2**20:.1f} MiB")
    if size > MOST:
        sys.exit(f"that is more than {MOST >> 20} MiB")


def pack_packages(scratch: Path, target: Path) -> None:
    options = [word for platform in PLATFORMS for word in ("--platform", platform)]
    pip = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version", "3.12")
    subprocess.run([*pip, *options, "-c", ROOT / "constraints.txt", "-d", scratch / "wheels", *PACKAGES], check=True)
    for wheel in (scratch / "wheels").iterdir():
        zipfile.ZipFile(wheel).extractall(scratch / "site")
    for path in [*(scratch / "site").glob("imagecodecs/*.so"), *(scratch / "site" / "imagecodecs.libs").iterdir()]:
        if not path.name.startswith(CODECS):
            path.unlink()
    with tarfile.open(target, "w:xz") as tar:
        tar.add(scratch / "site", "site")


def pack_data(folder: Path, nothing: Path, target: Path) -> None:
    tnbc, brca, dsb = (DATA / name for name in ("nuclei_tnbc", "he_points_brca_m2c", "nuclei_dsb2018"))
    pack_images(tnbc, folder / tnbc.name, rows(tnbc), "labels")
    pack_images(brca, folder / brca.name, [row for row in rows(brca) if row["split"] in ("train", "val")], "points")
    training = [row for row in rows(dsb) if row["split"] == "train"]
    fluorescence = [row for row in training if row["kind"] == "fluorescence"][:FLUORESCENCE]
    pack_images(dsb, folder / dsb.name, [row for row in training if row["kind"] != "fluorescence"] + fluorescence, "labels")
    shutil.copytree(nothing / "bright", folder / "nothing" / "bright")
    with tarfile.open(target, "w") as tar:
        tar.add(folder, "data")


def pack_images(source: Path, folder: Path, kept: list[dict[str, str]], truth: str) -> None:
    """Copy images as JPEG, and what is true of them as it is."""
    for name in ("images", truth):
        (folder / name).mkdir(parents=True)
    for row in kept:
        image = next((source / "images").glob(f"{row['id']}.*"))
        Image.open(image).convert("RGB").save(folder / "images" / f"{row['id']}.jpg", **JPEG)
        shutil.copy(next((source / truth).glob(f"{row['id']}.*")), folder / truth)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(kept[0]))
        table.writeheader()
        table.writerows(kept)


if __name__ == "__main__":
    main()
