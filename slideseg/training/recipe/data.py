"""The ``data`` part of a recipe: which images and labels, at what resolution, how split, how windows are drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from slideseg.errors import DataError, explain
from slideseg.training.recipe.settings import Settings

Meaning = Literal["instances", "classes", "mask"]
"""What a label image's values are: instance ids, class ids, or a mask (anything above 0 is class 1)."""


def _held(value: int) -> int:
    if value >= 2**63:
        msg = "values of label images are below 2^63"
        raise ValueError(msg)
    return value


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if not limits[0] < limits[1]:
        msg = "range is the value of black, and a higher one of white"
        raise ValueError(msg)
    return limits


BlackAndWhite = Annotated[tuple[FiniteFloat, FiniteFloat], AfterValidator(_rising)]
"""The values of black and of white."""
LabelValue = Annotated[int, Field(ge=0), AfterValidator(_held)]
"""A value of a label image."""
ClassId = int | Literal["ignore"]
"""What a value of a label image stands for: a class, or pixels that teach nothing."""
IGNORED = 255
"""Class id of a pixel that teaches nothing: it is in no loss and no score, and part of no instance."""


@dataclass(frozen=True, slots=True)
class MadeClass:
    """The last class of a recipe, where its ``target`` makes it of instances: labels can't hold it."""

    id: int
    name: str
    by: str
    """What makes it, as a key of the recipe."""

    def is_meant(self, said: str | int) -> bool:
        """Tell whether labels mean it by a name or an id."""
        return said == self.id or str(said).casefold() == self.name.casefold()

    def refused(self, where: str, got: str | int) -> DataError:
        """Return the error of labels that mean it: somebody took it for a class of objects."""
        what, try_ = f"{where}: {self.by} makes the last class, {self.name}, the border", "to add a class border to classes"
        return DataError(explain(what, got=f"{got:.40}" if isinstance(got, str) else got, try_=try_))


class KindColumn(Settings):
    """Says that the kind of an image stands in a column of the CSV."""

    column: str
    """Name of the column."""


class SplitConfig(Settings):
    """Which images judge the result: ``fraction`` (and ``seed``), or lists, or ``column`` with the values it holds."""

    fraction: float | None = Field(None, gt=0, lt=1)
    """Share of the images that is kept for validation."""
    seed: int = 0
    """With ``fraction``: another seed keeps other images."""
    column: str | None = None
    """Column of the CSV ``index`` that says where an image belongs."""
    train: str | list[int | str] | None = None
    """File stems, or planes of a stack (from 0), to train on, or with ``column`` its value(s); all others if left out."""
    validation: str | list[int | str] | None = None
    """The same for validation."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        lists = [part for part in (self.train, self.validation) if part is not None]
        if self.fraction is not None and (lists or self.column is not None):
            msg = "either fraction, or train and validation"
            raise ValueError(msg)
        if self.fraction is None and not lists:
            msg = "fraction is missing, or train and validation"
            raise ValueError(msg)
        if self.column is None and any(isinstance(part, str) for part in lists):
            msg = "train and validation are lists of images or planes, or with column the column's values"
            raise ValueError(msg)
        return self


class SourceConfig(Settings):
    """One entry of ``data.sources``: images and their labels."""

    images: str
    """A TIFF, stack (each plane is an image), zarr, OME-Zarr or whole slide, or a folder of them."""
    labels: str | None = None
    """The same form as ``images``, matched by file stem in folders; also GeoJSON. Left out: the labels in the OME-Zarr; of a
    result of ``predict`` the objects with ``labels_are: instances``, else the class map."""
    labels_are: Meaning | None = None
    """``instances`` (0 is none), ``classes`` (class ids) or ``mask`` (above 0 is class 1); GeoJSON says by itself."""
    values: dict[LabelValue, ClassId] | None = Field(None, min_length=1)
    """With ``classes``: what the values in the files stand for, value to class id; others are refused. Pixels whose value
    stands for ``ignore`` teach nothing. With ``instances``: ids that stand for ``ignore``; all others are instances."""
    instance_classes: str | None = None
    """With ``instances``: a CSV with the columns ``label`` and ``class``, or a folder of such matched by file stem. They list
    the class of every instance by name or id, ``background`` too; ``ignore`` or nothing stands for one that teaches nothing.
    Or the corrections that ``slideseg view --edit`` writes beside a result, ``x.edits.json``, with its objects as ``labels``.
    Left out: all are of class 1."""
    unannotated: Literal["background", "ignore"] = "background"
    """With GeoJSON: pixels that no polygon covers are background, or teach nothing: then polygons named ``background`` say
    where it is. Pixels of polygons whose name starts with ``ignore`` teach nothing in either case."""
    frame: Literal["bounds", "slide"] | None = None
    """With GeoJSON: whether coordinates count from the scanned part of the slide, as in QuPath, or from the whole slide, where
    the slide's file names that part. Left out: as the GeoJSON of ``slideseg export`` says, else ``bounds``."""
    index: str | None = None
    """A CSV with one row an image: its file stem in the column ``id``."""
    kind: str | KindColumn = "image"
    """What kind of images these are, or the column of the CSV that says so."""
    split: SplitConfig | Literal["train", "validation"] | None = None
    """Which of these images judge the result; all are learnt from with ``train``, none with ``validation``. Left out: as
    ``data.split`` says, of all sources that leave it out."""
    mpp: float | None = Field(None, gt=0)
    """Microns per pixel of images that do not say theirs."""
    range: BlackAndWhite | Literal["auto"] | None = None
    """Values of black and white, such as ``[0, 4095]`` of 12 bits in 16; ``auto``: percentiles of each image. Left
    out: those of the pixels' type (in 16 bits 65535 is white, in floats 1). ``predict --range`` says it of slides."""
    object_diameter: float | None = Field(None, gt=0)
    """Images without microns per pixel are resampled so that their median instance is so many pixels across."""

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.values is not None and self.labels_are not in ("classes", "instances"):
            msg = "values go with labels_are: classes or instances"
            raise ValueError(msg)
        if self.labels_are == "instances" and set((self.values or {}).values()) - {"ignore"}:
            msg = "values of instances stand for ignore, as in {65535: ignore}: all other ids are instances"
            raise ValueError(msg)
        if self.instance_classes is not None and self.labels_are != "instances":
            msg = "instance_classes go with labels_are: instances"
            raise ValueError(msg)
        if self.unannotated == "ignore" and self.labels_are is not None:
            msg = "unannotated: ignore goes with polygons; label images say it with labels_are: classes, values: {0: ignore}"
            raise ValueError(msg)
        if self.frame is not None and self.labels_are is not None:
            msg = "frame goes with polygons; label images have the pixels of their image"
            raise ValueError(msg)
        if self.mpp is not None and self.object_diameter is not None:
            msg = "either mpp or object_diameter"
            raise ValueError(msg)
        if isinstance(self.kind, KindColumn) and self.index is None:
            msg = "kind: {column} goes with index"
            raise ValueError(msg)
        return self


class SamplingConfig(Settings):
    """The ``sampling`` part of ``data``: how training windows are drawn."""

    how: Literal["random", "whole"] = "random"
    """``random``: windows anywhere; ``whole``: every image once an epoch, the window around its centre, in shuffled order; the
    first ones twice where the last batch has room for them."""
    foreground: float = Field(0.5, ge=0, le=1)
    """``random``: share of windows around a labelled pixel, equally often of each class; the others lie anywhere, but around
    pixels that teach something."""
    shares: dict[str, float] | None = None
    """``random``: share of each kind of image, scaled to add up to 1. Left out: images by area, whatever their kind."""


class DataConfig(Settings):
    """The ``data`` part of a recipe: which images, at what resolution, and how windows are drawn from them."""

    sources: list[SourceConfig] = Field(min_length=1)
    """Where images and labels lie."""
    mpp: float | None = Field(None, gt=0)
    """Microns per pixel trained at; left out: level 0 as it is."""
    split: SplitConfig = SplitConfig.model_validate({"fraction": 0.2})
    """Which images judge the result."""
    sampling: SamplingConfig = SamplingConfig.model_validate({})
    """How windows are drawn."""
