"""A whole training recipe: its parts, and what must hold between them. It is checked before anything is opened."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import Field, field_validator, model_validator

from slideseg import colors
from slideseg.model.config import UNetConfig
from slideseg.model.info import ModelClass, ModelInput
from slideseg.model.objects import BORDER, ObjectRules
from slideseg.model.others.described import LibraryNetwork
from slideseg.model.together.use import Use
from slideseg.training.recipe.data import IGNORED, DataConfig, MadeClass
from slideseg.training.recipe.learning import LossConfig, OptimiserConfig, ScheduleConfig, TrainingConfig
from slideseg.training.recipe.network import AboutConfig, ClassConfig, InputConfig, NetworkConfig
from slideseg.training.recipe.samples import AugmentConfig, StainJitter, TargetConfig, WeightMapConfig
from slideseg.training.recipe.settings import Settings

BACKGROUND = ModelClass(0, "background", colors.BACKGROUND)


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
    objects: ObjectRules = Field(default_factory=ObjectRules)
    """How objects are best made of the model's class maps; it is written into the model."""

    use: Use = Field(default_factory=Use)
    """How the network is used in prediction, unless its user says otherwise; it is written into the model."""

    @field_validator("classes", mode="before")
    @classmethod
    def _by_name(cls, classes: Any) -> Any:
        """Take plain names for classes."""
        if not isinstance(classes, list):
            return classes
        return [{"name": named} if isinstance(named, str) else named for named in classes]

    @model_validator(mode="after")
    def _fits(self) -> TrainConfig:
        stride = 1 << self.network.depth
        if self.network.library is None and self.training.patch % stride:
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
        names = [BACKGROUND.name, *(named.name.lower() for named in self.classes)]
        if len(set(names)) < len(names):
            msg = f"every class needs a name of its own, and {BACKGROUND.name} is taken (got {', '.join(names[1:])})"
            raise ValueError(msg)
        weights, outputs = self.loss.class_weights, max(2, self.outputs)
        if weights is not None and len(weights) != outputs:
            msg = f"loss.class_weights must have {outputs} values, background's first (got {len(weights)})"
            raise ValueError(msg)
        if self.input.channels != 3 and (self.augment.paint or self.augment.stain != StainJitter()):
            msg = "augment.paint and augment.stain are for RGB images: input.channels must be 3"
            raise ValueError(msg)
        if self.augment.paint and self.weight_map is not None:
            msg = "weight_map does not know the copies of objects that augment.paint adds: use one of the two"
            raise ValueError(msg)
        if unknown := self.objects.unknown_classes(1 + len(self.classes)):
            msg = f"objects: there is no class {unknown[0]} (want 1 to {len(self.classes)})"
            raise ValueError(msg)
        if self.schedule.name == "plateau" and self.schedule.warmup:
            msg = "schedule.warmup does not go with plateau"
            raise ValueError(msg)

    @property
    def labelled_classes(self) -> tuple[str, ...]:
        """Names of the classes that labels hold; the last class of all may be one that is made from instances."""
        names = tuple(named.name for named in self.classes)
        return names[:-1] if self.target.adds_class else names

    @property
    def label_classes(self) -> tuple[str, ...]:
        """Names of what labels hold, by class id."""
        return (BACKGROUND.name, *self.labelled_classes)

    @property
    def made_class(self) -> MadeClass | None:
        """The class that is made from instances; None where there is none, or where nobody takes it for one of objects."""
        way, name = self.target.way, self.classes[-1].name
        return None if way is None or name.lower() == BORDER else MadeClass(len(self.classes), name, f"target.{way}")

    @property
    def model_classes(self) -> tuple[ModelClass, ...]:
        """All classes, background first."""
        named, palette = enumerate(self.classes, 1), colors.PALETTE
        return (BACKGROUND, *(ModelClass(i, known.name, known.color or palette[(i - 1) % len(palette)]) for i, known in named))

    @property
    def unet(self) -> UNetConfig:
        """The U-Net's constructor arguments."""
        fields = self.network.model_dump(exclude={"form", "start", "library", "architecture", "encoder", "arguments"})
        return UNetConfig(in_channels=self.input.channels, out_channels=self.outputs, **fields)

    @property
    def library_network(self) -> LibraryNetwork | None:
        """What a library's network is made of; None if the U-Net learns."""
        network = self.network
        if network.library is None or network.architecture is None:
            return None
        arguments = network.arguments | ({} if network.encoder is None else {"encoder_name": network.encoder})
        return LibraryNetwork.of(network.library, network.architecture, arguments, self.input.channels, self.outputs)

    @property
    def outputs(self) -> int:
        """Channels of the logits: one class is one sigmoid channel when the loss is binary, else softmax."""
        return 1 if self.loss.bce else len(self.classes) + 1

    def model_input(self, mean: tuple[float, ...], std: tuple[float, ...]) -> ModelInput:
        """Return what the model wants to see; percentiles of each slide, if all it learnt from are taken so.

        Other values of black and white depend on the type of the pixels, which is another one in other slides.
        """
        measured = all(source.range == "auto" for source in self.data.sources)
        return ModelInput(self.input.channels, self.data.mpp, mean, std, "auto" if measured else None)

    def to_yaml(self) -> str:
        """Return the recipe with everything filled in, as a run's folder keeps it."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
