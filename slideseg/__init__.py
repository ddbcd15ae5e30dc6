"""Distributed batch segmentation for images too large for one pass: exact overlap-tile U-Net inference, into OME-Zarr.

Every public name lives in the room of what it is about. What a command of the same name does is in that room's ``run``, or
is the room where that is a single module; everything else is in the module of the thing or the deed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from slideseg.errors import SlidesegError
from slideseg.space.box import Box
from slideseg.version import __version__

if TYPE_CHECKING:
    from slideseg.cohort.run import summary
    from slideseg.conversion import convert
    from slideseg.evaluation.run import evaluate
    from slideseg.exports.plot import plot
    from slideseg.exports.run import export
    from slideseg.instances.run import objects
    from slideseg.model.load import load_model
    from slideseg.model.others.model import Model
    from slideseg.outlines.run import outline
    from slideseg.prediction.dry_run import plan
    from slideseg.prediction.in_memory import segment
    from slideseg.prediction.run import predict
    from slideseg.result.result import open_result
    from slideseg.slide.open import open_slide
    from slideseg.training.run import train
    from slideseg.verification import verify
    from slideseg.viewer.run import view

__all__ = [
    "Box",
    "Model",
    "SlidesegError",
    "__version__",
    "convert",
    "evaluate",
    "export",
    "load_model",
    "objects",
    "open_result",
    "open_slide",
    "outline",
    "plan",
    "plot",
    "predict",
    "segment",
    "summary",
    "train",
    "verify",
    "view",
]

_HOMES = {
    "Model": "slideseg.model.others.model",
    "convert": "slideseg.conversion",
    "evaluate": "slideseg.evaluation.run",
    "export": "slideseg.exports.run",
    "load_model": "slideseg.model.load",
    "objects": "slideseg.instances.run",
    "open_result": "slideseg.result.result",
    "open_slide": "slideseg.slide.open",
    "outline": "slideseg.outlines.run",
    "plan": "slideseg.prediction.dry_run",
    "plot": "slideseg.exports.plot",
    "predict": "slideseg.prediction.run",
    "segment": "slideseg.prediction.in_memory",
    "summary": "slideseg.cohort.run",
    "train": "slideseg.training.run",
    "verify": "slideseg.verification",
    "view": "slideseg.viewer.run",
}


def __dir__() -> list[str]:
    """List the public names, also those that nothing has used yet."""
    return list(__all__)


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import slideseg`` and ``slideseg --help`` don't wait for PyTorch."""
    if name not in _HOMES:
        msg = f"module 'slideseg' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOMES[name]), name)
