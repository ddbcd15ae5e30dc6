"""Models that are given as they are in Python, as options know them: `slideseg.Model` is one. Knows no PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from slideseg.model.info import ModelInfo


class GivenModel:
    """A model that lies in no file."""

    IN_WORDS: ClassVar[str] = "a slideseg.Model"
    """What people call it."""
    info: ModelInfo
    """What there is to say of it."""
    sha256: str
    """Hash of what decides its results."""
