"""The base of every part of a training configuration: plain values, unknown keys are errors, nothing changes later."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass as read_by_pydantic

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Strength = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""How much of something; 0 is nothing of it."""


class Settings(BaseModel):
    """A part of a training configuration, as it stands in the YAML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def part_in(annotation: Any) -> Any:
    """Return the part of a recipe that a type stands for, itself, in a list or beside None; None where it holds plain values.

    Parts are `Settings`, and dataclasses that others use as well.
    """
    if isinstance(annotation, type) and (issubclass(annotation, Settings) or is_dataclass(annotation)):
        return annotation
    return next((part for inner in get_args(annotation) if (part := part_in(inner)) is not None), None)


def fields_of(part: Any) -> dict[str, FieldInfo]:
    """Return the keys of a part of a recipe."""
    described = part if issubclass(part, Settings) else read_by_pydantic(frozen=True)(part)
    fields: dict[str, FieldInfo] = described.__pydantic_fields__
    return fields
