"""Load a model by name, file or training run: `slideseg.load_model`.

What only asks about models finds them with `slideseg.model.bundled` and reads `slideseg.model.info`, without PyTorch.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from slideseg.model.bundled import INEXACT, find_model
from slideseg.model.file import load_model_file

if TYPE_CHECKING:
    import os

    from slideseg.model.file import LoadedModel

log = logging.getLogger(__name__)


def load_model(name_or_path: str | os.PathLike[str]) -> LoadedModel:
    """Load a model: a bundled model's name, a ``.safetensors`` file, or the folder of a training run.

    A bundled name wins over a folder of the same name; write ``./nuclei`` to mean the folder.

    Raises:
        ModelError: if there is no such model, or its file can't be used.
    """
    model = load_model_file(find_model(name_or_path))
    if not model.info.config.exact:
        log.warning(INEXACT, model.info.name)
    return model
