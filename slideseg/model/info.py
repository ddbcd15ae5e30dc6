"""What a model says about itself, as JSON; see ``docs/formats.md`` for the fields. Knows no PyTorch."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slideseg.colors import COLOR
from slideseg.errors import ConfigError, ModelError, explain
from slideseg.model.config import UNetConfig
from slideseg.model.learnt import Learnt
from slideseg.model.made_for import MadeFor
from slideseg.model.network.described import DescribedUNet
from slideseg.model.objects import ObjectRules
from slideseg.model.others.described import OtherNetwork
from slideseg.model.together.described import NetworksTogether
from slideseg.model.together.use import Use
from slideseg.model.values import stated_range

if TYPE_CHECKING:
    from slideseg.model.architecture import Architecture
    from slideseg.model.windows.described import NetworkInWindows

FORMAT = "slideseg-model/1"
ARCHITECTURES = ("unet", "smp", "monai", "onnx")
"""What a network can be: ours, or one that a library makes."""
LARGEST_STD = 0.5
"""Of values between 0 and 1 none has a larger deviation."""


@dataclass(frozen=True, slots=True)
class ModelClass:
    """One class of the class map."""

    id: int
    """Value in the class map; 0 is background."""
    name: str
    """What people call it."""
    color: str
    """``#rrggbb``."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What a model wants to see."""

    channels: int
    """Channels of the image."""
    mpp: float | None
    """Microns per pixel it was trained at; None if unknown."""
    mean: tuple[float, ...]
    """Subtracted from every channel, on the scale where white is 1."""
    std: tuple[float, ...]
    """Every channel is divided by it afterwards."""
    range: tuple[float, float] | Literal["auto"] | None = None
    """Values of black and white in a slide whose user says none; ``auto``: percentiles of the slide; None: its type's."""
    names: tuple[str, ...] = ()
    """What the channels are called in slides; empty where it does not say."""

    def takes(self, channels: int) -> bool:
        """Tell whether it takes images of so many channels: its own number, or grey as red, green and blue alike.

        >>> [ModelInput(3, None, (), ()).takes(channels) for channels in (1, 2, 3)]
        [True, False, True]
        """
        return channels == self.channels or (channels == 1 and self.channels == 3)

    def to_json(self) -> dict[str, Any]:
        """Return it as a model file has it; what there is nothing to say of is left out."""
        return {
            "channels": self.channels,
            "mpp": self.mpp,
            "normalisation": {"mean": list(self.mean), "std": list(self.std)},
            **({} if self.range is None else {"range": self.range if self.range == "auto" else list(self.range)}),
            **({"names": list(self.names)} if self.names else {}),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> ModelInput:
        """Read it; what may be wrong with it raises a `KeyError`, a `TypeError` or a `ValueError`."""
        normalisation, limits = raw["normalisation"], raw.get("range")
        low_high = limits if limits in (None, "auto") else tuple(float(value) for value in limits)
        return cls(
            channels=int(raw["channels"]),
            mpp=None if raw["mpp"] is None else float(raw["mpp"]),
            mean=tuple(float(v) for v in normalisation["mean"]),
            std=tuple(float(v) for v in normalisation["std"]),
            range=low_high,  # type: ignore[arg-type]  # see `_check_input`
            names=tuple(raw.get("names", ())),
        )

    @property
    def white(self) -> float | None:
        """What is white to it, where it is 1 to the pixels' type; None if it learnt from floats beyond 0 and 1.

        Its mean and deviation tell: it is less than 1 if all images that it learnt from were dark, as 12 bits in 16 are.
        """
        brightest = max((mean + 3 * std for mean, std in zip(self.mean, self.std, strict=True)), default=1.0)
        plain = set(self.mean) == {0.0} and set(self.std) == {1.0}
        beyond = not plain and (max(self.std) > LARGEST_STD or min(self.mean) < 0 or max(self.mean) > 1)
        return None if beyond else min(1.0, brightest)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model file says about itself."""

    name: str
    """Short name, as in ``--model NAME``."""
    config: UNetConfig | OtherNetwork | NetworksTogether | NetworkInWindows
    """What decides the network: a U-Net's constructor arguments, what was found out about another one, or several of them."""
    classes: tuple[ModelClass, ...]
    """All classes, background first."""
    input: ModelInput
    """What it wants to see."""
    training: dict[str, Any] = field(default_factory=dict)
    """Data, licence, metrics, seed and slideseg version of its training."""
    objects: ObjectRules = field(default_factory=ObjectRules)
    """How objects are best made of its class maps."""
    made_for: MadeFor | None = None
    """What it is made for; None where its file does not say."""
    learnt: Learnt | None = None
    """What objects it learnt from; None where its file does not say."""
    use: Use = field(default_factory=Use)
    """How its network is used unless its user says otherwise."""

    def __post_init__(self) -> None:
        _check_consistency(self)

    @property
    def network(self) -> Architecture:
        """What is known of the network."""
        return DescribedUNet(self.config) if isinstance(self.config, UNetConfig) else self.config

    def to_json(self) -> str:
        """Return the JSON of the model file; what there is nothing to say of is left out."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        objects = {"objects": _object_entries(self.objects)} if self.objects != ObjectRules() else {}
        made_for = {"made_for": self.made_for.to_json()} if self.made_for is not None else {}
        learnt = {"learnt": self.learnt.to_json()} if self.learnt is not None else {}
        use = {} if self.use.is_plain else {"use": asdict(self.use)}
        return {
            "format": FORMAT,
            "name": self.name,
            "architecture": self.network.kind,
            "config": self.network.to_dict(),
            "classes": [asdict(c) for c in self.classes],
            "input": self.input.to_json(),
            "tiling": {"stride": self.network.stride, "halo": self.network.halo},
            "training": self.training,
            **objects,
            **made_for,
            **learnt,
            **use,
        }

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """Read the JSON.

        Raises:
            ModelError: if a field is missing, unknown or contradicts another.
        """
        try:
            raw = json.loads(text)
            _check_format(raw)
            info = cls(
                name=str(raw["name"]),
                config=_config_of(raw),
                classes=tuple(ModelClass(**c) for c in raw["classes"]),
                input=ModelInput.from_json(raw["input"]),
                training=dict(raw.get("training", {})),
                objects=_objects_of(raw),
                made_for=MadeFor(**raw["made_for"]) if "made_for" in raw else None,
                learnt=Learnt.from_json(raw["learnt"]) if "learnt" in raw else None,
                use=Use(**raw.get("use", {})),
            )
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(explain("the model file's description is damaged", got=repr(error))) from error
        tiling = {"stride": info.network.stride, "halo": info.network.halo}
        if raw.get("tiling") != tiling:
            raise ModelError(explain("the model file's tiling contradicts its network", got=raw.get("tiling"), want=tiling))
        return info


def frozen(info: ModelInfo) -> ModelInfo:
    """Return what is said of a model once its network's statistics are frozen."""
    config = info.config
    return replace(info, config=config.frozen()) if isinstance(config, OtherNetwork | NetworksTogether) else info


def inexact(info: ModelInfo) -> str:
    """Return what is told of a model whose network can't be tiled exactly."""
    first, *more = info.network.obstacles
    found = f"{first} and {len(more)} more layers make" if more else f"{first} makes"
    return f"model {info.name} can't be tiled exactly: {found} a pixel depend on the whole image"


def _check_format(raw: Any) -> None:
    if not isinstance(raw, dict):
        raise ModelError(explain("the model file's description is damaged", got=type(raw).__name__, want="an object"))
    if raw.get("format") != FORMAT:
        raise ModelError(explain("unknown model format", got=raw.get("format"), want=FORMAT))
    if raw.get("architecture") not in ARCHITECTURES:
        raise ModelError(explain("unknown architecture", got=raw.get("architecture"), want=", ".join(ARCHITECTURES)))


def _config_of(raw: dict[str, Any]) -> UNetConfig | OtherNetwork:
    kind, fields = raw["architecture"], raw["config"]
    return UNetConfig(**fields) if kind == "unet" else OtherNetwork.from_dict(kind, fields)


def _objects_of(raw: dict[str, Any]) -> ObjectRules:
    try:
        return ObjectRules.from_json(raw.get("objects", {}))
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(explain("the model's objects can't be used", got=raw["objects"], want="whole pixels")) from error


def _object_entries(rules: ObjectRules) -> dict[str, Any]:
    """Return the sizes, and of the other rules those that are not left open."""
    usual = ObjectRules().to_json()
    return {name: value for name, value in rules.to_json().items() if name in SIZES or value != usual[name]}


SIZES = ("grow", "split", "min_area", "fill_holes")
"""Rules that a model file tells whatever they are."""


def _is_text(text: object) -> bool:
    """Tell whether it can be shown in a terminal, where control characters are commands."""
    return isinstance(text, str) and not any(unicodedata.category(character) == "Cc" for character in text)


def _check_consistency(info: ModelInfo) -> None:
    _check_names(info)
    if unknown := info.objects.unknown_classes(len(info.classes)):
        raise ModelError(
            explain("the model's objects can't be used", got=f"class {unknown[0]}", want=f"1 to {len(info.classes) - 1}")
        )
    channels = info.network.in_channels
    if not channels == info.input.channels == len(info.input.mean) == len(info.input.std):
        raise ModelError(explain("the input's channels don't fit the network", got=info.input, want=f"{channels} channels"))
    if not all(np.isfinite([*info.input.mean, *info.input.std])) or min(info.input.std) <= 0:
        raise ModelError(explain("the normalisation can't be used", got=info.input, want="finite means, positive deviations"))
    if info.input.mpp is not None and not (np.isfinite(info.input.mpp) and info.input.mpp > 0):
        raise ModelError(explain("the model's mpp can't be used", got=info.input.mpp, want="a positive number"))
    _check_input(info.input)


def _check_input(seen: ModelInput) -> None:
    """Refuse values of black and white, and names of channels, that no slide has."""
    try:
        stated_range(seen.range)
    except ConfigError as error:
        raise ModelError(explain("the model's range can't be used", got=seen.range, want="auto, or black, white")) from error
    texts = [name.strip().casefold() for name in seen.names if _is_text(name)]
    if seen.names and not (all(texts) and len(set(texts)) == len(seen.names) == seen.channels):
        got, want = ", ".join(map(str, seen.names)), f"{seen.channels} different names"
        raise ModelError(explain("the names of the model's channels can't be used", got=got, want=want))


def _check_names(info: ModelInfo) -> None:
    if not _is_text(info.name):
        got, want = repr(info.name)[:80], "text without control codes"
        raise ModelError(explain("the model's name can't be used", got=got, want=want))
    outputs = info.network.out_channels
    ids = [c.id for c in info.classes]
    if ids != list(range(max(2, outputs))):
        got, want = ", ".join(f"{c.id} {c.name}" for c in info.classes), f"{max(2, outputs)} classes, numbered from 0"
        raise ModelError(explain("the classes don't fit the network", got=got, want=want))
    for c in info.classes:
        texts: tuple[object, object] = (c.name, c.color)  # JSON may have held anything
        if not (all(map(_is_text, texts)) and re.fullmatch(COLOR, c.color)):
            raise ModelError(explain("a class can't be used", got=c, want="a name and a color #rrggbb"))
