"""The models that come with the package, and where the model lies that a name, a path or a training run means.

Knows no PyTorch; `slideseg.model.load` loads them.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from slideseg.errors import ModelError, explain
from slideseg.storage.place import local_path, near

WEIGHTS = Path(__file__).parent / "weights"
DESCRIPTION = "model.json"
"""The file of a model folder that says what is in it."""
OF_A_RUN = ("best.safetensors", "last.safetensors")
"""What a training run's folder is asked for, the better one first."""
DATA_OF_A_RUN, SETTINGS_OF_A_RUN = "data.json", "config.yaml"
"""What a training writes first into its folder; of an old one there are the settings alone."""
IMPORTABLE = {
    **dict.fromkeys((".pth", ".pt", ".ckpt"), "a PyTorch checkpoint"),
    ".pt2": "a program of PyTorch",
    ".onnx": "an ONNX file",
    ".zip": "a ZIP file, of a bioimage.io package if any",
}
"""What is no model yet, by the end of its name."""
PACKAGED = ("rdf.yaml", "bioimageio.yaml", "model.yaml")
"""What the description of a bioimage.io package is called."""
SAVED = ("config.json", "model.safetensors")
"""The files that ``save_pretrained`` of segmentation_models.pytorch writes."""


def bundled_models() -> dict[str, Path]:
    """Return the model files that come with the package, by name."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"), key=lambda path: path.stem)}


def find_model(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the model file that `load_model` would read; of a model folder its description.

    Raises:
        ModelError: if there is none, or it is a network that is to be imported first.
        ConfigError: if nothing can have such a name.
    """
    bundled = bundled_models()
    name = os.fspath(name_or_path)
    path = Path(local_path(name))
    if name in bundled:
        return bundled[name]
    if path.is_dir():
        return path / DESCRIPTION if (path / DESCRIPTION).is_file() else _of_run(path)
    if (kind := IMPORTABLE.get(path.suffix.lower())) is not None:
        wanted = "a .safetensors model file, or a model folder"
        raise ModelError(explain(f"{path} is {kind}", want=wanted, try_=f"slideseg model import {path}"))
    if not path.is_file():
        names = ", ".join(bundled) or "none"
        alike = next(iter(get_close_matches(str(name), bundled, 1)), None) or near(path)
        try_ = alike or "slideseg model list"
        raise ModelError(explain("no such model", got=name, want=f"a path or a bundled name: {names}", try_=try_))
    return path


def is_run(folder: Path) -> bool:
    """Tell whether a folder is that of a training run, which may not have a model yet."""
    has_more = model_of_run(folder) is not None or (folder / DATA_OF_A_RUN).is_file()
    return has_more and (folder / SETTINGS_OF_A_RUN).is_file()


def model_of_run(folder: Path) -> Path | None:
    """Return the model file of a training run's folder that is used; None where there is none."""
    return next((folder / name for name in OF_A_RUN if (folder / name).is_file()), None)


def _of_run(folder: Path) -> Path:
    model = model_of_run(folder)
    if model is not None:
        return model
    if any((folder / name).is_file() for name in (*PACKAGED, *SAVED)):
        what, want = f"{folder} is a network of another program", "a model folder"
        raise ModelError(explain(what, want=want, try_=f"slideseg model import {folder}"))
    raise ModelError(explain(f"no model in {folder}", want=" or ".join(OF_A_RUN), try_="the folder of a finished training run"))
