"""Optimisers and learning rates, and going on from a checkpoint to the bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from slideseg.training.learning.optimise import Schedule, clip, make_optimiser, restore_optimiser
from slideseg.training.recipe.learning import OptimiserConfig, ScheduleConfig

STEPS = 12


def train(net: nn.Linear, optimiser: torch.optim.Optimizer, schedule: Schedule, steps: range) -> list[float]:
    """Do steps whose gradients follow from their number; return the rate of each."""
    rates = []
    for step in steps:
        rates.append(optimiser.param_groups[0]["lr"])
        net.weight.grad = torch.full_like(net.weight, 0.1 * step - 0.4)
        optimiser.step()
        schedule.after_step()
        schedule.after_validation(-float(step > 3))
    return rates


def fresh(name: str, schedule: ScheduleConfig, rate: float = 0.1) -> tuple[nn.Linear, torch.optim.Optimizer, Schedule]:
    torch.manual_seed(0)
    net = nn.Linear(3, 2, bias=False)
    optimiser = make_optimiser(OptimiserConfig(name=name, rate=rate, weight_decay=0.01), net.parameters())
    return net, optimiser, Schedule(schedule, optimiser, STEPS)


SCHEDULES = [
    ScheduleConfig(),
    ScheduleConfig(name="cosine", warmup=3),
    ScheduleConfig(name="polynomial"),
    ScheduleConfig(name="plateau", patience=1),
]


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda config: config.name)
def test_going_on_from_a_checkpoint_changes_no_bit(name: str, schedule: ScheduleConfig) -> None:
    net, optimiser, planned = fresh(name, schedule)
    rates = train(net, optimiser, planned, range(STEPS))
    other, other_optimiser, other_planned = fresh(name, schedule)
    first = train(other, other_optimiser, other_planned, range(5))
    kept = copy.deepcopy((other.state_dict(), other_optimiser.state_dict(), other_planned.state_dict()))
    again, again_optimiser, again_planned = fresh(name, schedule)
    again.load_state_dict(kept[0])
    restore_optimiser(again_optimiser, kept[1])
    again_planned.load_state_dict(kept[2])
    assert first + train(again, again_optimiser, again_planned, range(5, STEPS)) == rates
    assert torch.equal(again.weight, net.weight)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda config: config.name)
def test_a_changed_rate_is_taken_when_a_run_goes_on(schedule: ScheduleConfig) -> None:
    net, optimiser, planned = fresh("sgd", schedule)
    expected = train(net, optimiser, planned, range(STEPS))[5:]
    net, optimiser, planned = fresh("sgd", schedule)
    train(net, optimiser, planned, range(5))
    kept = copy.deepcopy((optimiser.state_dict(), planned.state_dict()))
    again, again_optimiser, again_planned = fresh("sgd", schedule, rate=0.2)
    restore_optimiser(again_optimiser, kept[0])
    again_planned.load_state_dict(kept[1])
    assert train(again, again_optimiser, again_planned, range(5, STEPS)) == pytest.approx([2 * rate for rate in expected])


def test_gradients_are_limited_by_value_and_by_norm() -> None:
    net = nn.Linear(2, 1, bias=False)
    net.weight.grad = torch.tensor([[3.0, -4.0]])
    assert clip(OptimiserConfig(clip_value=1.0), list(net.parameters())) is None
    assert net.weight.grad.tolist() == [[1.0, -1.0]]
    net.weight.grad = torch.tensor([[3.0, -4.0]])
    norm = clip(OptimiserConfig(clip_norm=1.0), list(net.parameters()))
    assert norm is not None
    assert float(norm) == pytest.approx(5)
    torch.testing.assert_close(net.weight.grad, torch.tensor([[0.6, -0.8]]))


def test_plateau_waits_for_its_patience() -> None:
    net, optimiser, planned = fresh("sgd", ScheduleConfig(name="plateau", patience=2, factor=0.5))
    rates = train(net, optimiser, planned, range(STEPS))
    assert rates[:4] == [0.1] * 4
    assert rates[-1] < 0.1
