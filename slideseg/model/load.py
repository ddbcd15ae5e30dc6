"""Load a model by name, file or training run: `slideseg.load_model`.

What only asks about models finds them with `slideseg.model.bundled` and reads `slideseg.model.info`, without PyTorch.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from slideseg.errors import ModelError, explain
from slideseg.model.bundled import find_model
from slideseg.model.file import LoadedModel, load_model_file
from slideseg.model.info import inexact
from slideseg.model.together.model import check_ranges, together, use_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.together.use import Tta

    Given = str | os.PathLike[str] | LoadedModel

log = logging.getLogger(__name__)


def load_model(
    name_or_path: Given | Sequence[Given],
    *,
    tta: Tta | None = None,
    smooth: float | None = None,
) -> LoadedModel:
    """Load a model: a bundled model's name, a ``.safetensors`` file, a model folder, or the folder of a training run.

    A model that is loaded already, or a `slideseg.Model`, is taken as it is. A bundled name wins over a folder of the same
    name; write ``./nuclei`` to mean the folder.

    Args:
        name_or_path: the model; of several the mean probabilities count.
        tta: test-time augmentation, ``flips``, ``d4`` or ``scales``: the mean over several views of the image; None for what
            the model itself says, which is ``none`` as a rule.
        smooth: deviation in pixels of a Gaussian that smooths the probabilities; None for what the model itself says.

    Raises:
        ModelError: if there is no such model, its file can't be used, it is no model, or several don't fit together.
        ConfigError: if there is no such augmentation or smoothing.
    """
    several = name_or_path if isinstance(name_or_path, list | tuple) else [name_or_path]
    models = [_loaded(one) for one in several]
    check_ranges([one.info for one in models])
    model = together(models, use_of([one.info for one in models], tta, smooth))
    if not model.info.network.exact:
        log.warning("%s", inexact(model.info))
    return model


def _loaded(given: object) -> LoadedModel:
    """Return a model that is loaded, or found by its name or path."""
    if isinstance(given, LoadedModel):
        return given
    if isinstance(given, str | os.PathLike):
        return load_model_file(find_model(given))
    want, try_ = "a name, a path or a model", "slideseg.Model(module, classes=...)"
    raise ModelError(explain("that is no model", got=type(given).__name__, want=want, try_=try_))
