"""Several workers do what one does: batch norm over all of them, the same loss, the same gradients."""

from __future__ import annotations

import contextlib
import copy
import functools
import multiprocessing
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from slideseg.training.learning.learner import Learner
from slideseg.training.learning.sync_norm import synchronise
from slideseg.training.recipe.reading import parse_config
from slideseg.training.record.checkpoint import Checkpoint
from slideseg.training.samples.batches import Patches
from slideseg.training.team import Team

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

multiprocessing.set_forkserver_preload([__name__])  # PyTorch is imported once, in a process that no thread runs in

CPU = torch.device("cpu")
BATCH = 5
SIDE = 32
ONE_PIXEL = 2e-4
"""By how much weights differ at most where a sum in another order takes a pixel to the other side of a ReLU: some 5e-5.

It happens with another number of threads, to a plain network as well. Where the batch is taken for 5 % larger than it is,
weights differ by 9e-4 and the loss by 0.04.
"""


@functools.cache
def run(size: int, *, compiled: bool = False) -> list[dict[str, dict[str, Tensor]]]:
    """Do all work in ``size`` processes of one group, which take long to start; return what each saved, by work."""
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(_join, (size, folder, compiled), size, start_method="forkserver")
        return [torch.load(Path(folder, f"{rank}.pt"), weights_only=True) for rank in range(size)]


def _join(rank: int, size: int, folder: str, compiled: bool) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error", FutureWarning)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size)
    work = (normalise_part, first_step, three_steps, half_step)
    with compiled_without_a_backend():
        done = {one.__name__: one() for one in ((compiled_steps,) if compiled else work)}
    torch.save(done, Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


def norm_inputs() -> tuple[Tensor, Tensor, nn.BatchNorm2d]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, 4, 6, 7, generator=generator) * 3 + 50  # a large mean: sums of squares alone would lose digits
    slope = torch.randn(BATCH, 4, 6, 7, generator=generator)
    norm = nn.BatchNorm2d(4)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(4, generator=generator) + 0.5)
        norm.bias.copy_(torch.rand(4, generator=generator))
    return x, slope, norm


def normalise_part() -> dict[str, Tensor]:
    x, slope, norm = norm_inputs()
    team = Team.join("cpu")
    mine = list(team.share(range(BATCH)))
    synchronise(norm, CPU)
    part = x[mine].requires_grad_()
    out = norm(part)
    (out * slope[mine]).sum().backward()
    grads = torch.stack([team.sum(norm.weight.grad), team.sum(norm.bias.grad)])
    return {"out": out.detach(), "grad": part.grad, "grads": grads, "mean": norm.running_mean, "var": norm.running_var}


def test_batch_norm_over_workers_is_batch_norm_over_the_whole_batch() -> None:
    x, slope, norm = norm_inputs()
    x.requires_grad_()
    out = norm(x)
    (out * slope).sum().backward()
    parts = [saved["normalise_part"] for saved in run(2)]
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(torch.cat([part["out"] for part in parts]), out.detach(), **close)
    torch.testing.assert_close(torch.cat([part["grad"] for part in parts]), x.grad, **close)
    for part in parts:
        torch.testing.assert_close(part["grads"], torch.stack([norm.weight.grad, norm.bias.grad]), **close)
        torch.testing.assert_close(part["mean"], norm.running_mean, **close)
        torch.testing.assert_close(part["var"], norm.running_var, **close)


RECIPE = {
    "name": "small",
    "data": {"sources": [{"images": "x.tif", "labels": "y.tif", "labels_are": "mask"}], "split": {"fraction": 0.5}},
    "classes": ["cell", "border"],
    "target": {"border": 1},
    "input": {"channels": 1, "mean": [0.5], "std": [0.2]},
    "network": {"base_channels": 4, "depth": 2, "form": "same"},
    "loss": {"cross_entropy": 1, "dice": 1},
    "optimiser": {"name": "sgd", "rate": 0.1, "momentum": 0.0},
    "training": {"batch": BATCH, "patch": SIDE, "precision": "fp32"},
}
HALF = {**RECIPE, "training": {"batch": BATCH, "patch": SIDE, "precision": "bf16"}}
SMALLEST = {**RECIPE, "network": {"base_channels": 2, "depth": 1, "form": "same"}}
COMPILED = {**SMALLEST, "training": {**RECIPE["training"], "compile": True}}


def three_steps() -> dict[str, Tensor]:
    """Return the weights after three steps, and after one step, a new start from its state, and two more."""
    team = Team.join("cpu")
    part = batch().pick(list(team.share(range(BATCH))))
    whole, first, second = (Learner(parse_config(RECIPE, "test"), team, steps=10) for _ in range(3))
    for _ in range(3):
        whole.learn([part], BATCH)
    first.learn([part], BATCH)
    scores = {"epoch": 1, "best": 0.0, "best_epoch": 1, "best_scores": {}, "mean": (0.5,), "std": (0.2,)}
    second.restore(Checkpoint(**scores, **copy.deepcopy(first.state())))
    for _ in range(2):
        second.learn([part], BATCH)
    return {f"{kind} {n}": w for kind, one in (("a", whole), ("b", second)) for n, w in changes(one).items()}


@pytest.mark.parametrize("size", [2, 3])
def test_a_new_start_from_a_checkpoint_changes_no_bit(size: int) -> None:
    """Also with three workers, whose gradients could be summed in several orders."""
    for saved in [saved["three_steps"] for saved in run(size)]:
        for name in [name.removeprefix("a ") for name in saved if name.startswith("a ")]:
            assert torch.equal(saved[f"a {name}"], saved[f"b {name}"]), name


def half_step() -> dict[str, Tensor]:
    learner = Learner(parse_config(HALF, "test"), Team.join("cpu"), steps=10)
    loss = learner.learn([batch().pick(list(learner.team.share(range(BATCH))))], BATCH)
    return {"loss": learner.team.sum(loss)}


def test_workers_can_compute_in_bf16() -> None:
    alone = Learner(parse_config(HALF, "test"), Team(0, 1, CPU), steps=10)
    loss = alone.learn([batch()], BATCH)
    for saved in run(2):
        torch.testing.assert_close(saved["half_step"]["loss"], loss, rtol=0.02, atol=0)


def compiled_steps() -> dict[str, Tensor]:
    """Return losses and weights after two steps of two parts, plain and compiled."""
    team = Team.join("cpu")
    mine = list(team.share(range(BATCH)))
    parts = [batch().pick(mine[:1]), batch().pick(mine[1:])]
    found = {}
    for kind, recipe in (("plain", SMALLEST), ("compiled", COMPILED)):
        learner = Learner(parse_config(recipe, "test"), team, steps=10)
        for step in range(2):
            found[f"{kind} loss {step}"] = team.sum(learner.learn(parts, BATCH))
        found |= {f"{kind} {name}": tensor for name, tensor in changes(learner).items()}
    return found


@contextlib.contextmanager
def compiled_without_a_backend() -> Iterator[None]:
    """Trace networks as torch.compile does, but make no machine code of them, which would take a minute."""
    with pytest.MonkeyPatch.context() as patch:
        compile_module = nn.Module.compile
        patch.setattr(nn.Module, "compile", lambda module: compile_module(module, backend="eager"))
        yield


def check_compiled(found: dict[str, Tensor]) -> None:
    names = [name.removeprefix("plain ") for name in found if name.startswith("plain ")]
    assert {f"compiled {name}" for name in names} == {name for name in found if name.startswith("compiled ")}
    for name in names:
        torch.testing.assert_close(found[f"compiled {name}"], found[f"plain {name}"], rtol=1e-4, atol=ONE_PIXEL)


def test_a_compiled_network_learns_the_same_under_the_same_names() -> None:
    with compiled_without_a_backend():
        check_compiled(compiled_steps())


@pytest.mark.slow
def test_a_compiled_network_learns_the_same_in_several_workers() -> None:
    for saved in run(2, compiled=True):
        check_compiled(saved["compiled_steps"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*")
def test_a_network_of_machine_code_learns_the_same() -> None:
    check_compiled(compiled_steps())


def batch() -> Patches:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(BATCH, 1, SIDE, SIDE, generator=generator)
    target = torch.randint(0, 3, (BATCH, SIDE, SIDE), generator=generator)
    return Patches(image, target, torch.rand(BATCH, SIDE, SIDE, generator=generator))


def first_step() -> dict[str, Tensor]:
    team = Team.join("cpu")
    learner = Learner(parse_config(RECIPE, "test"), team, steps=10)
    mine = list(team.share(range(BATCH)))
    loss = learner.learn([batch().pick(mine)], BATCH)
    return {"loss": team.sum(loss), **changes(learner)}


def changes(learner: Learner) -> dict[str, Tensor]:
    """Return the weights after the step; with plain SGD they tell the gradients."""
    return {name: tensor.clone() for name, tensor in learner.net.state_dict().items()}


@pytest.mark.parametrize("size", [2, 3])
def test_workers_together_take_the_step_that_one_takes(size: int) -> None:
    alone = Learner(parse_config(RECIPE, "test"), Team(0, 1, CPU), steps=10)
    before = changes(alone)
    loss = alone.learn([batch()], BATCH)
    after = changes(alone)
    assert any(not torch.equal(before[name], after[name]) for name in after if name.endswith("weight"))
    for part in [dict(saved["first_step"]) for saved in run(size)]:
        torch.testing.assert_close(part.pop("loss"), loss, rtol=1e-5, atol=1e-6)
        for name, tensor in part.items():
            torch.testing.assert_close(tensor, after[name], rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_a_batch_in_parts_takes_the_step_of_the_whole_one_without_batch_norm() -> None:
    recipe = parse_config({**RECIPE, "network": {"base_channels": 4, "depth": 2, "batch_norm": False, "form": "same"}}, "test")
    whole, parted = (Learner(recipe, Team(0, 1, CPU), steps=10) for _ in range(2))
    loss = whole.learn([batch()], BATCH)
    parts = [batch().pick(rows) for rows in ([0, 1], [2, 3], [4])]
    torch.testing.assert_close(parted.learn(parts, BATCH), loss)
    torch.testing.assert_close(changes(parted), changes(whole))
