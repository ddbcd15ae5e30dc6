"""A model as a file of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from slideseg.errors import ConfigError, explain
from slideseg.model.bundled import find_model
from slideseg.model.file import read_network
from slideseg.model.others.libraries import onnx_networks
from slideseg.storage.place import local_path
from slideseg.storage.whole_file import whole

if TYPE_CHECKING:
    import os

Form = Literal["onnx", "bioimageio"]
"""An ONNX file, or a bioimage.io package with one."""


def export_model(
    name_or_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    to: Form,
    *,
    licence: str | None = None,
    author: str | None = None,
) -> None:
    """Write a model for other programs: its network alone, from pixels where white is 1, without views and smoothing.

    Args:
        name_or_path: a bundled model's name, a model file or folder, or a training run's folder.
        out: the ``.onnx`` or ``.zip`` file to write.
        to: what it becomes.
        licence: of a package, the licence of the weights as SPDX calls it; None for what the model says.
        author: of a package, who made it; None for what the model says.

    Raises:
        ModelError: if there is no such model, it can't be written as ONNX, or its licence is not known.
        ConfigError: if there is no such form.
        RunError: if the file can't be written.
    """
    if to not in get_args(Form):
        raise ConfigError(explain("a model becomes no such file", got=to, want=" or ".join(get_args(Form))))
    net, info = read_network(find_model(name_or_path))
    making = onnx_networks()
    data = making.to_onnx(net, info)
    packed = data if to == "onnx" else making.to_package(data, info, licence, author)
    with whole(Path(local_path(out))) as partial:
        partial.write_bytes(packed)
