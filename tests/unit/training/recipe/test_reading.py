"""Recipes: the shipped ones parse, variables and changes are taken in, and what is wrong is one line that names its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from slideseg.errors import ConfigError
from slideseg.model.made_for import MadeFor
from slideseg.training.recipe.reading import load_config, parse_config

CONFIGS = Path(__file__).parents[4] / "configs"
RECIPES = sorted(CONFIGS.glob("*.yaml"))
SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"sources": [{"images": "x.tif", "labels": "y.tif", "labels_are": "mask"}]},
    "classes": ["cell"],
    "loss": {"bce": 1},
}


def recipe(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_parses_and_says_what_it_is(path: Path) -> None:
    config = load_config(path)
    assert config.name == path.stem
    header = path.read_text().partition("name:")[0]
    assert f"slideseg train configs/{path.name}" in header
    assert "Data:" in header


def test_the_shipped_recipes_are_the_documented_ones() -> None:
    names = {path.stem for path in RECIPES}
    nuclei = {"nuclei", "nuclei-fluo", "nuclei-he", "nuclei-types"}
    assert names == nuclei | {"isbi2012-common", "isbi2012-paper", "isbi2012-small", "tiny"}


def test_the_written_form_is_read_as_the_same_recipe(tmp_path: Path) -> None:
    config = load_config(CONFIGS / "tiny.yaml")
    again = load_config(recipe(tmp_path, config.to_yaml()))
    assert again == config
    assert again.to_yaml() == config.to_yaml()


def test_what_a_model_is_made_for_is_part_of_the_recipe(tmp_path: Path) -> None:
    made_for = {"images": "cells in phase contrast", "light": "bright", "color": False}
    config = parse_config({**SMALL, "about": {"made_for": made_for}}, "test")

    assert config.about.made_for == MadeFor(**made_for)  # type: ignore[arg-type]
    assert load_config(recipe(tmp_path, config.to_yaml())) == config
    for wrong in ({"images": ""}, {"images": "x", "light": "green"}, {"images": "x", "stain": "H&E"}, {"light": "dark"}):
        with pytest.raises(ConfigError, match=r"about\.made_for"):
            parse_config({**SMALL, "about": {"made_for": wrong}}, "test")


def test_variables_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [{"images": "${WHERE}/x.tif", "labels": "${ELSEWHERE:-/there}/y.tif", "labels_are": "mask"}]
    monkeypatch.setenv("WHERE", "/here")
    monkeypatch.delenv("ELSEWHERE", raising=False)
    source = parse_config({**SMALL, "data": {"sources": sources}}, "test").data.sources[0]
    assert (source.images, source.labels) == ("/here/x.tif", "/there/y.tif")
    monkeypatch.delenv("WHERE")
    with pytest.raises(ConfigError, match="the environment variable WHERE"):
        parse_config({**SMALL, "data": {"sources": sources}}, "test")


def test_relative_paths_are_of_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    source = parse_config(SMALL, "test").data.sources[0]
    assert (source.images, source.index) == (str(tmp_path / "x.tif"), None)
    said = {"images": "x", "labels": "y", "labels_are": "instances", "instance_classes": "z", "index": "i.csv"}
    source = parse_config({**SMALL, "data": {"sources": [said]}}, "test").data.sources[0]
    paths = (source.images, source.labels, source.instance_classes, source.index)
    assert paths == tuple(str(tmp_path / name) for name in ("x", "y", "z", "i.csv"))


def test_changes_reach_every_depth(tmp_path: Path) -> None:
    path = recipe(tmp_path, yaml.safe_dump(SMALL))
    changes = ("training.epochs=7", "data.sources.0.mpp=0.5", "augment.scale=[0.5, 2]", "name=other")
    config = load_config(path, changes)
    assert (config.training.epochs, config.data.sources[0].mpp, config.augment.scale) == (7, 0.5, (0.5, 2.0))
    assert config.name == "other"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "a/b"}, "name: "),
        ({"name": ""}, r"name: this can't be used \(got '', want at least 1 character\)"),
        ({"classes": []}, r"classes: the wrong number of entries \(got 0, want at least 1\)"),
        ({"augment": {"scale": [1, 2, 3]}}, r"augment.scale: the wrong number of entries \(got 3, want at most 2\)"),
        ({"classes": [{"name": "a", "color": "red"}]}, "classes.0.color: "),
        ({"loss": {}}, "loss: no loss"),
        ({"loss": {"bce": "much"}}, "loss.bce: .*got 'much'"),
        ({"input": {"channels": 1, "mean": [0.5, 0.5], "std": [1]}}, "mean must have 1 values"),
        ({"input": {"mean": [0, 0, 0]}}, "mean and std go together"),
        ({"target": {"border": 1}}, "needs a name"),
        ({"classes": ["a", "b"]}, "bce"),
        ({"training": {"patch": 100}}, "multiple of the network's stride 16"),
        ({"training": {"epoch": 3}}, r"training.epoch: no such key \(try training.epochs\)"),
        ({"optimizer": {}}, r"optimizer: no such key \(try optimiser\)"),
        ({"objects": {"glow": 3}}, r"my.yaml: objects.glow: no such key \(try objects.grow\)"),
        ({"objects": {"grow": -1}}, r"my.yaml: objects: grow must be a whole number from 0 \(got -1\)"),
        ({"objects": {"split": "a"}}, r"my.yaml: objects.split: this can't be used \(got 'a', want a valid integer\)"),
        ({"objects": 3}, r"my.yaml: objects: this can't be used \(got 3, want keys with their values\)"),
        ({"objects": {"classes": [7]}}, r"objects: there is no class 7 \(want 1 to 1\)"),
        ({"weight_map": {"radius": 1}}, r"weight_map.radius: no such key \(want w0, sigma, balance\)"),
        ({"augment": {"elastic": {"sigm": 1}}}, r"augment.elastic.sigm: no such key \(try augment.elastic.sigma\)"),
        ({"data": {"sources": [{"images": "x", "lables": "y"}]}}, r"0.lables: no such key \(try data.sources.0.labels\)"),
        ({"data": {"sources": [{"labels": "y"}]}}, r"data.sources.0.images is missing \(want images\)"),
        ({"seed": -1}, r"seed: this can't be used \(got -1, want greater than or equal to 0\)"),
        ({"network": None}, r"network: this can't be used \(got None, want keys with their values\)"),
        ({"augment": {"paint": 0.5}, "weight_map": {}}, "weight_map does not know the copies .* augment.paint adds"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_its_place(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        parse_config({**SMALL, **changes}, "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("[1, 2]", "key: value"), ("a: [", "can't be read"), ("name: x", "data is missing .want name and data and")],
)
def test_a_file_that_is_no_recipe_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_config(recipe(tmp_path, text))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("training.epochs", "can't be read .got training.epochs, want key.path=value"),
        ("=3", "can't be read .got =3, want key.path=value"),
        ("name=[", "the setting name=. can't be read .got while parsing"),
        ("data.sources.1.mpp=1", "an entry that is not in the list .got data.sources.1.mpp=1, want 0 to 0 in place of 1"),
        ("classes.first=x", "an entry that is not in the list .got classes.first=x, want 0 to 0 in place of first"),
        ("name.first=x", "does not fit the recipe, where 'small' has no keys .got name.first=x"),
    ],
)
def test_a_change_that_can_t_be_made_is_refused(change: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_config(recipe(tmp_path, yaml.safe_dump(SMALL)), (change,))


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("seed: 1\naugment: {flip: true}\nseed: 2", "recipe.yaml: the key seed stands twice .got lines 1 and 3; try"),
        ("training:\n  epochs: 3\n  batch: 2\n  epochs: 4", "the key epochs stands twice .got lines 2 and 4"),
    ],
)
def test_a_key_that_stands_twice_is_refused(more: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_config(recipe(tmp_path, f"{more}\n{yaml.safe_dump(SMALL)}"))


def test_merged_keys_may_be_given_again(tmp_path: Path) -> None:
    sources = """
data:
  sources:
    - &one {images: x.tif, labels: y.tif, labels_are: mask}
    - &two {<<: *one, images: z.tif}
    - {<<: *two, images: w.tif, mpp: 0.5}
"""
    found = load_config(recipe(tmp_path, yaml.safe_dump({k: v for k, v in SMALL.items() if k != "data"}) + sources))
    assert [Path(one.images).name for one in found.data.sources] == ["x.tif", "z.tif", "w.tif"]
    assert {Path(str(one.labels)).name for one in found.data.sources} == {"y.tif"}
