"""The one place where other libraries' networks are made: by the name of a class and plain arguments, with no weights yet.

Nothing is downloaded: weights come from a model's own file.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from dataclasses import dataclass
from typing import Any

from torch import nn

from slideseg.errors import ModelError, explain, one_line
from slideseg.installed import pip_install
from slideseg.model.others.described import CHANNELS


@dataclass(frozen=True, slots=True)
class Library:
    """Where a library keeps its networks."""

    module: str
    """The module whose names they are."""
    fixed: dict[str, Any]
    """Arguments that are not the model's to say: those that would fetch weights, or give more or other than logits."""


LIBRARIES = {
    "smp": Library("segmentation_models_pytorch", {"encoder_weights": None, "activation": None, "aux_params": None}),
    "monai": Library("monai.networks.nets", {}),
}
"""Libraries by what a model file and `pip` call them."""
USUAL = {"spatial_dims": 2}
"""Arguments that need not be said: slides are pictures."""
FETCHING = ("pretrained", "weights")
"""Arguments that have a network fetch weights."""
FAULTS = (TypeError, ValueError, KeyError, AttributeError, LookupError, RuntimeError, NotImplementedError, AssertionError)
"""What libraries raise at arguments that they can't do with."""


def build(library: str, name: str, arguments: dict[str, Any]) -> nn.Module:
    """Return a library's network, with the weights that are drawn for a new one.

    Args:
        library: one of `LIBRARIES`.
        name: the class.
        arguments: what it is made with.

    Raises:
        ModelError: if there is no such library or class, it is not installed, or the arguments are not the class's.
    """
    if library not in LIBRARIES:
        raise ModelError(explain("no such library of networks", got=library, want=", ".join(LIBRARIES)))
    if fetching := [key for key in FETCHING if arguments.get(key)]:
        what = f"{name} would fetch weights from elsewhere"
        raise ModelError(explain(what, got=f"{fetching[0]} {arguments[fetching[0]]}", want="weights of the model's own"))
    made_by, known = _class_of(library, name), LIBRARIES[library]
    usual = {key: value for key, value in USUAL.items() if key in inspect.signature(made_by.__init__).parameters}
    try:
        with warnings.catch_warnings(action="ignore"):
            return made_by(**usual | arguments | known.fixed)
    except FAULTS as error:
        got = one_line(f"{type(error).__name__}: {error}")
        raise ModelError(explain(f"{library}'s {name} can't be made of these arguments", got=got)) from error


def onnx_networks() -> Any:
    """Return the module that makes networks of ONNX files.

    Raises:
        ModelError: if what it needs is not installed.
    """
    try:
        return importlib.import_module("slideseg.model.others.onnx.making")
    except ImportError as error:
        what = "networks of ONNX files need onnx and onnxruntime"
        raise ModelError(explain(what, got=one_line(str(error)), try_=pip_install("onnx"))) from error


def is_given(library: str, argument: str) -> bool:
    """Tell whether an argument is the same for all networks of a library, whatever is said."""
    return argument in LIBRARIES[library].fixed


def channels_of(library: str, name: str, arguments: dict[str, Any]) -> int:
    """Return the channels of the images that such a network takes, as the class says where the arguments don't.

    Raises:
        ModelError: if neither does.
    """
    known = inspect.signature(_class_of(library, name).__init__).parameters.get(CHANNELS)
    channels = arguments.get(CHANNELS, None if known is None else known.default)
    if not isinstance(channels, int):
        what = f"it is not said how many channels {library}'s {name} takes"
        raise ModelError(explain(what, got=channels, want=f"an argument {CHANNELS}"))
    return channels


def _class_of(library: str, name: str) -> type[nn.Module]:
    where = LIBRARIES[library].module
    try:
        with warnings.catch_warnings(action="ignore"):
            module = importlib.import_module(where)
    except (ImportError, RuntimeError, AttributeError) as error:  # as torchvision does that was built for another PyTorch
        what = f"networks of {library} need {where.partition('.')[0]}"
        raise ModelError(explain(what, got=one_line(str(error)), try_=pip_install(library))) from error
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ModelError(explain(f"{where} has no such network", got=name, want="the name of a class, such as UNet"))
    return found
