"""The parts of a recipe that say what the model is: ``about``, ``classes``, ``input`` and ``network``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from slideseg.colors import COLOR
from slideseg.model.config import Init  # pydantic reads it, and the next
from slideseg.model.made_for import MadeFor
from slideseg.training.recipe.settings import Settings


class AboutConfig(Settings):
    """What the model file says about its training, and what it is made for."""

    data: str = ""
    """What it was trained on."""
    licence: str = ""
    """The data's licence."""
    attribution: str = ""
    """Whom the licence asks to be named, and how."""
    note: str = ""
    """Anything else."""
    made_for: MadeFor | None = None
    """What the model is made for; ``predict`` warns of slides that look unlike it."""


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
    """The U-Net, see `slideseg.model.config.UNetConfig`; or with `library` a network of another library's."""

    library: Literal["smp", "monai"] | None = None
    """Whose network learns: segmentation_models.pytorch's, MONAI's, or the U-Net of slideseg's own if left out."""
    architecture: str | None = Field(None, pattern=r"^[A-Za-z]\w*$")
    """Its class, such as ``Unet``, ``FPN`` or ``BasicUNet``."""
    encoder: str | None = None
    """Of segmentation_models.pytorch: the encoder, such as ``resnet34``; its weights are drawn, or those of `start`."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """More arguments of the class. Channels and classes are the recipe's."""

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
    around the patch: less to compute, and wrong near its edge. Networks of other libraries see far, and learn so as a rule."""

    @model_validator(mode="after")
    def _fits(self) -> NetworkConfig:
        own = ("base_channels", "depth", "upsampling", "batch_norm", "dropout", "init")
        fields = type(self).model_fields
        said = [name for name, field in fields.items() if getattr(self, name) != field.get_default(call_default_factory=True)]
        wrong = [name for name in said if name in (own if self.library else ("architecture", "encoder", "arguments"))]
        if wrong:
            msg = f"{wrong[0]} is of {'the U-Net, which library leaves out' if self.library else 'a network with a library'}"
            raise ValueError(msg)
        if self.library and not self.architecture:
            msg = "a library's network needs its architecture, such as Unet"
            raise ValueError(msg)
        if self.encoder and self.library != "smp":
            msg = "encoder is for segmentation_models.pytorch (library: smp)"
            raise ValueError(msg)
        return self
