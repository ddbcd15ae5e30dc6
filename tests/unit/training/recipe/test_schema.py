"""A whole recipe: what follows from its parts together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slideseg.training.recipe.reading import load_config, parse_config
from slideseg.training.recipe.schema import TrainConfig

CONFIGS = Path(__file__).parents[4] / "configs"
SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"sources": [{"images": "x.tif", "labels": "y.tif", "labels_are": "mask"}]},
    "classes": ["cell"],
    "loss": {"bce": 1},
}


def test_the_paper_s_recipe_has_the_paper_s_sizes() -> None:
    config = load_config(CONFIGS / "isbi2012-paper.yaml")
    assert config.training.patch + 2 * config.unet.reach == 572
    assert (config.unet.base_channels, config.optimiser.momentum) == (64, 0.99)


def test_classes_have_numbers_names_and_colors() -> None:
    config = parse_config({**SMALL, "classes": ["a", {"name": "b", "color": "#123456"}], "loss": {"dice": 1}}, "test")
    assert [(one.id, one.name) for one in config.model_classes] == [(0, "background"), (1, "a"), (2, "b")]
    assert config.model_classes[2].color == "#123456"
    assert config.unet.out_channels == 3
    assert TrainConfig.model_validate(config.model_dump()) == config
