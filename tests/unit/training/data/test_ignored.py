"""Pixels that teach nothing: how labels say so, and that they are in no loss, no gradient, no score and no draw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch
from pydantic import ValidationError

from slideseg.errors import DataError
from slideseg.model.network.unet import UNet
from slideseg.slide.array import ArraySlide
from slideseg.space.box import Box
from slideseg.training.data import dataset
from slideseg.training.data.items import Item, OpenPair
from slideseg.training.data.labels import LabelValues, RasterLabels, View, instances_of
from slideseg.training.data.sampling import BLOCK, LabelledBlocks, Sampler, validation_tiles
from slideseg.training.learning.learner import Learner
from slideseg.training.learning.validate import validate
from slideseg.training.preview import GREY, target_picture
from slideseg.training.recipe.data import IGNORED, SamplingConfig, SourceConfig
from slideseg.training.recipe.reading import parse_config
from slideseg.training.record.pictures import UNKNOWN
from slideseg.training.samples import batches
from slideseg.training.samples.batches import Batches
from slideseg.training.team import Team

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 96
DONT_KNOW = 9
"""The value of ignored pixels in the label images here."""


def square(name: str | None, y0: int, x0: int, y1: int, x1: int) -> dict[str, Any]:
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    properties = {} if name is None else {"classification": {"name": name}}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def images(root: Path, shape: tuple[int, int] = (SIDE, SIDE)) -> None:
    for folder in ("images", "labels"):
        (root / folder).mkdir(exist_ok=True)
    for seed, name in enumerate("ab"):
        pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
        tifffile.imwrite(root / "images" / f"{name}.tif", pixels, photometric="minisblack")


def raster(root: Path, labels: np.ndarray) -> dict[str, Any]:
    """Write labels for two images; return the source."""
    images(root, labels.shape)
    for name in "ab":
        tifffile.imwrite(root / "labels" / f"{name}.tif", labels, photometric="minisblack")
    values = {0: 0, 1: 1, 2: 2, DONT_KNOW: "ignore"}
    return {"images": str(root / "images"), "labels": str(root / "labels"), "labels_are": "classes", "values": values}


def polygons(root: Path, features: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Write polygons for two images; return the source."""
    images(root)
    for name in "ab":
        text = json.dumps({"type": "FeatureCollection", "features": features})
        (root / "labels" / f"{name}.geojson").write_text(text)
    return {"images": str(root / "images"), "labels": str(root / "labels"), **more}


def opened(source: dict[str, Any], classes: tuple[str, ...] = ("background", "one", "two")) -> Item:
    config = dataset.DataConfig.model_validate({"sources": [source], "split": {"validation": ["b"]}})
    return dataset.open_data(config, classes, 1).train[0]


def recipe(source: dict[str, Any], **more: Any) -> Any:
    values: dict[str, Any] = {
        "name": "test",
        "data": {"sources": [source], "split": {"validation": ["b"]}},
        "classes": ["one", "two"],
        "input": {"channels": 1, "mean": [0.5], "std": [0.25]},
        "network": {"base_channels": 2, "depth": 1},
        "loss": {"cross_entropy": 1, "dice": 1},
        "training": {"patch": 16, "batch": 4, "samples": 4, "validation_tile": 32, "precision": "fp32"},
    }
    return parse_config(values | more, "test")


def batches_of(source: dict[str, Any], **more: Any) -> Batches:
    return Batches(recipe(source, **more), Team.join("cpu"))


def patchy(seed: int = 0) -> np.ndarray:
    """A label image of 8 x 8 blocks of classes 0 to 2, every second one unknown."""
    blocks = np.random.default_rng(seed).integers(0, 3, (SIDE // 8, SIDE // 8))
    blocks[::2] = DONT_KNOW
    return np.kron(blocks, np.ones((8, 8))).astype(np.uint8)


def made(labels: np.ndarray, name: str = "a", kind: str = "image", *, held: bool = True) -> Item:
    """An item of a label image in which `DONT_KNOW` is ignored."""
    view = View(labels.shape, labels.shape, (1.0, 1.0))
    values = LabelValues("classes", 3, {0: 0, 1: 1, 2: 2, DONT_KNOW: "ignore"})
    image = np.zeros(labels.shape, np.uint8)
    item = Item(name, kind, OpenPair(ArraySlide(image), 0, RasterLabels(ArraySlide(labels), 0, view, values)), 1, None)
    if held:
        item.hold()
    return item


# what labels say


@pytest.mark.parametrize("held", [True, False])
def test_a_value_can_stand_for_ignore(tmp_path, monkeypatch, held) -> None:
    monkeypatch.setattr(dataset, "HELD_PIXELS", 1 << 20 if held else 0)
    raw = patchy()
    item = opened(raster(tmp_path, raw))
    window = item.read(Box.of_shape(item.shape))
    np.testing.assert_array_equal(window.classes, np.where(raw == DONT_KNOW, IGNORED, raw))
    np.testing.assert_array_equal(window.instances > 0, (raw == 1) | (raw == 2))
    assert item.may_ignore


def test_an_instance_id_can_stand_for_ignore(tmp_path) -> None:
    raw = patchy() * np.arange(1, SIDE + 1, dtype=np.uint8)[:, None]
    raw[raw == 8] = 9
    source = raster(tmp_path, raw) | {"labels_are": "instances", "values": {9: "ignore", 8: "ignore"}}
    window = opened(source, ("background", "one")).read(Box.of_shape(raw.shape))
    np.testing.assert_array_equal(window.classes, np.where(raw == 9, IGNORED, raw > 0))
    np.testing.assert_array_equal(window.instances, np.where(raw == 9, 0, raw))


def test_without_such_a_value_nothing_is_looked_for(tmp_path) -> None:
    source = raster(tmp_path, np.eye(SIDE, dtype=np.uint8)) | {"values": {0: 0, 1: 1}}
    data = batches_of(source)
    assert not opened(source).may_ignore
    patches = next(data.epoch(1))[0]
    assert patches.weights_NHW is None
    assert patches.ignored_NHW is None
    assert patches.shown_NHW is patches.target_NHW


@pytest.mark.parametrize("class_id", [3, 255, -1])
def test_a_value_must_stand_for_a_class_that_is_there(tmp_path, class_id) -> None:
    source = raster(tmp_path, patchy())
    source["values"] = {**source["values"], DONT_KNOW: class_id}
    with pytest.raises(DataError, match=rf"values: no such class \(got {class_id}, want 0 to 2, or ignore\)"):
        opened(source)


@pytest.mark.parametrize("name", ["Ignore*", "ignore", "IGNORED tissue"])
def test_polygons_named_ignore_teach_nothing(tmp_path, name) -> None:
    item = opened(
        polygons(tmp_path, [square("one", 0, 0, 20, 20), square(name, 10, 10, 30, 30), square("two", 28, 28, 40, 40)])
    )
    window = item.read(Box.of_shape(item.shape))
    expected = np.zeros((SIDE, SIDE), int)
    expected[:20, :20], expected[10:30, 10:30], expected[28:40, 28:40] = 1, IGNORED, 2
    np.testing.assert_array_equal(window.classes, expected)
    np.testing.assert_array_equal(window.instances, np.select([expected == 1, expected == 2], [1, 3]))
    assert item.may_ignore


def test_a_class_of_the_recipe_may_be_named_ignore(tmp_path) -> None:
    item = opened(polygons(tmp_path, [square("Ignored", 0, 0, 20, 20)]), ("background", "ignored"))
    assert set(np.unique(item.read(Box.of_shape(item.shape)).classes)) == {0, 1}
    assert not item.may_ignore


@pytest.mark.parametrize("held", [True, False])
def test_what_no_polygon_covers_can_be_ignored(tmp_path, monkeypatch, held) -> None:
    monkeypatch.setattr(dataset, "HELD_PIXELS", 1 << 20 if held else 0)
    features = [square("Background", 0, 0, 40, 40), square("one", 10, 10, 20, 20)]
    item = opened(polygons(tmp_path, features, unannotated="ignore"))
    window = item.read(Box(-5, -5, SIDE, SIDE))
    expected = np.full((SIDE, SIDE), IGNORED)
    expected[:40, :40], expected[10:20, 10:20] = 0, 1
    np.testing.assert_array_equal(window.classes, np.pad(expected, ((5, 0), (5, 0)), mode="reflect"))
    np.testing.assert_array_equal(window.instances > 0, window.classes == 1)
    assert not opened(polygons(tmp_path, features)).may_ignore


def test_ignored_pixels_are_of_no_region() -> None:
    ids = np.array([[1, IGNORED, 1], [1, IGNORED, IGNORED]])
    np.testing.assert_array_equal(instances_of(ids), [[1, 0, 2], [1, 0, 0]])


# what is learnt


AUGMENT = {"rotate": 180, "flip": True, "elastic": {"sigma": 3}, "scale": [0.8, 1.25]}


@pytest.mark.parametrize("more", [{}, {"weight_map": {"w0": 5, "sigma": 2}}, {"augment": AUGMENT}])
@pytest.mark.parametrize("form", ["valid", "same"])
def test_ignored_pixels_weigh_nothing(tmp_path, more, form) -> None:
    data = batches_of(raster(tmp_path, patchy()), network={"base_channels": 2, "depth": 1, "form": form}, **more)
    patches = next(data.epoch(1))[0]
    assert patches.ignored_NHW is not None
    assert patches.weights_NHW is not None
    assert 0.2 < patches.ignored_NHW.float().mean() < 0.8
    assert patches.weights_NHW.shape == patches.target_NHW.shape == patches.ignored_NHW.shape
    assert not patches.weights_NHW[patches.ignored_NHW].any()
    assert (patches.weights_NHW[~patches.ignored_NHW] > 0).all()
    assert set(patches.target_NHW.unique().tolist()) <= {0, 1, 2}
    assert (patches.shown_NHW == IGNORED).equal(patches.ignored_NHW)
    assert patches.pick([2]).ignored_NHW.equal(patches.ignored_NHW[[2]])  # type: ignore[union-attr]


@pytest.mark.parametrize("target", [{"border": 2}, {"touching": 2}, {"rim": 0.5}])
def test_no_border_lies_on_ignored_pixels(tmp_path, target) -> None:
    labels = patchy()
    labels[labels != DONT_KNOW] = np.where(np.indices(labels.shape).sum(0) % 3, 1, 0)[labels != DONT_KNOW]
    data = batches_of(raster(tmp_path, labels) | {"values": {0: 0, 1: 1, DONT_KNOW: "ignore"}}, target=target)
    patches = next(data.epoch(1))[0]
    assert (patches.target_NHW == 2).any()
    assert not patches.target_NHW[patches.ignored_NHW].any()


LOSSES = [{"cross_entropy": 1, "dice": 1, "class_weights": [1, 2, 3]}, {"cross_entropy": 1, "dice": 1, "dice_of": "classes"}]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weight_map", [None, {"w0": 5, "sigma": 2}])
def test_loss_and_gradient_are_0_on_ignored_pixels(tmp_path, loss, weight_map) -> None:
    config = recipe(raster(tmp_path, patchy()), loss=loss, weight_map=weight_map)
    patches = next(Batches(config, Team.join("cpu")).epoch(1))[0]
    logits = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss_of_samples = Learner(config, Team.join("cpu"), 1)._loss
    first = loss_of_samples(logits, patches.target_NHW, patches.weights_NHW)
    first.sum().backward()
    ignored = patches.ignored_NHW
    assert ignored is not None
    assert logits.grad is not None
    slopes = logits.grad.permute(0, 2, 3, 1)
    assert not slopes[ignored].any()
    assert slopes[~ignored].any(-1).all()
    with torch.no_grad():
        others = torch.where(ignored[:, None], 30 * torch.randn(logits.shape), logits)
        assert loss_of_samples(others, patches.target_NHW.masked_fill(ignored, 2), patches.weights_NHW).equal(first)


def test_the_network_learns_the_same_whatever_the_labels_under_ignored_pixels_were(tmp_path) -> None:
    """Two label images that differ in what was drawn below the same Ignore polygon."""
    weights = []
    for number, below in enumerate([[], [square("two", 2, 2, 60, 60)]]):
        root = tmp_path / str(number)
        root.mkdir()
        features = [*below, square("Ignore*", 0, 0, 64, 64), square("one", 70, 70, 90, 90)]
        data = batches_of(polygons(root, features))
        learner = Learner(data.config, Team.join("cpu"), 4)
        for parts in data.epoch(1):
            learner.learn(parts, 4)
        weights.append(torch.cat([value.flatten() for value in learner.net.parameters()]))
    assert weights[0].equal(weights[1])


def test_the_balance_of_a_weight_map_counts_what_is_known(tmp_path) -> None:
    items = [made(patchy())]
    known = patchy()[patchy() != DONT_KNOW]
    background, instances = batches._balance(items)
    assert background == pytest.approx(known.size / 2 / (known == 0).sum())
    assert instances == pytest.approx(known.size / 2 / (known > 0).sum())


# how it is judged


def test_validation_counts_and_loss_leave_ignored_pixels_out(tmp_path) -> None:
    """Where labels that are wrong everywhere become ignored, only what is right is judged."""
    truth = np.zeros((SIDE, SIDE), np.uint8)
    truth[:, 40:70] = 1
    wrong = truth.copy()
    wrong[:30] = 2 - wrong[:30]
    unknown = truth.copy()
    unknown[:30] = DONT_KNOW
    scores = []
    for number, labels in enumerate((truth, wrong, unknown)):
        root = tmp_path / str(number)
        root.mkdir()
        data = batches_of(raster(root, labels), network={"base_channels": 2, "depth": 1})
        scores.append(validate(Oracle(data, truth), data, Team.join("cpu")))  # type: ignore[arg-type]
    right, mistaken, judged = scores
    assert right.dice == judged.dice == 1
    assert mistaken.dice < 0.8
    assert right.loss == pytest.approx(judged.loss, abs=1e-6)
    assert mistaken.loss > judged.loss + 1


class Oracle(UNet):
    """Says of every validation tile, in their order, what ``truth`` says."""

    def __init__(self, data: Batches, truth: np.ndarray) -> None:
        super().__init__(data.config.unet)
        self._boxes, self._truth = iter([tile.core for tile in data.tiles]), torch.from_numpy(truth).long()

    def forward_valid(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        box = next(self._boxes)
        truth = self._truth[box.y0 : box.y1, box.x0 : box.x1]
        return 50 * torch.nn.functional.one_hot(truth, 3).permute(2, 0, 1)[None].float()


def test_tiles_of_nothing_but_ignored_pixels_are_not_judged() -> None:
    labels = np.full((70, 100), DONT_KNOW, np.uint8)
    labels[65, 99], labels[3, 40] = 0, 1
    for held in (True, False):
        items = [
            made(labels, held=held),
            made(np.full((40, 40), DONT_KNOW, np.uint8), held=held),
            made(np.eye(30, dtype=np.uint8)),
        ]
        assert validation_tiles(items, 32) == [(0, Box(0, 32, 32, 64)), (0, Box(64, 96, 96, 128)), (2, Box(0, 0, 32, 32))]
        assert validation_tiles(items, 32, limit=1) == [(0, Box(0, 32, 32, 64))]


@pytest.mark.parametrize(("name", "message"), [("a", "training images are ignored"), ("b", "validation images are ignored")])
def test_images_that_say_nothing_are_refused(tmp_path, name, message) -> None:
    source = raster(tmp_path, patchy())
    unknown = np.full((SIDE, SIDE), DONT_KNOW, np.uint8)
    tifffile.imwrite(tmp_path / "labels" / f"{name}.tif", unknown, photometric="minisblack")
    with pytest.raises(DataError, match=message):
        batches_of(source)


# how it is drawn


def centres(items: list[Item], count: int = 300, **settings: Any) -> list[tuple[str, int]]:
    drawn = Sampler(items, SamplingConfig.model_validate(settings), 21, 1, 0)
    windows = [drawn.window(0, n) for n in range(count)]
    return [(window.name, int(window.classes[10, 10])) for window in windows]


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("foreground", [0.0, 0.5, 1.0])
def test_no_window_is_centred_on_ignored_pixels(held, foreground) -> None:
    labels = np.full((BLOCK + 40, BLOCK + 40), DONT_KNOW, np.uint8)
    labels[3, 5:9], labels[BLOCK + 30, BLOCK + 20 : BLOCK + 24], labels[BLOCK + 3, 7:11] = 0, 1, 2
    found = [class_id for _, class_id in centres([made(labels, held=held)], 120, foreground=foreground)]
    assert set(found) == ({1, 2} if foreground == 1 else {0, 1, 2})
    anywhere = found.count(0)  # of the others a third is background
    assert abs(anywhere - 120 * (1 - foreground) / 3) < 20


def test_every_known_pixel_is_equally_likely() -> None:
    labels = np.full((60, BLOCK + 40), DONT_KNOW, np.uint8)
    places = [(3, 4), (50, BLOCK + 5), (59, BLOCK + 39)]
    for y, x in places:
        labels[y, x] = 0
    item = made(labels)
    blocks = LabelledBlocks.of(item)
    rng = np.random.default_rng(0)
    drawn = [blocks.draw(item, None, rng) for _ in range(300)]
    assert all(70 < drawn.count(place) < 130 for place in places)
    assert blocks.present == set()
    assert blocks.taught == 3


def test_images_are_drawn_by_the_area_that_is_known() -> None:
    hardly = np.full((100, 100), DONT_KNOW, np.uint8)
    hardly[:10, :10] = 0
    nothing = np.full((100, 100), DONT_KNOW, np.uint8)
    names = [
        name for name, _ in centres([made(nothing, "nothing"), made(hardly, "hardly"), made(np.eye(20, dtype=np.uint8), "all")])
    ]
    assert "nothing" not in names
    assert 2.5 < names.count("all") / names.count("hardly") < 12


# how it is shown


def test_ignored_pixels_are_shown_in_grey() -> None:
    found = target_picture(np.zeros((1, 2, 3), np.uint8), torch.tensor([[1, IGNORED]]), ("#ff0000", "#0000ff"))
    assert found[0].tolist() == [[0, 0, 153], [int(0.6 * part) for part in GREY]]
    assert "#{:02x}{:02x}{:02x}".format(*GREY) == UNKNOWN


@pytest.mark.parametrize("meaning", ["classes", "instances"])
@pytest.mark.parametrize("value", [65535, 65536, 70000, 2**31 - 1, 2**40])
def test_any_value_may_stand_for_ignore(meaning: str, value: int) -> None:
    values = LabelValues(meaning, 3, {**({0: 0, 1: 1} if meaning == "classes" else {}), value: "ignore"})
    raw = np.array([[0, 1, value]], np.int64)
    if meaning == "instances" and value >= 2**31:
        with pytest.raises(DataError, match="an instance id is too large"):
            values(raw, "a.tif")
        return
    assert values(raw, "a.tif")[0].tolist() == [[0, 1, IGNORED]]


@pytest.mark.parametrize("value", [2, 65534, 65536, 70000, 2**40, 2**63 + 1])
def test_values_beyond_those_that_are_listed_are_refused_however_large(value: int) -> None:
    values = LabelValues("classes", 3, {0: 0, 1: 1, 65535: "ignore"})
    with pytest.raises(DataError, match=rf"a label is outside the classes \(got {value}, want 0, 1, 65535"):
        values(np.array([[0, value]], np.uint64), "a.tif")


@pytest.mark.parametrize(("value", "told"), [(-1, "greater than or equal to 0"), (2**63, "below 2"), (2**70, "below 2")])
def test_a_value_is_none_that_no_label_image_holds(value: int, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        SourceConfig.model_validate({"images": "x", "labels": "y", "labels_are": "classes", "values": {0: 0, value: 1}})
