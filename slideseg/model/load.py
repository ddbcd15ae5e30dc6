"""Load a model by name, file or training run: `slideseg.load_model`.

What only asks about models finds them with `slideseg.model.bundled` and reads `slideseg.model.info`, without PyTorch.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from slideseg.model.bundled import find_model
from slideseg.model.file import load_model_file
from slideseg.model.info import inexact
from slideseg.model.together.model import together, use_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.file import LoadedModel
    from slideseg.model.together.use import Tta

log = logging.getLogger(__name__)


def load_model(
    name_or_path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    tta: Tta | None = None,
    smooth: float | None = None,
) -> LoadedModel:
    """Load a model: a bundled model's name, a ``.safetensors`` file, a model folder, or the folder of a training run.

    A bundled name wins over a folder of the same name; write ``./nuclei`` to mean the folder.

    Args:
        name_or_path: the model; of several the mean probabilities count.
        tta: test-time augmentation, ``flips``, ``d4`` or ``scales``: the mean over several views of the image; None for what
            the model itself says, which is ``none`` as a rule.
        smooth: deviation in pixels of a Gaussian that smooths the probabilities; None for what the model itself says.

    Raises:
        ModelError: if there is no such model, its file can't be used, or several don't fit together.
        ConfigError: if there is no such augmentation or smoothing.
    """
    several = [name_or_path] if isinstance(name_or_path, str | os.PathLike) else name_or_path
    models = [load_model_file(find_model(one)) for one in several]
    model = together(models, use_of([one.info for one in models], tta, smooth))
    if not model.info.network.exact:
        log.warning("%s", inexact(model.info))
    return model
