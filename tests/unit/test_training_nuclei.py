"""The training script of the bundled model, on a handful of made-up images."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from slideseg.model.bundled import load_model
from slideseg.training import nuclei
from slideseg.training.stain import Noise, Stain, density_of, paint

FOLLOWED = ("fluorescence", "he_pink", "purple_on_white")


def write_fields(folder, count=3, side=80):
    """Write images with round nuclei, as the real set lays them out."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    rows = []
    for number in range(count * 2):
        kind, split = FOLLOWED[number % count], "train" if number < count else "val"
        y, x = np.mgrid[:side, :side]
        labels = np.zeros((side, side), np.uint16)
        for i, (cy, cx) in enumerate(rng.uniform(8, side - 8, (9, 2)), 1):
            labels[(y - cy) ** 2 + (x - cx) ** 2 < 36] = i
        grey = np.where(labels > 0, 180, 20).astype(np.uint8)
        image = grey if kind == "fluorescence" else np.stack([250 - grey, 230 - grey, 255 - grey // 3], -1)
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{number}.tif")
        rows.append({"id": number, "kind": kind, "split": split})
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "kind", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_fields(tmp_path_factory.mktemp("fields"))


def train(folder, out, *more):
    small = ["--steps", "6", "--batch", "2", "--side", "32", "--base-channels", "2", "--depth", "2", "--loaders", "0"]
    nuclei.main(["--data", str(folder), "--out", str(out), *small, *more])
    return out


def test_the_script_writes_a_model_that_says_what_it_learnt_from(folder, tmp_path):
    model = load_model(train(folder, tmp_path / "m.safetensors"))
    training = model.info.training
    assert (training["licence"], training["seed"], training["metrics"]["steps"]) == ("CC0-1.0", 0, 6)
    assert set(training["metrics"]["val_dice_by_kind"]) == set(FOLLOWED)
    assert training["slideseg_version"]
    assert (model.mpp, len(model.classes), model.info.config.base_channels) == (nuclei.MPP, 3, 2)


def test_one_seed_gives_one_model(folder, tmp_path):
    first, second, other = (
        train(folder, tmp_path / f"{name}.safetensors", "--seed", seed).read_bytes() for name, seed in ("a1", "b1", "c2")
    )
    assert first == second
    assert first != other


def test_a_model_is_there_before_the_end(folder, tmp_path):
    options = nuclei.parse(
        ["--data", str(folder), "--out", str(tmp_path / "m"), "--steps", "5", "--save-every", "2", "--side", "32"]
    )
    options.batch, options.base_channels, options.depth, options.loaders = 2, 2, 2, 0
    assert [step for step, _ in nuclei.train(nuclei.read_fields(folder, "train"), options)] == [2, 4, 5]


def test_crops_are_learnt_from(folder):
    """A few dozen steps on images this simple lower the loss a lot."""
    torch.manual_seed(0)
    crops = iter(nuclei.Crops(nuclei.read_fields(folder, "train"), 32, seed=0))
    batches = [[torch.stack(part) for part in zip(*(next(crops) for _ in range(4)), strict=True)] for _ in range(6)]
    net = nuclei.UNet(nuclei.UNetConfig(3, 3, 8, 2))
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for step in range(48):
        loss = nuclei.loss_of(net(batches[step % 6][0]), batches[step % 6][1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-6:]) < 0.6 * np.mean(losses[:6])


def test_crops_show_nuclei_at_the_wanted_size_and_fit_their_labels(folder):
    field = nuclei.read_fields(folder, "train")[0]
    rng = np.random.default_rng(1)
    drawn = [nuclei.draw_crop(field, 64, rng) for _ in range(30)]
    agree = [np.mean((image[..., 0] > 0.4) == (labels > 0)) for image, labels in drawn]
    assert min(agree) > 0.9
    areas = [area for _, labels in drawn for area in np.bincount(labels.ravel())[1:] if area]
    assert 0.5 * nuclei.DIAMETER < 2 * np.sqrt(np.median(areas) / np.pi) < 1.5 * nuclei.DIAMETER


def test_grey_and_colour_images_are_read_alike(folder):
    fields = nuclei.read_fields(folder, "train")
    assert [f.levels[0].shape for f in fields] == [(3, 80, 80)] * 3
    assert [tuple(level.shape[1:]) for level in fields[0].levels] == [(80, 80), (40, 40), (20, 20)]
    assert fields[0].diameter == pytest.approx(12, rel=0.15)


def test_border_is_the_outermost_pixel_also_between_touching_nuclei():
    labels = np.zeros((7, 9), np.int32)
    labels[1:6, 1:4], labels[1:6, 4:8] = 1, 2
    classes = nuclei.classes_of(labels)
    assert np.array_equal(classes > 0, labels > 0)
    assert np.array_equal(np.argwhere(classes == 1), [[y, x] for y in (2, 3, 4) for x in (2, 5, 6)])


def test_the_loss_is_least_for_the_truth():
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[:, 2:6, 2:6] = 1
    sure = 20 * torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2).float()
    assert float(nuclei.loss_of(sure, target)) < 0.01
    assert float(nuclei.loss_of(sure.roll(2, 3), target)) > 1


def test_dice():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert nuclei.dice(a, b) == 1
    a[:2], b[1:3] = True, True
    assert nuclei.dice(a, b) == 0.5
    assert nuclei.dice(a, np.zeros((4, 4), bool)) == 0


@pytest.mark.parametrize("kind", nuclei.SHARES)
def test_painted_images_show_their_nuclei_in_the_range_of_a_camera(folder, kind):
    """Painting may hide some nuclei, but over many images they are darker than what is around them."""
    field = nuclei.read_fields(folder, "train")[0 if kind == "fluorescence" else 1]
    rng = np.random.default_rng(2)
    noise, darker = Noise(rng), []
    for _ in range(12):
        image, labels = nuclei.draw_crop(field, 48, rng)
        painted, labels = paint(image, labels, kind, noise, rng)
        assert painted.shape == (48, 48, 3)
        assert painted.dtype == np.float32
        assert 0 <= painted.min() <= painted.max() <= 1
        density = density_of(painted)
        if 0 < (labels > 0).mean() < 1:
            darker.append(density[labels > 0].mean() - density[labels == 0].mean())
    assert np.mean(darker) > 0.05


def test_stain_follows_beer_and_lambert():
    stain = Stain.draw(np.random.default_rng(0))
    none, one = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    assert np.allclose(stain.dye(none, none), 1)
    assert np.allclose(stain.dye(one, one), stain.dye(one, none) * stain.dye(none, one))
    assert np.allclose(density_of(stain.dye(one, none)), stain.haematoxylin.mean(), atol=1e-5)


def test_an_image_is_segmented_at_the_scale_that_is_asked_for(folder, tmp_path):
    model = load_model(train(folder, tmp_path / "m.safetensors"))
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    for scale in (0.5, 1.0, 1.7):
        ids = nuclei.segment(model, image, scale)
        assert (ids.shape, ids.dtype) == ((37, 50), np.uint8)
