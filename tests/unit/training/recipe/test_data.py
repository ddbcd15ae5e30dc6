"""The ``data`` part of a recipe: what contradicts itself is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from slideseg.training.recipe.data import SamplingConfig, SourceConfig, SplitConfig


@pytest.mark.parametrize(
    "source",
    [
        {"values": {0: 0}},
        {"labels_are": "mask", "values": {0: 0}},
        {"labels_are": "instances", "values": {7: 1}},
        {"instance_classes": "x.csv"},
        {"labels_are": "classes", "instance_classes": "x.csv"},
        {"mpp": 0.5, "object_diameter": 10},
        {"kind": {"column": "kind"}},
        {"mpp": 0},
        {"labels_are": "boxes"},
        {"image": "typo"},
    ],
)
def test_a_source_that_contradicts_itself_is_refused(source) -> None:
    with pytest.raises(ValidationError):
        SourceConfig.model_validate({"images": "x", **source})


def test_unannotated_is_for_polygons() -> None:
    with pytest.raises(ValidationError, match="label images say it with"):
        SourceConfig.model_validate({"images": "x", "labels_are": "mask", "unannotated": "ignore"})
    with pytest.raises(ValidationError):
        SourceConfig.model_validate({"images": "x", "labels_are": "classes", "values": {0: "ignored"}})


def test_only_instances_have_a_list_of_classes() -> None:
    source = SourceConfig.model_validate({"images": "x", "labels_are": "instances", "instance_classes": "x.csv"})
    assert source.instance_classes == "x.csv"
    with pytest.raises(ValidationError, match="instance_classes go with labels_are: instances"):
        SourceConfig.model_validate({"images": "x", "labels_are": "mask", "instance_classes": "x.csv"})


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"column": "part"},
        {"fraction": 0.2, "train": [1]},
        {"fraction": 0.2, "column": "part"},
        {"fraction": 1.0},
        {"train": "t"},
        {"fraction": 0.2, "shuffle": True},
    ],
)
def test_a_split_is_told_in_one_form(config) -> None:
    with pytest.raises(ValidationError):
        SplitConfig.model_validate(config)


@pytest.mark.parametrize("settings", [{"how": "often"}, {"foreground": 1.5}, {"side": 3}])
def test_sampling_settings_are_checked(settings) -> None:
    with pytest.raises(ValidationError):
        SamplingConfig.model_validate(settings)
