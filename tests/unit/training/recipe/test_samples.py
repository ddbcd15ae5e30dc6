"""``augment``, ``target`` and ``weight_map``: nonsense is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from slideseg.training.recipe.samples import AugmentConfig, TargetConfig, WeightMapConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": (1.2, 0.8)},
        {"gamma": (0, 1)},
        {"rotate": 181},
        {"noise": -1},
        {"paint": 2},
        {"elastic": {"grid": 0}},
        {"one_of": {"members": ["flip"]}},
        {"rotation": 5},
    ],
)
def test_augmentation_by_nonsense_is_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        AugmentConfig(**wrong)


@pytest.mark.parametrize("wrong", [{"sigma": 0}, {"w0": -1}, {"w0": float("inf")}, {"width": 3}])
def test_a_weight_map_of_nonsense_is_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        WeightMapConfig(**wrong)


def test_the_class_between_instances_is_made_in_one_way() -> None:
    ways = ("border", "touching", "rim")
    assert not TargetConfig().adds_class
    assert all(TargetConfig.model_validate({way: 0.5 if way == "rim" else 1}).adds_class for way in ways)
    with pytest.raises(ValidationError, match="set one of them"):
        TargetConfig(border=1, touching=1)
