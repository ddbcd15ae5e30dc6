"""The running mean of the weights: where it starts, how fast it forgets, and that a new start changes nothing of it."""

from __future__ import annotations

import copy

import pytest
import torch

from slideseg.training.learning.learner import Learner, precision_of
from slideseg.training.recipe.reading import parse_config
from slideseg.training.record.checkpoint import Checkpoint
from slideseg.training.samples.batches import Patches
from slideseg.training.team import Team

SIDE = 16
RECIPE = {
    "name": "small",
    "data": {"sources": [{"images": "x.tif", "labels": "y.tif", "labels_are": "mask"}], "split": {"fraction": 0.5}},
    "classes": ["cell"],
    "input": {"channels": 1, "mean": [0.5], "std": [0.2]},
    "network": {"base_channels": 2, "depth": 1, "form": "same"},
    "optimiser": {"name": "sgd", "rate": 0.1, "momentum": 0.0},
    "loss": {"cross_entropy": 1},
    "schedule": {"name": "constant"},
    "training": {"batch": 2, "patch": SIDE, "average": 0.9},
}
FIRST = "head.bias"


def learner() -> Learner:
    return Learner(parse_config(RECIPE, "test"), Team.join("cpu"), steps=200)


def batch() -> Patches:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 1, SIDE, SIDE, generator=generator)
    target = torch.randint(0, 2, (2, SIDE, SIDE), generator=generator)
    return Patches(image, target, torch.ones(2, SIDE, SIDE))


def steps(one: Learner, count: int) -> list[torch.Tensor]:
    """Return some weights after each of so many steps."""
    seen = []
    for _ in range(count):
        one.learn([batch()], 2)
        seen.append(one.net.state_dict()[FIRST].clone())
    return seen


def mean(one: Learner) -> torch.Tensor:
    return one.judged.state_dict()[FIRST]


def test_the_first_weights_are_soon_forgotten() -> None:
    """A mean that forgot as slowly from the start would still be half made of them after six steps."""
    one = learner()
    expected, *later = steps(one, 6)
    for number, weights in enumerate(later, 1):
        share = (1 + number) / (10 + number)
        expected = share * expected + (1 - share) * weights
    torch.testing.assert_close(mean(one), expected)


def test_after_its_first_steps_the_mean_forgets_as_the_recipe_says() -> None:
    one = learner()
    steps(one, 100)
    before = mean(one).clone()
    [now] = steps(one, 1)
    torch.testing.assert_close(mean(one), 0.9 * before + 0.1 * now)


@pytest.mark.parametrize("first", [1, 7])
def test_a_new_start_from_a_checkpoint_changes_no_bit_of_it(first: int) -> None:
    whole, before, after = learner(), learner(), learner()
    steps(whole, 9)
    steps(before, first)
    scores = {"epoch": 1, "best": 0.0, "best_epoch": 1, "best_scores": {}, "mean": (0.5,), "std": (0.2,)}
    after.restore(Checkpoint(**scores, **copy.deepcopy(before.state())))
    steps(after, 9 - first)
    for name, weights in whole.judged.state_dict().items():
        assert torch.equal(weights, after.judged.state_dict()[name]), name


@pytest.mark.parametrize(
    ("wanted", "native", "got"),
    [("auto", True, "bf16"), ("auto", False, "fp32"), ("fp32", True, "fp32"), ("bf16", False, "bf16")],
)
def test_a_processor_computes_in_bf16_where_it_has_it(wanted, native, got, monkeypatch) -> None:
    """One that has not may be made to by its user; the run refuses it before."""
    monkeypatch.setattr("slideseg.training.learning.learner.has_instructions", lambda name: native and name == "bf16")
    assert precision_of(wanted, torch.device("cpu")) == got
