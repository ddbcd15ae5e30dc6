"""Train the bundled model ``nuclei``: nuclei in H&E, learnt from freely licensed images alone.

    python -m slideseg.training.nuclei --data nuclei_dsb2018 --out nuclei.safetensors

The images are those of the 2018 Data Science Bowl (BBBC038v1, CC0): mostly fluorescence, some haematoxylin, four H&E. Each
training crop is brought to a common size of nuclei and painted as H&E (`slideseg.training.stain`). One loop on one CPU, fixed
seeds, weights averaged over the last steps; it ends with the Dice of every kind of image in the validation split.
"""

from __future__ import annotations

import argparse
import copy
import csv
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch.utils.data import DataLoader, IterableDataset

from slideseg.model.file import LoadedModel, ModelClass, ModelInfo, ModelInput, save_model
from slideseg.model.unet import UNet, UNetConfig
from slideseg.training.stain import Noise, paint
from slideseg.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

logger = logging.getLogger(__name__)

MPP = 0.5
"""Microns per pixel the model works at."""
DIAMETER = 13.0
"""Pixels across a typical nucleus at that resolution; training images are scaled to it."""
CLASSES = (
    ModelClass(0, "background", "#000000"),
    ModelClass(1, "nucleus", "#2ca02c"),
    ModelClass(2, "border", "#ffbf00"),
)
INPUT = ModelInput(channels=3, mpp=MPP, mean=(0.7, 0.55, 0.7), std=(0.25, 0.25, 0.25))
SHARES = {
    "fluorescence": 0.50,
    "he_pink": 0.18,
    "purple_on_purple": 0.14,
    "purple_on_white": 0.12,
    "brightfield_grey_cytology": 0.06,
}
"""Share of each kind of image among the training crops."""
AS_IT_IS = 0.08
"""Share of crops that keep their own look, so that the model knows it too."""


@dataclass(frozen=True, slots=True)
class Field:
    """One image with its nuclei."""

    kind: str
    """Kind of microscopy, as in ``index.csv``."""
    levels: tuple[Tensor, ...]
    """The image (3, y, x) uint8 at 1, 1/2 and 1/4 of its resolution."""
    labels: Tensor
    """Instance ids (1, y, x) float32, 0 is none."""
    diameter: float
    """Pixels across the median nucleus."""


def read_fields(folder: Path, split: str) -> list[Field]:
    """Read all images of ``split`` (train or val) that ``folder/index.csv`` lists."""
    with (folder / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return [read_field(folder, row["id"], row["kind"]) for row in rows]


def read_field(folder: Path, name: str, kind: str) -> Field:
    """Read one image (grey becomes three equal channels) and its labels."""
    with Image.open(folder / "images" / f"{name}.png") as file:
        image_CHW = torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1)
    with Image.open(folder / "labels" / f"{name}.tif") as file:
        labels = np.array(file).astype(np.int32)
    areas = np.bincount(labels.ravel())[1:]
    diameter = 2 * math.sqrt(float(np.median(areas[areas > 0])) / math.pi) if areas.any() else DIAMETER
    levels = (image_CHW, *(_shrink(image_CHW, factor) for factor in (2, 4)))
    return Field(kind, levels, torch.from_numpy(labels).float()[None], diameter)


def _shrink(image_CHW: Tensor, factor: int) -> Tensor:
    size = [max(1, round(side / factor)) for side in image_CHW.shape[1:]]
    return F.interpolate(image_CHW[None].float(), size=size, mode="area")[0].round().to(torch.uint8)


def draw_crop(field: Field, side: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return a piece (side, side, 3) of the image and its labels: turned, mirrored, its nuclei about `DIAMETER` across."""
    wanted = DIAMETER * 2 ** np.clip(rng.normal(0, 0.45), -1, 1)
    scale = wanted / field.diameter * 2 ** rng.uniform(-0.12, 0.12, 2)  # y and x a little apart
    angle, flip = rng.uniform(0, 2 * math.pi), rng.choice([-1, 1])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle) * flip, math.cos(angle) * flip]])
    height, width = field.labels.shape[1:]
    reach = min(side / scale.min() / 2, height / 2, width / 2)
    low, high = np.array([reach, reach]), np.array([height - reach, width - reach])
    centre = np.clip(_nucleus_pixel(field, rng), low, high) if rng.random() < 0.6 else rng.uniform(low, high)
    offsets = np.arange(side) - (side - 1) / 2
    rows, columns = np.meshgrid(offsets, offsets, indexing="ij")
    y = centre[0] + (turn[0, 0] * rows + turn[0, 1] * columns) / scale[0]
    x = centre[1] + (turn[1, 0] * rows + turn[1, 1] * columns) / scale[1]
    grid = torch.from_numpy(np.stack([2 * x / width - 1, 2 * y / height - 1], axis=-1)).float()[None]
    level = field.levels[int(np.clip(math.floor(-math.log2(scale.mean())), 0, len(field.levels) - 1))]
    image = F.grid_sample(level[None].float() / 255, grid, "bilinear", "reflection", align_corners=False)
    labels = F.grid_sample(field.labels[None], grid, "nearest", "reflection", align_corners=False)
    return image[0].permute(1, 2, 0).numpy(), labels[0, 0].numpy().astype(np.int32)


def _nucleus_pixel(field: Field, rng: np.random.Generator) -> NDArray[np.int64]:
    places = np.argwhere(field.labels[0].numpy() > 0)
    return np.asarray(places[rng.integers(len(places))])


def classes_of(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return class ids of instance ids: 0 outside, 2 on the outermost pixel of a nucleus, 1 further in."""
    cross = ndimage.generate_binary_structure(2, 1)
    low, high = (f(labels, footprint=cross) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    return np.where(labels == 0, 0, np.where(low == high, 1, 2)).astype(np.int64)


class Crops(IterableDataset[tuple["Tensor", "Tensor"]]):
    """An endless stream of training crops: normalised image (3, y, x) and class ids (y, x)."""

    def __init__(self, fields: list[Field], side: int, seed: int) -> None:
        self.by_kind = {kind: [f for f in fields if f.kind == kind and f.labels.any()] for kind in SHARES}
        self.weights = {kind: _weights(chosen) for kind, chosen in self.by_kind.items()}
        self.side = side
        self.rng = np.random.default_rng(seed)
        self.noise = Noise(self.rng)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        kinds = [kind for kind in SHARES if self.by_kind[kind]]
        shares = np.array([SHARES[kind] for kind in kinds])
        while True:
            kind = kinds[self.rng.choice(len(kinds), p=shares / shares.sum())]
            yield self.draw(self.by_kind[kind][self.rng.choice(len(self.by_kind[kind]), p=self.weights[kind])])

    def draw(self, field: Field) -> tuple[Tensor, Tensor]:
        """Return one crop of ``field``."""
        image, labels = draw_crop(field, self.side, self.rng)
        if self.rng.random() >= AS_IT_IS:
            image, labels = paint(image, labels, field.kind, self.noise, self.rng)
        x_HWC = (torch.from_numpy(np.ascontiguousarray(image)) - torch.tensor(INPUT.mean)) / torch.tensor(INPUT.std)
        return x_HWC.permute(2, 0, 1), torch.from_numpy(classes_of(labels))


def _weights(fields: list[Field]) -> NDArray[np.float64]:
    """Return how often each image is drawn: tissue is crowded, so crowded images come more often."""
    crowded = np.array([float((field.labels > 0).float().mean()) ** 0.5 for field in fields])
    return np.asarray(crowded / crowded.sum())


def loss_of(logits_NKHW: Tensor, target_NHW: Tensor) -> Tensor:
    """Return cross-entropy of the classes plus the soft Dice loss of nucleus (any class above 0) against background."""
    entropy = F.cross_entropy(logits_NKHW, target_NHW)
    nucleus = 1 - logits_NKHW.softmax(1)[:, 0]
    truth = (target_NHW > 0).float()
    both, sizes = (nucleus * truth).sum((1, 2)), (nucleus + truth).sum((1, 2))
    return entropy + (1 - (2 * both + 1) / (sizes + 1)).mean()


def train(fields: list[Field], options: argparse.Namespace) -> Iterator[tuple[int, UNet]]:
    """Train and yield (step, averaged network) every ``options.save_every`` steps and at the end."""
    torch.manual_seed(options.seed)
    net = UNet(UNetConfig(3, len(CLASSES), options.base_channels, options.depth))
    average = copy.deepcopy(net)
    crops = DataLoader(Crops(fields, options.side, options.seed), options.batch, num_workers=options.loaders)
    optimiser = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.rate, total_steps=options.steps + 1, pct_start=0.1)
    started, running = time.monotonic(), 0.0
    for step, (x_NCHW, target_NHW) in zip(range(1, options.steps + 1), crops, strict=False):
        loss = loss_of(net.train()(x_NCHW), target_NHW)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        _follow(average, net, min(0.995, step / (step + 20)))
        running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0:
            logger.info("step %d: loss %.4f, %.0f s", step, running, time.monotonic() - started)
        if step % options.save_every == 0 or step == options.steps:
            yield step, copy.deepcopy(average)


@torch.no_grad()
def _follow(average: UNet, net: UNet, keep: float) -> None:
    """Move ``average`` towards ``net``: its weights, and its batch norm's statistics."""
    for mean, value in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - keep)


def segment(model: LoadedModel, image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Return the class map (y, x) of an image (y, x, 3), worked out at ``scale`` times its resolution."""
    size = [max(1, round(side * scale)) for side in image.shape[:2]]
    x_NCHW = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    resized = F.interpolate(x_NCHW, size=size, mode="bilinear", antialias=True, align_corners=False)
    pixels = resized[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
    margin = model.halo
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), "reflect")
    with torch.no_grad():
        logits_NKHW = model.module(model.preprocess(padded))[..., margin:-margin, margin:-margin]
    ids = F.interpolate(logits_NKHW, size=image.shape[:2], mode="bilinear", align_corners=False).argmax(1)[0]
    return ids.to(torch.uint8).numpy()


def evaluate(model: LoadedModel, fields: list[Field], scales: dict[str, float]) -> dict[str, float]:
    """Return the mean Dice of nucleus against background of every kind; images without nuclei count when found empty."""
    scores: dict[str, list[float]] = {}
    for field in fields:
        found = segment(model, field.levels[0].permute(1, 2, 0).numpy(), scales[field.kind]) > 0
        scores.setdefault(field.kind, []).append(dice(found, field.labels[0].numpy() > 0))
    return {kind: round(float(np.mean(values)), 4) for kind, values in sorted(scores.items())}


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return twice the common area over the sum of both areas; 1 where both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / total if total else 1.0


def scales_of(fields: list[Field]) -> dict[str, float]:
    """Return by kind of image the scale at which its median nucleus is `DIAMETER` across."""
    return {kind: DIAMETER / float(np.median([f.diameter for f in fields if f.kind == kind])) for kind in
            {f.kind for f in fields}}  # fmt: skip


def describe(config: UNetConfig, metrics: dict[str, Any], options: argparse.Namespace) -> ModelInfo:
    """Return what the model file says about itself."""
    training = {
        "data": "BBBC038v1 (2018 Data Science Bowl, stage 1 train, corrected masks), training split",
        "licence": "CC0-1.0",
        "metrics": metrics,
        "note": options.note,
        "seed": options.seed,
        "slideseg_version": __version__,
    }
    return ModelInfo("nuclei", config, CLASSES, INPUT, training)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m slideseg.training.nuclei", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv, images/ and labels/")
    parser.add_argument("--out", type=Path, required=True, help="model file to write")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=128, help="side of a crop in pixels, a multiple of the stride")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--base-channels", type=int, default=16)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--save-every", type=int, default=500, help="steps between two versions of the model file")
    parser.add_argument("--loaders", type=int, choices=(0, 1), default=1, help="draw crops in a process of their own, or not")
    parser.add_argument("--note", default="first model; see docs/models/nuclei.md for what it can't do")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Train, and write the model file again and again as it gets better."""
    options = parse(arguments)
    train_fields, val_fields = read_fields(options.data, "train"), read_fields(options.data, "val")
    logger.info("%d images to learn from, %d to judge by", len(train_fields), len(val_fields))
    scales = scales_of(train_fields)
    for step, net in train(train_fields, options):
        metrics = evaluate(LoadedModel(copy.deepcopy(net), describe(net.config, {}, options), ""), val_fields, scales)
        logger.info("step %d: validation Dice %s", step, metrics)
        learnt = {"steps": step, "planned_steps": options.steps, "val_dice_by_kind": metrics}
        save_model(options.out, net, describe(net.config, learnt, options))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    main()
