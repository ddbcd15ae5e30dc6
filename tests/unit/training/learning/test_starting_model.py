"""A training takes over the weights of a model of the same form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch

from slideseg.errors import ModelError
from slideseg.model.file import save_model
from slideseg.model.info import ModelInfo
from slideseg.model.network.unet import UNet
from slideseg.training.learning.loop import fit
from slideseg.training.learning.starting_model import read_starting_model
from slideseg.training.recipe.reading import parse_config
from slideseg.training.record.beginning import Beginning
from slideseg.training.record.run_folder import RunFolder
from slideseg.training.samples.batches import Batches
from slideseg.training.team import Team

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.training.recipe.schema import TrainConfig


def recipe(start: Path, **changes: Any) -> TrainConfig:
    """A recipe whose files are not read."""
    values = {
        "name": "small",
        "data": {"sources": [{"images": "x.tif", "labels": "y.tif", "labels_are": "mask"}], "split": {"fraction": 0.5}},
        "classes": ["cell", "border"],
        "target": {"border": 1},
        "input": {"channels": 1},
        "network": {"base_channels": 2, "depth": 1, "start": str(start)},
        "loss": {"cross_entropy": 1},
        "training": {"epochs": 1, "samples": 2, "batch": 2, "patch": 16},
    }
    return parse_config(values | changes, "test")


@pytest.fixture
def model(tmp_path: Path) -> tuple[Path, UNet]:
    """A model file of the recipe's form, and its network."""
    torch.manual_seed(1)
    config = recipe(tmp_path / "none")
    net = UNet(config.unet)
    save_model(
        tmp_path / "m.safetensors", net, ModelInfo("m", config.unet, config.model_classes, config.model_input((0.3,), (0.1,)))
    )
    return tmp_path / "m.safetensors", net


def names_taken(config: TrainConfig) -> set[str]:
    start = read_starting_model(config)
    assert start is not None
    return set(start.weights)


def test_all_weights_are_taken_where_the_classes_are_the_same(model: tuple[Path, UNet]) -> None:
    path, net = model
    start = read_starting_model(recipe(path))
    assert start is not None
    assert set(start.weights) == set(net.state_dict())
    assert all(torch.equal(start.weights[name], tensor) for name, tensor in net.state_dict().items())
    assert (start.mean, start.std) == ((0.3,), (0.1,))


@pytest.mark.parametrize("classes", [["gland", "border"], ["cell", "nerve", "border"]])
def test_the_last_layer_is_fresh_where_classes_are_others(classes: list[str], model: tuple[Path, UNet]) -> None:
    missing = set(model[1].state_dict()) - names_taken(recipe(model[0], classes=classes))
    assert missing == {"head.weight", "head.bias"}


def test_the_recipes_own_normalisation_wins(model: tuple[Path, UNet]) -> None:
    start = read_starting_model(recipe(model[0], input={"channels": 1, "mean": [0.7], "std": [0.2]}))
    assert start is not None
    assert (start.mean, start.std) == ((0.7,), (0.2,))


def test_a_network_of_another_form_is_refused_by_what_differs(model: tuple[Path, UNet]) -> None:
    network = {"base_channels": 4, "depth": 1, "start": str(model[0])}
    with pytest.raises(ModelError, match=r"another form \(got base_channels 2, want base_channels 4"):
        read_starting_model(recipe(model[0], network=network))


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model"):
        read_starting_model(recipe(tmp_path / "nowhere"))


def test_without_a_start_there_is_none(tmp_path: Path) -> None:
    assert read_starting_model(recipe(tmp_path, network={"base_channels": 2, "depth": 1})) is None


def test_a_bundled_name_stays_a_name_and_a_path_becomes_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"base_channels": 2, "depth": 1}
    assert recipe(tmp_path, network=small | {"start": "nuclei"}).network.start == "nuclei"
    assert recipe(tmp_path, network=small | {"start": "runs/a"}).network.start == str(tmp_path / "runs/a")


def test_a_training_begins_with_the_weights_and_goes_on_without_the_model(model: tuple[Path, UNet], tmp_path: Path) -> None:
    path, net = model
    rng = np.random.default_rng(0)
    for name in ("x", "y"):
        tifffile.imwrite(tmp_path / f"{name}.tif", rng.integers(0, 255, (6, 32, 32), np.uint8))
    source = {"images": str(tmp_path / "x.tif"), "labels": str(tmp_path / "y.tif"), "labels_are": "mask"}
    changes = {
        "data": {"sources": [source], "split": {"fraction": 0.5}},
        "target": {},
        "classes": ["cell", "border"],
        "optimiser": {"name": "sgd", "rate": 1e-12, "momentum": 0},
    }
    config = recipe(path, **changes)
    run = RunFolder(tmp_path / "run")
    run.prepare(Beginning(config.to_yaml(), {}))
    team = Team.join("cpu")
    fit(Batches(config, team), run, team, lambda progress: None)
    newest = run.checkpoints.latest()
    assert newest is not None
    assert (newest.mean, newest.std) == ((0.3,), (0.1,))
    learnt = {name: tensor for name, tensor in newest.network.items() if "running" not in name and "tracked" not in name}
    for name, tensor in learnt.items():
        torch.testing.assert_close(tensor, net.state_dict()[name], rtol=0, atol=1e-6, msg=name)
    path.unlink()
    longer = recipe(path, **changes, training={"epochs": 2, "samples": 2, "batch": 2, "patch": 16})
    fit(Batches(longer, team), run, team, lambda progress: None)
    assert run.checkpoints.epochs()[-1] == 2
    assert json.loads(longer.model_dump_json())["network"]["start"] == str(path)
