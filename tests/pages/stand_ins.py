"""Small stand-ins for the files that pages name: slides, results, truths, recipes, models; made when they are first needed."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
import torch
from PIL import Image
from skimage.measure import label, regionprops

import slideseg
from slideseg.model.bundled import WEIGHTS
from slideseg.model.config import UNetConfig
from slideseg.model.exporting import export_model
from slideseg.model.file import save_model
from slideseg.model.info import ModelInfo
from slideseg.model.network.unet import UNet
from slideseg.model.stored import read_info
from slideseg.testing.models import random_model
from slideseg.testing.slides import write_pyramid
from tests.made_results import CLASSES, make_result
from tests.pages.reading import ROOT
from tests.unit.model.others.networks import monai_net, smp_unet
from tests.unit.model.others.onnx.exported import exported
from tests.unit.model.others.small import Small, program, trained
from tests.unit.model.test_importer import made as public_unet

if TYPE_CHECKING:
    from collections.abc import Callable

DARK = 128
"""What is darker in red is a nucleus to the stand-ins of the bundled models."""
MPP = 0.25
PLANES = 6
GREY = UNetConfig(1, 1, base_channels=1, depth=1)


def bundled_stand_in(name: str, path: Path) -> None:
    """Write a tiny model that is called as a bundled one, with its classes, resolution and rules: it finds what is dark.

    Of several classes of objects only the first is ever found.
    """
    info = read_info(WEIGHTS / f"{name}.safetensors")
    net = UNet(UNetConfig(3, len(info.classes), base_channels=1, depth=1, batch_norm=False)).eval()
    weights = {key: torch.zeros_like(values) for key, values in net.state_dict().items()}
    mean, std = info.input.mean[0], info.input.std[0]
    weights["encoder.0.conv1.weight"][0, 0, 1, 1] = -std  # 1 - red
    weights["encoder.0.conv1.bias"][0] = 1 - mean
    for layer in ("encoder.0.conv2", "decoder.0.conv1", "decoder.0.conv2"):
        weights[f"{layer}.weight"][0, 0, 1, 1] = 1.0
    weights["head.weight"][1] = 255.0
    weights["head.bias"][:] = -1000.0
    weights["head.bias"][0], weights["head.bias"][1] = 0.0, DARK - 255.0
    net.load_state_dict(weights)
    save_model(path, net, ModelInfo(name, net.config, info.classes, info.input, objects=info.objects, made_for=info.made_for))


def tissue(side: int, seed: int = 0) -> np.ndarray:
    """Return a picture (side, side, 3) uint8 of pink tissue with dark round nuclei that don't touch."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 20, (side, side, 1)).astype(np.uint8) + np.uint8([205, 150, 185])
    y, x = np.ogrid[:side, :side]
    for top in range(0, side - 48, 48):
        for left in range(0, side - 48, 48):
            cy, cx, radius = random.integers((14, 14, 8), (34, 34, 13))
            inside = (y[:48] - cy) ** 2 + (x[:, :48] - cx) ** 2 < radius**2
            image[top : top + 48, left : left + 48][inside] = (90, 60, 140)
    return image


def slide(path: Path, side: int = 512, seed: int = 0) -> None:
    """Write a slide of tissue."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pyramid(path, tissue(side, seed), levels=2, mpp=MPP)


def nuclei(seed: int = 0, side: int = 512) -> np.ndarray:
    """Return the numbers (side, side) uint16 of the nuclei in `tissue`."""
    return label(tissue(side, seed)[..., 0] < DARK).astype(np.uint16)


def pictures(folder: Path) -> None:
    """Write two pictures as PNG."""
    folder.mkdir()
    for number, name in enumerate(NAMES):
        Image.fromarray(tissue(256, number)).save(folder / f"{name}.png")


def points(folder: Path, side: int = 256) -> None:
    """Write the nuclei's middles in `pictures`, or in slides of another side."""
    folder.mkdir()
    for number, name in enumerate(NAMES):
        rows = [f"{one.centroid[0]:.1f},{one.centroid[1]:.1f}" for one in regionprops(nuclei(number, side))]
        (folder / f"{name}.csv").write_text("\n".join(["y,x", *rows]) + "\n")


NAMES = ("a", "b")
"""Of all slides and pictures in folders."""


def slides(folder: Path) -> None:
    """Write a folder of slides."""
    for number, name in enumerate(NAMES):
        slide(folder / f"{name}.svs", seed=number)


def with_a_broken_one(folder: Path) -> None:
    """Write a folder of slides, one of them cut off."""
    slides(folder)
    whole = (folder / f"{NAMES[0]}.svs").read_bytes()
    (folder / "broken.svs").write_bytes(whole[: len(whole) // 2])


def results(folder: Path) -> None:
    """Write the results of `slides`, with objects."""
    source = folder.parent / f"slides of {folder.name}"
    slides(source)
    slideseg.predict(source, output=folder, objects=True, workers=1)


def result(path: Path, side: int = 512) -> None:
    """Write the result of a slide, with objects."""
    source = path.with_suffix(".svs")
    if not source.exists():
        slide(source, side)
    slideseg.predict(source, output=path, objects=True, workers=1)


SIDE = 1408
"""Of the slides that pages show pieces of."""


def planes(path: Path) -> None:
    """Write a grey stack."""
    tifffile.imwrite(path, _planes()[..., 0], photometric="minisblack")


def stacks(folder: Path) -> None:
    """Write a folder of grey stacks."""
    folder.mkdir()
    for name in ("s0", "s1"):
        planes(folder / f"{name}.tif")


def masks(path: Path) -> None:
    """Write where its planes are dark."""
    tifffile.imwrite(path, 255 * (_planes()[..., 0] < DARK).astype(np.uint8), photometric="minisblack")


def _planes() -> np.ndarray:
    return np.stack([tissue(192, seed) for seed in range(PLANES)])


def membranes(path: Path) -> None:
    """Write the result of a model of two classes, and where that is right."""
    make_result(path, (nuclei() > 0).astype(np.uint8), classes=CLASSES[:2])


def labels(path: Path) -> None:
    """Write a label image of the nuclei, as the ending says."""
    if path.suffix == ".png":
        Image.fromarray(nuclei(side=SIDE)).save(path)
    else:
        tifffile.imwrite(path, nuclei())


def mask(path: Path) -> None:
    """Write a mask of 0 and 255."""
    content = 255 * (nuclei() > 0).astype(np.uint8)
    Image.fromarray(content).save(path) if path.suffix == ".png" else tifffile.imwrite(path, content)


def truths(folder: Path) -> None:
    """Write a label image for each result in the folder ``results`` beside it: what was found there."""
    folder.mkdir()
    for found in (folder.parent / "results").glob("*.zarr"):
        class_map = slideseg.open_result(found).segmentation.compute()
        marks = [label(plane > 0).astype(np.uint16) for plane in np.atleast_3d(class_map.T).T]
        content = np.stack(marks) if class_map.ndim == 3 else marks[0]
        tifffile.imwrite(folder / f"{found.stem}.tif", content, photometric="minisblack")


def polygons(path: Path) -> None:
    """Write the objects of the result beside it as QuPath would."""
    slideseg.export(path.with_suffix(".zarr"), "geojson", path)


def label_images(folder: Path) -> None:
    """Write the numbers of the nuclei in `slides`."""
    folder.mkdir()
    for number, name in enumerate(NAMES):
        tifffile.imwrite(folder / f"{name}.tif", nuclei(number))


def annotations(folder: Path) -> None:
    """Write the outlines of the nuclei in `slides`."""
    source = folder.parent / f"labels of {folder.name}"
    label_images(source)
    folder.mkdir()
    for path in source.iterdir():
        slideseg.export(path, "geojson", folder / f"{path.stem}.geojson", labels="objects")


def manifest(path: Path) -> None:
    """Write a manifest of two slides, one with options of its own."""
    for number, name in enumerate(("c", "d")):
        slide(path.parent / "scanned" / f"{name}.svs", seed=number)
    path.write_text("path,mpp_of_slide,tissue\nscanned/c.svs,,\nscanned/d.svs,0.25,none\n")


def recipe(path: Path) -> None:
    """Write a recipe for pictures and label images."""
    folder = path.parent / f"{path.stem} data"
    pictures_of = folder / "images"
    folder.mkdir()
    pictures(pictures_of)
    (folder / "labels").mkdir()
    for number, name in enumerate(NAMES):
        Image.fromarray(nuclei(number, 256)).save(folder / "labels" / f"{name}.png")
    source = f"{{images: {pictures_of}, labels: {folder / 'labels'}, labels_are: instances, mpp: {MPP}}}"
    path.write_text(RECIPE.format(name="NAME" if path.stem == "recipe" else path.stem, source=source))


RECIPE = """\
name: {name}
data: {{sources: [{source}], mpp: 0.25, split: {{fraction: 0.5}}}}
classes: [nucleus]
loss: {{bce: 1}}
"""


def recipe_of(page: str, path: Path) -> None:
    """Write the first recipe on a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    path.write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])


def recipe_of_the_stack(path: Path) -> None:
    """Write the first recipe on the page about training, with the images that it names."""
    recipe_of("training.md", path)
    planes(path.parent / "stack.tif")
    masks(path.parent / "masks.tif")


def recipe_of_qupath(path: Path) -> None:
    """Write the recipe of the page about QuPath, with what it names."""
    recipe_of("howto/qupath.md", path)
    put_there(["slides", "annotations"], path.parent)
    (path.parent / "patients.csv").write_text("id,patient\na,01\nb,05\n")


def grey_model(path: Path) -> None:
    """Write a model for grey images."""
    random_model(path, GREY)


def run(path: Path) -> None:
    """Write the folder of a run for slides."""
    path.mkdir(parents=True)
    bundled_stand_in("nuclei", path / "best.safetensors")


def checkpoint(path: Path) -> None:
    """Write a checkpoint of the common public U-Net."""
    torch.save(public_unet(channels=1, classes=2).state_dict(), path)


def zarr_slide(path: Path) -> None:
    """Write a slide as OME-Zarr."""
    source = path.with_suffix(".tif")
    slide(source)
    slideseg.convert(source, path)


def package(path: Path) -> None:
    """Make a bioimage.io package of a small model."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "cells.safetensors"
        random_model(model, UNetConfig(3, 2, 4, 2), mpp=0.5)
        export_model(model, path, "bioimageio", licence="CC-BY-4.0")


MAKERS: dict[str, Callable[[Path], None]] = {
    "biopsy.svs": lambda path: slide(path, SIDE),
    "biopsy.tif": lambda path: slide(path, SIDE),
    "dapi.tif": slide,
    "big.svs": slide,
    "x.svs": slide,
    "x.zarr": zarr_slide,
    "scans": slides,
    "slides": slides,
    "stacks": stacks,
    "biopsies": with_a_broken_one,
    "fluorescence": slides,
    "new-slides": slides,
    "annotations": annotations,
    "labels": label_images,
    "truth": annotations,
    "held-back": pictures,
    "held-back-points": points,
    "patches": pictures,
    "train": pictures,
    "stack.tif": planes,
    "other.tif": planes,
    "slides.csv": manifest,
    "biopsy.zarr": lambda path: result(path, SIDE),
    "biopsy-1.zarr": result,
    "biopsy-2.zarr": result,
    "before.zarr": result,
    "after.zarr": result,
    "em.zarr": membranes,
    "results": results,
    "other-results": results,
    "truths": truths,
    "points": lambda folder: points(folder, 512 if (folder.parent / "results").exists() else 256),
    "nuclei.png": labels,
    "LABEL.tif": labels,
    "labels.tif": mask,
    "mask.png": mask,
    "biopsy.geojson": polygons,
    "recipe.yaml": recipe,
    "points.yaml": recipe,
    "membranes.yaml": recipe_of_the_stack,
    "nuclei.yaml": recipe_of_qupath,
    "membranes.safetensors": grey_model,
    "runs/NAME": run,
    "checkpoint.pth": checkpoint,
    "my-model": lambda path: smp_unet().save_pretrained(path),
    "best.pth": lambda path: torch.save(monai_net().state_dict(), path),
    "cells.onnx": lambda path: path.write_bytes(exported(trained(Small(outputs=2)))),
    "net.pt2": lambda path: program(path, "torch.export", outputs=2),
    "cells.zip": package,
    "a.model": lambda path: bundled_stand_in("nuclei", path),
    "b.model": lambda path: bundled_stand_in("nuclei", path),
}
"""What makes a file or folder that pages name, in the folder of the reader."""


def put_there(names: list[str], folder: Path) -> None:
    """Make those of the named files that have a maker, by their whole name or the last part of it, and are not there yet."""
    for name in names:
        place = name.split("/*")[0].removeprefix("./").rstrip("/")
        maker = MAKERS.get(place) or MAKERS.get(place.rpartition("/")[2])
        if maker is not None and not (folder / place).exists():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            maker(folder / place)


def remove(folder: Path) -> None:
    """Empty a folder: what follows begins anew."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
