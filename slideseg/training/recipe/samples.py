"""The parts of a recipe that make samples of windows: ``augment``, ``target`` and ``weight_map``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from slideseg.training.recipe.settings import Settings, Strength

Choosable = Literal["motion_blur", "optical_distortion", "noise", "contrast", "brightness", "blur"]
"""Changes with one strength each; of those put into a choice at most one acts."""
Interpolation = Literal["bilinear", "bicubic"]


def _is_range(value: tuple[float, float]) -> tuple[float, float]:
    if not 0 < value[0] <= value[1]:
        msg = f"want [lowest, highest] factor with 0 < lowest <= highest, got {list(value)}"
        raise ValueError(msg)
    return value


Factor = Annotated[tuple[float, float], AfterValidator(_is_range)]
"""The lowest and the highest factor; drawn between them so that its logarithm is uniform."""
Share = Annotated[float, Field(ge=0, le=1)]


class Elastic(Settings):
    """Elastic deformation as in the U-Net paper, section 3.1: drawn vectors at a few points, bicubic in between."""

    sigma: Strength = 0.0
    """Standard deviation of the displacement vectors, in px; the paper's is 10."""
    grid: Annotated[int, Field(ge=1)] = 3
    """Points a side, spread evenly over the window; the paper's are 3 x 3."""


class StainJitter(Settings):
    """Other amounts of the stains of an H&E image; they are told apart as in Ruifrok & Johnston 2001."""

    amount: Strength = 0.0
    """Haematoxylin, eosin and what is left are each multiplied by 1 - amount to 1 + amount."""
    shift: Strength = 0.0
    """Optical density added to each, at most, up or down."""


class Choice(Settings):
    """Changes of which at most one acts on a sample."""

    probability: Share = 0.0
    """Share of samples on which one of them acts."""
    members: tuple[Choosable, ...] = ()
    """Their names; their strengths stand where they always stand."""


class AugmentConfig(Settings):
    """The ``augment:`` part of a recipe; everything is off unless it says more."""

    elastic: Elastic = Elastic()
    """Elastic deformation."""
    shift: Strength = 0.0
    """Move by at most as many px, along y and x."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Turn by at most as many degrees, either way."""
    scale: Factor = (1.0, 1.0)
    """Magnify by a factor between these."""
    stretch: Factor = (1.0, 1.0)
    """Magnify y and x by a factor each between these."""
    optical_distortion: Annotated[float, Field(ge=0, lt=0.3)] = 0.0
    """Bend as a lens does: in the middle of an edge a pixel moves by at most this share of its distance to the centre."""
    interpolation: Interpolation = "bilinear"
    """How moved images are interpolated; bicubic keeps them (and their noise) sharper."""
    flip: bool = False
    """Mirror half of the samples left to right, without resampling."""
    turn: bool = False
    """Turn by 0, 90, 180 or 270 degrees, without resampling; with ``flip`` all eight ways to lay down a window."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Multiply differences to the sample's mean by 1 - contrast to 1 + contrast."""
    brightness: Strength = 0.0
    """Add at most as much, up or down (white is 1)."""
    gamma: Factor = (1.0, 1.0)
    """Raise to a power between these."""
    blur: Strength = 0.0
    """Gaussian blur with a standard deviation of 0 to as many px."""
    motion_blur: Strength = 0.0
    """Blur along a line of 0 to as many px, in any direction."""
    noise: Strength = 0.0
    """Gaussian noise with a standard deviation of 0 to this (white is 1)."""
    stain: StainJitter = StainJitter()
    """Stain jitter, for H&E (RGB) only."""
    paint: Share = 0.0
    """Share of samples painted as H&E from the outlines of their instances (RGB only); see `stain`."""
    one_of: Choice = Choice()
    """At most one of these acts."""

    @property
    def resamples(self) -> bool:
        """Whether pixels move by parts of a pixel."""
        strengths = (self.elastic.sigma, self.shift, self.rotate, self.optical_distortion)
        return any(strengths) or self.scale != (1.0, 1.0) or self.stretch != (1.0, 1.0)


class TargetConfig(Settings):
    """The ``target`` part of a recipe: plain classes, unless one of these is above 0."""

    border: Annotated[int, Field(ge=0)] = 0
    """Pixels of an instance that are at most this many steps (to one of four neighbours) from what is not it become a class."""
    touching: Annotated[int, Field(ge=0)] = 0
    """Pixels within this many px (along y and x) of two instances or more become a class."""
    rim: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """An instance's pixels become a class if they lie at most this share as deep inside it as its deepest one: what is left are
    cores, which keep a distance from each other however small the instances are."""

    @model_validator(mode="after")
    def _one_way(self) -> TargetConfig:
        if (self.border > 0) + (self.touching > 0) + (self.rim > 0) > 1:
            msg = "border, touching and rim are three ways to make the same class: set one of them"
            raise ValueError(msg)
        return self

    @property
    def way(self) -> str | None:
        """Name of the one that is set; None of plain classes."""
        return next((name for name in ("border", "touching", "rim") if getattr(self, name)), None)

    @property
    def adds_class(self) -> bool:
        """Whether there is one class more than in the labels."""
        return self.way is not None


class WeightMapConfig(Settings):
    """The ``weight_map:`` part of a recipe."""

    w0: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """Weight added where two instances touch."""
    sigma: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    """How fast it falls with the width of the gap, in px."""
    balance: bool = True
    """Whether background and instances weigh the same in sum (wc); otherwise wc is 1."""
