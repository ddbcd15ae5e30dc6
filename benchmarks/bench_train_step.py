"""How long is a step of training against the plain loop of the common recipe at the same sizes?

The common recipe is the U-Net that most PyTorch code trains: padded convolutions, batch norm, up-convolutions, RMSprop, binary
cross-entropy and Dice, the gradient limited to a norm of 1. `plain_loop` is it in plain PyTorch, eager, in PyTorch's own memory
layout and with the C library's allocator as it comes. Ours is `Learner.learn` with the same sizes, loss and optimiser.

Each way has a process of its own, since an allocator's settings are a process's. All have the same threads. They take turns:
one does a step while the others wait, then the next, so that whatever else the machine does hits all alike.

Claim: at most 0.7 times the plain loop's time. What each of our changes brings is shown beside it.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from common import hardware, wait_politely, write_result
from torch import Tensor, nn
from turns import Team, serve, take_turns

from slideseg.machine import keep_freed_memory
from slideseg.training.learning.learner import Learner
from slideseg.training.recipe.reading import parse_config
from slideseg.training.samples.batches import Patches
from slideseg.training.team import Team as Workers

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 0.7
RATE, DECAY, MOMENTUM, NORM = 1e-5, 1e-8, 0.9, 1.0
"""Of the common recipe: RMSprop and its limit on the gradient."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What both loops train on."""

    width: int
    """Channels at full resolution."""
    side: int
    """Side of the patches in pixels."""
    batch: int
    """Samples a step."""

    def samples(self) -> tuple[Tensor, Tensor]:
        """Return images (N, 3, H, W) and target ids (N, H, W)."""
        random = torch.Generator().manual_seed(0)
        image_NCHW = torch.rand(self.batch, 3, self.side, self.side, generator=random)
        return image_NCHW, (image_NCHW.mean(1) > 0.5).long()


# --- the plain loop -----------------------------------------------------------------------------------------------------


def double_conv(c_in: int, c_out: int) -> nn.Sequential:
    def conv(c_from: int) -> list[nn.Module]:
        return [nn.Conv2d(c_from, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]

    return nn.Sequential(*conv(c_in), *conv(c_out))


class PlainUNet(nn.Module):
    """The common U-Net of four poolings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.down = nn.ModuleList(double_conv(a, b) for a, b in zip([3, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in reversed(widths[:-1]))
        self.join = nn.ModuleList(double_conv(2 * c, c) for c in reversed(widths[:-1]))
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down[0](x)
        skips = []
        for block in self.down[1:]:
            skips.append(x)
            x = block(self.pool(x))
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([skips.pop(), up(x)], dim=1))
        return self.head(x)


def plain_loop(sizes: Sizes, layout: torch.memory_format) -> Callable[[], None]:
    net = PlainUNet(sizes.width).to(memory_format=layout)
    optimiser = torch.optim.RMSprop(net.parameters(), lr=RATE, weight_decay=DECAY, momentum=MOMENTUM, foreach=True)
    image, target = sizes.samples()
    image, truth = image.to(memory_format=layout), target.float()

    def step() -> None:
        logits = net(image).squeeze(1)
        found = logits.sigmoid()
        both, total = (found * truth).sum((1, 2)), (found + truth).sum((1, 2))
        loss = F.binary_cross_entropy_with_logits(logits, truth) + (1 - (2 * both + 1) / (total + 1)).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), NORM)
        optimiser.step()
        loss.item()

    return step


# --- ours ---------------------------------------------------------------------------------------------------------------


def our_loop(sizes: Sizes, workers: Workers, **training: object) -> Callable[[], None]:
    recipe = {
        "name": "step",
        "data": {"sources": [{"images": "-", "labels": "-", "labels_are": "mask"}], "split": {"fraction": 0.5}},
        "classes": ["object"],
        "network": {"base_channels": sizes.width, "form": "same"},
        "loss": {"bce": 1, "dice": 1},
        "optimiser": {"name": "rmsprop", "rate": RATE, "weight_decay": DECAY, "momentum": MOMENTUM, "clip_norm": NORM},
        "training": {"batch": sizes.batch, "patch": sizes.side, **training},
    }
    learner = Learner(parse_config(recipe, "benchmark"), workers, steps=10**6)
    image, target = sizes.samples()
    whole = Patches(image.contiguous(memory_format=torch.channels_last), target, None)
    part = whole.pick(list(workers.share(range(sizes.batch))))

    def step() -> None:
        float(learner.learn([part], sizes.batch))

    return step


# --- ways, each in a process of its own ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do a step."""

    text: str
    """What the result says."""
    make: Callable[[Sizes, Workers], Callable[[], None]]
    """Returns a function that does a step."""
    keeps: bool = False
    """Whether freed memory stays with the process."""
    workers: int = 1
    """Processes that share the batch and the threads."""


WAYS = {
    "plain": Way("plain loop", lambda sizes, _: plain_loop(sizes, torch.contiguous_format)),
    "ours": Way("ours", our_loop, keeps=True),
    "plain-last": Way("plain loop, channels last", lambda sizes, _: plain_loop(sizes, torch.channels_last)),
    "plain-keep": Way("plain loop, freed memory kept", lambda sizes, _: plain_loop(sizes, torch.contiguous_format), keeps=True),
    "ours-as-is": Way("ours, allocator as it comes", our_loop),
    "ours-bf16": Way("ours, bf16", lambda *of: our_loop(*of, precision="bf16"), keeps=True),
    "ours-compiled": Way("ours, compiled", lambda *of: our_loop(*of, compile=True), keeps=True),
    "ours-2": Way("ours, as many workers as threads", our_loop, keeps=True, workers=2),
}
CLAIMED = ("plain", "ours")
USUAL = [name for name in WAYS if name != "ours-compiled"]
"""Compiling needs a C++ compiler, and a minute or more."""
WARM_UP = 4
"""Steps until the allocator has settled."""


def be(way: Way, sizes: Sizes, threads: int) -> None:
    """Be one process of a way."""
    if way.keeps:
        keep_freed_memory()
    torch.set_num_threads(threads // way.workers)
    torch.manual_seed(0)
    if way.workers > 1:
        torch.distributed.init_process_group("gloo")
    serve(way.make(sizes, Workers.join("cpu")), WARM_UP)


def compare(sizes: Sizes, names: list[str], threads: int, rounds: int) -> dict[str, dict[str, float]]:
    """Do a step each way, round after round; return the times of every way beside the plain loop's."""
    arguments = [f"--widths={sizes.width}", f"--side={sizes.side}", f"--batch={sizes.batch}", f"--threads={threads}"]
    teams = {name: Team([__file__, *arguments, f"--be={name}"], threads, WAYS[name].workers) for name in names}
    take_turns(teams.values(), rounds)
    return {name: team.numbers(teams["plain"]) for name, team in teams.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[16], help="channels; all ways run with the first only")
    parser.add_argument("--side", type=int, default=256, help="side of the patches in pixels")
    parser.add_argument("--batch", type=int, default=4, help="samples a step")
    parser.add_argument("--threads", type=int, default=2, help="threads of each way")
    parser.add_argument("--rounds", type=int, default=9, help="steps of each way")
    parser.add_argument("--ways", nargs="+", default=USUAL, choices=list(WAYS), help="what else to time")
    parser.add_argument("--be", choices=list(WAYS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.be:
        be(WAYS[given.be], Sizes(given.widths[0], given.side, given.batch), given.threads)
        return
    wait_politely()
    busy = hardware()
    ways = dict.fromkeys(given.widths, CLAIMED) | {given.widths[0]: dict.fromkeys([*CLAIMED, *given.ways])}
    runs = {
        str(width): compare(Sizes(width, given.side, given.batch), list(names), given.threads, given.rounds)
        for width, names in ways.items()
    }
    result = {
        "side": given.side,
        "batch": given.batch,
        "threads": given.threads,
        "rounds": given.rounds,
        "ways": {name: WAYS[name].text for name in runs[str(given.widths[0])]},
        "by_width": runs,
        "limit": LIMIT,
        "passed": all(run["ours"]["ratio"] <= LIMIT for run in runs.values()),
        "load_average_1min_after": round(os.getloadavg()[0], 2),
    }
    write_result("train_step", result, busy)


if __name__ == "__main__":
    main()
