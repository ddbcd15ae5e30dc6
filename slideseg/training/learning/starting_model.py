"""The model that a training starts from, where the recipe names one that has learnt something alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slideseg.errors import ModelError, explain
from slideseg.model.bundled import find_model
from slideseg.model.file import read_network, read_unet
from slideseg.model.others.described import OtherNetwork
from slideseg.training.learning.new import new_network

if TYPE_CHECKING:
    from torch import Tensor

    from slideseg.model.config import UNetConfig
    from slideseg.model.others.described import LibraryNetwork
    from slideseg.training.recipe.schema import TrainConfig

MOSTLY = 0.9
"""Share of another library's weights that must fit: all but those of the last layers."""
HEAD = "head."
"""How the last layer's weights are named: the only ones that know the classes."""


@dataclass(frozen=True, slots=True)
class StartingModel:
    """What a training takes over from a model."""

    weights: dict[str, Tensor]
    """By name; the last layer's only if the classes are the same."""
    mean: tuple[float, ...]
    """Subtracted from every channel: the recipe's, or else what the model is used to."""
    std: tuple[float, ...]
    """Every channel is divided by it afterwards."""


def read_starting_model(config: TrainConfig) -> StartingModel | None:
    """Return what a recipe's training starts from; None if it starts afresh.

    Raises:
        ModelError: if there is no such model, it can't be used, or its network has another form than the recipe's.
    """
    if config.network.start is None:
        return None
    if config.library_network is not None:
        return _of_library(config, config.library_network, config.network.start)
    net, form, info = read_unet(find_model(config.network.start))
    _check_form(config, form)
    weights = dict(net.state_dict())
    if [known.name for known in info.classes] != [named.name for named in config.model_classes]:
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith(HEAD)}
    return StartingModel(weights, config.input.mean or info.input.mean, config.input.std or info.input.std)


def _of_library(config: TrainConfig, network: LibraryNetwork, start: str) -> StartingModel:
    """Return the weights of another library's network that fit; those of other sizes, as of other classes, stay fresh."""
    net, info = read_network(find_model(start))
    got = f"{info.network.kind} {info.config.name}" if isinstance(info.config, OtherNetwork) else info.network.kind
    if got != (want := f"{network.library} {network.name}"):
        what = f"the training can't start from {start}: its network has another form"
        raise ModelError(explain(what, got=got, want=want, try_="its values in the recipe's network"))
    sizes = {name: tensor.shape for name, tensor in new_network(config).state_dict().items()}
    named = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    fitting = {name: tensor for name, tensor in named.items() if sizes.get(name) == tensor.shape}
    if len(fitting) < len(sizes) * MOSTLY:
        what = f"the training can't start from {start}: its network has other arguments"
        raise ModelError(
            explain(what, got=f"{len(fitting)} of {len(sizes)} weights that fit", try_="its values in the recipe's network")
        )
    return StartingModel(fitting, config.input.mean or info.input.mean, config.input.std or info.input.std)


def _check_form(config: TrainConfig, form: UNetConfig) -> None:
    """Refuse a network of other layers; what is drawn or dropped while it learns may differ."""
    got, want = (replace(net, out_channels=1, dropout=0.0, init="he").to_dict() for net in (form, config.unet))
    if differing := [name for name in want if got[name] != want[name]]:
        raise ModelError(
            explain(
                f"the training can't start from {config.network.start}: its network has another form",
                got=", ".join(f"{name} {got[name]}" for name in differing),
                want=", ".join(f"{name} {want[name]}" for name in differing),
                try_="its values in the recipe's network",
            )
        )
