"""The network that learns, and everything that changes with it: weights, optimiser, learning rate, running mean."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from slideseg.errors import ModelError, RunError, explain
from slideseg.model.network.number_format import has_instructions
from slideseg.training.learning.loss import loss_of
from slideseg.training.learning.new import has_batch_norm, new_network
from slideseg.training.learning.optimise import Schedule, clip, make_optimiser, restore_optimiser
from slideseg.training.learning.sync_norm import synchronise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.training.learning.new import Learning
    from slideseg.training.recipe.schema import TrainConfig
    from slideseg.training.record.checkpoint import Checkpoint
    from slideseg.training.samples.batches import Patches
    from slideseg.training.team import Team

    Weights = tuple[Tensor, ...] | list[Tensor]


_NEW_NAME = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
OWN_BUFFERS: dict[str, Any] = {"forward_sync_buffers" if _NEW_NAME else "broadcast_buffers": False}
"""Batch norm keeps the workers' running statistics equal; they need not be sent again. PyTorch has renamed the argument."""


class Learner:
    """A network in training; every worker of a team has one, and they stay equal."""

    def __init__(self, config: TrainConfig, team: Team, steps: int) -> None:
        """Make a fresh network for a run of ``steps`` steps; the same for every worker."""
        torch.manual_seed(config.seed)
        self.config = config
        self.team = team
        self.net = new_network(config).to(team.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if team.size > 1 and has_batch_norm(self.net):
            synchronise(self.net, team.device)
        self.average = _running_mean(self.net, config.training.average)
        self.optimiser = make_optimiser(config.optimiser, self.net.parameters())
        self.schedule = Schedule(config.schedule, self.optimiser, steps)
        self.step = 0
        self._module = _prepared(_Form(self.net, valid=config.network.form == "valid"), config, team)
        self._loss = loss_of(config.loss)
        self._precision = precision_of(config.training.precision, team.device)

    @property
    def judged(self) -> Learning:
        """The network that is validated and kept: the running mean of the weights where there is one."""
        return self.net if self.average is None else self.average.module  # type: ignore[return-value]

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimiser.param_groups[0]["lr"])

    def learn(self, parts: Sequence[Patches], batch: int) -> Tensor:
        """Do one step with this worker's samples, a part after the other; return the sum of their losses over ``batch``.

        ``batch`` counts the samples of all workers: each sample weighs the same, whoever computes it and in whichever part.

        Raises:
            RunError: if a gradient is limited by its norm and that is not finite.
        """
        self.net.train()
        total = torch.zeros((), device=self.team.device)
        for index, part in enumerate(parts):
            with self._speaking(index == len(parts) - 1):
                total += self._backward(part, batch)
        self._check(clip(self.config.optimiser, list(self.net.parameters())))
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.schedule.after_step()
        if self.average is not None:
            self.average.update_parameters(self.net)
        self.step += 1
        return total

    def _backward(self, part: Patches, batch: int) -> Tensor:
        with torch.autocast(self.team.device.type, torch.bfloat16, enabled=self._precision == "bf16"):
            logits_NKHW = self._module(part.image_NCHW)
        loss: Tensor = self._loss(logits_NKHW.float(), part.target_NHW, part.weights_NHW).sum() / batch
        (loss * self.team.size).backward()  # type: ignore[no-untyped-call]  # the workers' gradients are averaged
        return loss.detach()

    def _speaking(self, speak: bool) -> contextlib.AbstractContextManager[None]:
        """Let workers exchange gradients only with the last part of a step."""
        if speak or not isinstance(self._module, DistributedDataParallel):
            return contextlib.nullcontext()
        return self._module.no_sync()

    def _check(self, norm: Tensor | None) -> None:
        if norm is not None and not bool(torch.isfinite(norm)):
            raise RunError(explain(f"the gradient is not finite at step {self.step}", got=float(norm), try_="a lower rate"))

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        return {
            "step": self.step,
            "network": self.net.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Take weights by name before the first step; those not named stay fresh."""
        self.net.load_state_dict(weights, strict=False)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            ModelError: if it is of another network.
        """
        try:
            self.net.load_state_dict(checkpoint.network)
            if self.average is not None and checkpoint.average is not None:
                self.average.load_state_dict(checkpoint.average)
            restore_optimiser(self.optimiser, checkpoint.optimiser)
            self.schedule.load_state_dict(checkpoint.schedule)
        except (RuntimeError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(explain("the checkpoint is of another network", got=reason, try_="another --output")) from error
        self.step = checkpoint.step


def judged_of(checkpoint: Checkpoint, config: TrainConfig) -> Learning:
    """Return the network that was judged when a checkpoint was written, on the CPU."""
    net = new_network(config)
    if checkpoint.average is None:
        net.load_state_dict(checkpoint.network)
        return net
    average = AveragedModel(net, use_buffers=True)
    average.load_state_dict(checkpoint.average)
    return average.module  # type: ignore[return-value]


class _Form(nn.Module):
    """The network in the form it is trained in; its weights keep their names apart from this wrapper."""

    def __init__(self, net: Learning, *, valid: bool) -> None:
        super().__init__()
        self.net = net
        self.valid = valid

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the logits of the patch."""
        return self.net.forward_valid(x_NCHW) if self.valid else self.net(x_NCHW)


def _prepared(module: nn.Module, config: TrainConfig, team: Team) -> nn.Module:
    if config.training.compile:
        module.compile()  # in place: nothing else that holds the network, nor the names of its weights, changes
    if team.size == 1:
        return module
    if team.device.type == "cuda":
        return DistributedDataParallel(module, [team.device], gradient_as_bucket_view=True, **OWN_BUFFERS)
    # Otherwise gradients are put together anew after a run's first step, and gloo then sums them in another order: a run
    # that goes on from a checkpoint would differ in the last bits.
    return DistributedDataParallel(module, find_unused_parameters=True, **OWN_BUFFERS)


def _running_mean(net: Learning, decay: float | None) -> AveragedModel | None:
    """Return a running mean of the weights, which in a run's first steps forgets faster.

    As TensorFlow's ``ExponentialMovingAverage`` with ``num_updates``: otherwise the first weights, which have learnt nothing,
    would still be a third of the mean after ``1 / (1 - decay)`` steps.
    """
    if decay is None:
        return None

    def follow(mean: Weights, now: Weights, steps: Tensor | int) -> None:
        seen = int(steps)
        get_ema_multi_avg_fn(min(decay, (1 + seen) / (10 + seen)))(mean, now, steps)  # type: ignore[no-untyped-call]

    return AveragedModel(net, multi_avg_fn=follow, use_buffers=True)


def precision_of(wanted: str, device: torch.device) -> str:
    """Return the number format to compute in: what is wanted, or for ``auto`` bf16 where there are instructions for it."""
    if wanted != "auto":
        return wanted
    on_gpu = device.type == "cuda"
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else has_instructions("bf16")
    return "bf16" if has_bf16 else "fp32"
