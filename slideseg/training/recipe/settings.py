"""The base of every part of a training configuration: plain values, unknown keys are errors, nothing changes later."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Strength = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""How much of something; 0 is nothing of it."""


class Settings(BaseModel):
    """A part of a training configuration, as it stands in the YAML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
