"""`slideseg.Model`: a PyTorch module of the user's own as a model."""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, TypedDict, Unpack

from torch import nn

from slideseg.errors import ModelError, explain
from slideseg.model.file import LoadedModel, ready, weight_bytes
from slideseg.model.given import GivenModel
from slideseg.model.info import ModelInfo
from slideseg.model.others.describe import describe
from slideseg.model.stated import Stated

if TYPE_CHECKING:
    from collections.abc import Sequence

LIBRARY = "torch"
"""What the library of a user's own module is called."""


class Said(TypedDict, total=False):
    """What else may be said of a module."""

    name: str
    """What it is called; its class if it is left out."""
    range: str | Sequence[float]
    """Values of black and white in slides, ``auto`` for percentiles of the slide; those of their type if it is left out."""
    channel: Sequence[str]
    """What its channels are called in slides, if that matters."""


class Model(LoadedModel, GivenModel):
    """A PyTorch module that segments slides as any model does: ``slideseg.predict(slide, model=slideseg.Model(module, ...))``.

    How far it sees is found out here, once, in seconds to minutes: its stride, its margin, and whether tiles can equal the
    whole image. A copy is taken, in evaluation mode; it travels to the workers with its class.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        classes: Sequence[str],
        mpp: float | None = None,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        **said: Unpack[Said],
    ) -> None:
        """Take a module that turns float32 images (N, C, H, W) into logits (N, K, H, W), or gives these first of several.

        Args:
            module: the network. K = 1 means one sigmoid (class 1 where the logit is above 0), more mean softmax.
            classes: names of all classes, background first.
            mpp: microns per pixel that it is to see; None if it does not matter.
            mean: what is subtracted from each of its C channels, on the scale where white is 1.
            std: what they are divided by afterwards.
            **said: what else there is to say of it, see `Said`.

        Raises:
            ModelError: if it gives something else, its classes or channels don't fit, or it can't be tiled at all.
        """
        if not isinstance(module, nn.Module):
            raise ModelError(explain("a model is made of a torch.nn.Module", got=type(module).__name__))
        kind, stated = type(module).__name__, Stated(classes=classes, mpp=mpp, mean=mean, std=std, **said)
        module = copy.deepcopy(module).float().cpu()
        found = describe(module, len(mean), LIBRARY, kind, {})
        pixels = stated.input(found.in_channels)
        info = ModelInfo(stated.name or kind, found, stated.classes_of(found.out_channels), pixels)
        made = ready(module, info, _digest(module, info))
        super().__init__(made.net, info, made.sha256)


def _digest(module: nn.Module, info: ModelInfo) -> str:
    """Return a hash of layers, weights and description: who runs the same again goes on with the same result."""
    digest = hashlib.sha256(weight_bytes(module))
    digest.update(f"{module!r}{info.to_json()}".encode())
    return digest.hexdigest()
