"""A training recipe: one YAML file, read whole, checked whole, before anything is opened.

Every part is described beside the code that it is for; this module puts the parts together, fills in environment variables
(``${NAME}`` or ``${NAME:-default}``), takes ``-s key.path=value`` in, and turns what pydantic finds into one line.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from slideseg.colors import BACKGROUND as BACKGROUND_COLOR
from slideseg.colors import COLOR, PALETTE
from slideseg.errors import ConfigError, explain
from slideseg.model.bundled import bundled_models
from slideseg.model.config import Init, UNetConfig
from slideseg.model.info import ModelClass, ModelInput
from slideseg.model.objects import ObjectRules
from slideseg.storage.place import absolute
from slideseg.training.data.dataset import DataConfig
from slideseg.training.data.labels import IGNORED
from slideseg.training.learning.loss import LossConfig
from slideseg.training.learning.optimise import OptimiserConfig, ScheduleConfig
from slideseg.training.recipe.settings import Settings
from slideseg.training.samples.augment import AugmentConfig, StainJitter
from slideseg.training.samples.targets import TargetConfig
from slideseg.training.samples.weight_map import WeightMapConfig

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from slideseg.training.data.sources import SourceConfig

BACKGROUND = ModelClass(0, "background", BACKGROUND_COLOR)
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class ClassConfig(Settings):
    """One class; they are numbered from 1 in the order of the list, 0 is background."""

    name: str = Field(min_length=1)
    """What people call it."""
    color: str | None = Field(None, pattern=f"^{COLOR}$")
    """``#rrggbb`` in pictures and results."""


class InputConfig(Settings):
    """What the network sees."""

    channels: int = Field(3, ge=1)
    """Channels of the image; a grey image becomes three equal ones where 3 are wanted."""
    mean: tuple[float, ...] | None = None
    """Subtracted from every channel, on the scale where white is 1; measured on the training images if left out."""
    std: tuple[float, ...] | None = None
    """Every channel is divided by it afterwards; measured like `mean`."""

    @model_validator(mode="after")
    def _fits(self) -> InputConfig:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != self.channels:
                msg = f"{name} must have {self.channels} values, one a channel"
                raise ValueError(msg)
        if self.std is not None and min(self.std) <= 0:
            msg = "std must be above 0"
            raise ValueError(msg)
        if (self.mean is None) != (self.std is None):
            msg = "mean and std go together: give both or neither"
            raise ValueError(msg)
        return self


class NetworkConfig(Settings):
    """The U-Net; see `slideseg.model.unet.UNetConfig`."""

    base_channels: int = Field(64, ge=1)
    """Channels at full resolution; doubled by every pooling."""
    depth: int = Field(4, ge=1, le=8)
    """Number of 2x2 max-poolings."""
    upsampling: Literal["conv", "bilinear"] = "conv"
    """``conv``: 2x2 up-convolution (the paper); ``bilinear``: fixed weights."""
    batch_norm: bool = True
    """Normalise after every 3x3 convolution."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of features dropped at the end of the contracting path (paper, section 3.1)."""
    init: Init = "he"
    """How fresh weights are drawn."""
    start: str | None = None
    """A model whose weights the training starts from: a bundled name, a file or a run's folder, with a network of the same
    form. Where its classes are others, the last layer starts fresh. ``input`` is then its own if left out."""
    form: Literal["valid", "same"] = "valid"
    """``valid``: convolutions see the patch's real surroundings, as in prediction and in the paper. ``same``: they see zeros
    around the patch: less to compute, and wrong near its edge."""


class TrainingConfig(Settings):
    """How long, in what portions, and what is kept."""

    epochs: int = Field(100, ge=1)
    """Epochs in all; after each one there is a validation and a checkpoint."""
    samples: int = Field(400, ge=1)
    """Samples an epoch; with ``data.sampling.how: whole`` it is every training image once instead."""
    patch: int = Field(256, ge=1)
    """Side of what a sample teaches, in pixels: the network's output. A multiple of the network's stride."""
    batch: int = Field(8, ge=1)
    """Samples a step, all workers together."""
    micro_batch: int | None = Field(None, ge=1)
    """Samples a worker puts through the network at once; gradients of the rest are added up. All of its share if left out."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: bf16 on a GPU that has it, else fp32."""
    compile: bool = False
    """Compile the network with torch.compile."""
    average: float | None = Field(None, gt=0, lt=1)
    """Judge and keep the running mean of the weights with this decay a step, instead of the weights themselves."""
    select: Literal["dice", "iou", "loss"] = "dice"
    """What makes one epoch better than another in validation."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better one."""
    validation_tile: int = Field(512, ge=1)
    """Side of a validation tile in pixels, rounded up to the stride."""
    validation_tiles: int = Field(256, ge=1)
    """Validation tiles at most, spread over the validation images."""
    keep_every: int | None = Field(None, ge=1)
    """Keep the checkpoint of every so many epochs, besides the last and the best."""
    pictures_every: int | None = Field(None, ge=1)
    """Draw predictions on the same validation samples every so many epochs."""

    def parts(self, workers: int) -> int:
        """Return in how many pieces each of ``workers`` puts its share of a batch through the network.

        >>> [TrainingConfig(batch=8, micro_batch=n).parts(2) for n in (None, 4, 2, 3)]
        [1, 1, 2, 2]
        """
        share = -(-self.batch // workers)
        return -(-share // (self.micro_batch or share))


class AboutConfig(Settings):
    """What the model file says about its training."""

    data: str = ""
    """What it was trained on."""
    licence: str = ""
    """The data's licence."""
    note: str = ""
    """Anything else."""


class ObjectsConfig(Settings):
    """The ``objects:`` part of a recipe: how objects are best made of the model's class maps; it is written into the model."""

    grow: int = Field(4, ge=0)
    """Pixels that objects grow into the border class at most."""
    split: int = Field(0, ge=0)
    """Pixels around an object's middle in which it has no other; 0 parts nothing."""
    min_area: int = Field(0, ge=0)
    """Pixels of the smallest object."""
    fill_holes: int = Field(0, ge=0)
    """Pixels of the largest hole that is filled."""


class TrainConfig(Settings):
    """A whole recipe."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    """Name of the model, and of the run's folder."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Every random choice follows from it."""
    about: AboutConfig = AboutConfig()
    data: DataConfig
    classes: tuple[ClassConfig, ...] = Field(min_length=1, max_length=IGNORED - 1)
    input: InputConfig = InputConfig()
    network: NetworkConfig = NetworkConfig()
    target: TargetConfig = TargetConfig()
    augment: AugmentConfig = AugmentConfig()
    weight_map: WeightMapConfig | None = None
    loss: LossConfig
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    training: TrainingConfig = TrainingConfig()
    objects: ObjectsConfig = ObjectsConfig()

    @field_validator("classes", mode="before")
    @classmethod
    def _by_name(cls, classes: Any) -> Any:
        """Take plain names for classes."""
        return [{"name": one} if isinstance(one, str) else one for one in classes] if isinstance(classes, list) else classes

    @model_validator(mode="after")
    def _fits(self) -> TrainConfig:
        stride = 1 << self.network.depth
        if self.training.patch % stride:
            msg = f"training.patch must be a multiple of the network's stride {stride} (got {self.training.patch})"
            raise ValueError(msg)
        if self.loss.bce and len(self.classes) != 1:
            msg = f"the bce loss tells one class from background; use cross_entropy (got {len(self.classes)} classes)"
            raise ValueError(msg)
        if self.target.adds_class and len(self.classes) == 1:
            msg = "the class between instances needs a name: add it as the last of classes"
            raise ValueError(msg)
        self._check_parts()
        return self

    def _check_parts(self) -> None:
        names = [BACKGROUND.name, *(one.name.lower() for one in self.classes)]
        if len(set(names)) < len(names):
            msg = f"every class needs a name of its own, and {BACKGROUND.name} is taken (got {', '.join(names[1:])})"
            raise ValueError(msg)
        weights, outputs = self.loss.class_weights, max(2, self.unet.out_channels)
        if weights is not None and len(weights) != outputs:
            msg = f"loss.class_weights must have {outputs} values, background's first (got {len(weights)})"
            raise ValueError(msg)
        if self.input.channels != 3 and (self.augment.paint or self.augment.stain != StainJitter()):
            msg = "augment.paint and augment.stain are for RGB images: input.channels must be 3"
            raise ValueError(msg)
        if self.augment.paint and self.weight_map is not None:
            msg = "weight_map does not know the copies of objects that augment.paint adds: use one of the two"
            raise ValueError(msg)
        if self.schedule.name == "plateau" and self.schedule.warmup:
            msg = "schedule.warmup does not go with plateau"
            raise ValueError(msg)

    @property
    def labelled_classes(self) -> tuple[str, ...]:
        """Names of the classes that labels hold; the last class of all may be one that is made from instances."""
        names = tuple(one.name for one in self.classes)
        return names[:-1] if self.target.adds_class else names

    @property
    def model_classes(self) -> tuple[ModelClass, ...]:
        """All classes, background first."""
        named = enumerate(self.classes, 1)
        return (BACKGROUND, *(ModelClass(i, one.name, one.color or PALETTE[(i - 1) % len(PALETTE)]) for i, one in named))

    @property
    def unet(self) -> UNetConfig:
        """The network's constructor arguments: one class is one sigmoid channel when the loss is binary, else softmax."""
        fields = self.network.model_dump(exclude={"form", "start"})
        outputs = 1 if self.loss.bce else len(self.classes) + 1
        return UNetConfig(in_channels=self.input.channels, out_channels=outputs, **fields)

    @property
    def model_objects(self) -> ObjectRules:
        """How objects are best made of the model's class maps."""
        return ObjectRules(**self.objects.model_dump())

    def model_input(self, mean: tuple[float, ...], std: tuple[float, ...]) -> ModelInput:
        """Return what the model wants to see."""
        return ModelInput(self.input.channels, self.data.mpp, mean, std)

    def to_yaml(self) -> str:
        """Return the recipe with everything filled in, as a run's folder keeps it."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """Reads YAML and refuses a key that stands twice in the same place, of which YAML would keep the last.

    It looks before ``<<`` is resolved, which may repeat keys.
    """

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line, identity = key.start_mark.line + 1, (key.tag, key.value)
                if identity in lines:
                    what = f"the recipe {key.start_mark.name}: the key {key.value} stands twice"
                    raise ConfigError(explain(what, got=f"lines {lines[identity]} and {line}", try_="putting both together"))
                lines[identity] = line
        return node


def load_config(path: str | os.PathLike[str], overrides: tuple[str, ...] = ()) -> TrainConfig:
    """Read a recipe; ``overrides`` are of the form ``key.path=value``, the value written as in YAML.

    Raises:
        ConfigError: if it can't be read, a key is unknown or stands twice, or a value can't be used.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            values = _Loader(file).get_single_data()
    except FileNotFoundError as error:
        raise ConfigError(explain("no such recipe", got=path, want="a YAML file")) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(explain(f"the recipe {path} can't be read", got=error)) from error
    if not isinstance(values, dict):
        raise ConfigError(explain(f"the recipe {path} can't be read", got=type(values).__name__, want="key: value"))
    for override in overrides:
        _set(values, override)
    return parse_config(values, os.fspath(path))


def parse_config(values: dict[str, Any], source: str) -> TrainConfig:
    """Check a recipe's values; relative paths are of the current folder.

    Raises:
        ConfigError: if a key is unknown or a value can't be used; it names the first.
    """
    try:
        recipe = TrainConfig.model_validate(_expand(values))
    except ValidationError as error:
        raise ConfigError(_told(source, error.errors(include_url=False)[0])) from error
    sources = [_from_the_root(one) for one in recipe.data.sources]
    start = recipe.network.start
    begun = start if start is None or start in bundled_models() else absolute(start)
    network = recipe.network.model_copy(update={"start": begun})
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"sources": sources}), "network": network})


def _told(source: str, fault: ErrorDetails) -> str:
    """Return in one line, in the words of a recipe, what pydantic found."""
    place = ".".join(str(part) for part in fault["loc"]) or "the recipe"
    message, facts = str(fault["msg"]), fault.get("ctx", {})
    match fault["type"]:
        case "value_error":
            return explain(f"{source}: {place}: {message.removeprefix('Value error, ')}")
        case "extra_forbidden":
            known = list(_fields_beside(fault["loc"]))
            near = get_close_matches(str(fault["loc"][-1]), known, 1)
            full = ".".join(str(part) for part in (*fault["loc"][:-1], *near))
            want, try_ = (None, full) if near else (", ".join(known), None)
            return explain(f"{source}: {place}: no such key", want=want, try_=try_)
        case "missing":
            wanted = [name for name, field in _fields_beside(fault["loc"]).items() if field.is_required()]
            return explain(f"{source}: {place} is missing", want=" and ".join(wanted) or None)
        case "too_short" | "too_long":
            want = f"at most {facts['max_length']}" if "max_length" in facts else f"at least {facts['min_length']}"
            return explain(f"{source}: {place}: the wrong number of entries", got=facts["actual_length"], want=want)
        case "model_type":
            message = "Input should be keys with their values"
    want = re.sub("^(be|have|match) |, unable to parse.*", "", message.partition(" should ")[2]) or message
    return explain(f"{source}: {place}: this can't be used", got=_short(fault["input"]), want=want)


def _fields_beside(place: tuple[int | str, ...]) -> dict[str, FieldInfo]:
    """Return the keys that a recipe may have where ``place`` is one of them."""
    fields = TrainConfig.model_fields
    for part in place[:-1]:
        if part in fields:
            fields = _settings_in(fields[str(part)].annotation)
    return fields


def _settings_in(annotation: Any) -> dict[str, FieldInfo]:
    """Return the fields of the part of a recipe that a type stands for, such as a list of it."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation.model_fields
    return next((found for one in get_args(annotation) if (found := _settings_in(one))), {})


def _from_the_root(source: SourceConfig) -> SourceConfig:
    """Return the source with whole paths: a worker on another node, or tomorrow's command, means the same files."""
    paths = {name: getattr(source, name) for name in ("images", "labels", "index")}
    return source.model_copy(update={name: absolute(path) for name, path in paths.items() if path is not None})


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _set(values: dict[str, Any], override: str) -> None:
    """Put one ``key.path=value`` in; parts of the path that are numbers are places in a list."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise ConfigError(explain("the setting can't be read", got=override, want="key.path=value"))
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(explain("the setting's value can't be read", got=override, want="YAML")) from error
    here: Any = values
    *parents, last = path.split(".")
    for part in parents:
        key = _key(here, part, override)
        here = here[key] if isinstance(here, list) else here.setdefault(key, {})
    here[_key(here, last, override)] = value


def _key(here: Any, part: str, override: str) -> Any:
    """Return ``part`` of a setting's path as the key of a dictionary, or the place in a list."""
    if isinstance(here, dict):
        return part
    if not isinstance(here, list):
        raise ConfigError(explain(f"the setting does not fit the recipe, where {_short(here)} has no keys", got=override))
    if not (part.isdecimal() and int(part) < len(here)):
        want = f"0 to {len(here) - 1} in place of {part}" if here else "a list with entries"
        raise ConfigError(explain("the setting names an entry that is not in the list", got=override, want=want))
    return int(part)


def _expand(value: Any) -> Any:
    """Fill in environment variables in every text."""
    if isinstance(value, dict):
        return {key: _expand(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_expand(one) for one in value]
    return VARIABLE.sub(_variable, value) if isinstance(value, str) else value


def _variable(match: re.Match[str]) -> str:
    name, default = match[1], match[2]
    found = os.environ.get(name, default)
    if found is None:
        raise ConfigError(explain(f"the recipe needs the environment variable {name}", try_=f"export {name}=..."))
    return found
