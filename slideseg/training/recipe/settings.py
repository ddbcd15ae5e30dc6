"""The base of every part of a training configuration: plain values, unknown keys are errors, nothing changes later."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A part of a training configuration, as it stands in the YAML file; each part lives beside the code that it is for."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
