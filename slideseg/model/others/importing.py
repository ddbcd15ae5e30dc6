"""From other libraries' networks to model folders: the network is made anew, given its weights, and probed.

The ways in: a folder that segmentation_models.pytorch saved (``save_pretrained``), an ONNX file, a bioimage.io package with
one, and weights with the class that they are of. Nothing that is read can hold code: JSON, safetensors, graphs, and checkpoints
of plain tensors. What is code (programs, pickles, sources) is run only if it is trusted.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from slideseg.errors import ModelError, explain
from slideseg.model.bundled import PACKAGED, SAVED
from slideseg.model.checkpoint import check_total, origin_of, plain, read_checkpoint
from slideseg.model.file import fill, weight_bytes, weights_of
from slideseg.model.others.describe import describe
from slideseg.model.others.folder import ONNX, write_folder
from slideseg.model.others.libraries import LIBRARIES, build, channels_of, is_given, onnx_networks
from slideseg.model.others.trusted import TRUST, is_network, program_in
from slideseg.model.stated import Stated
from slideseg.options import take_options
from slideseg.storage.place import local_path, near

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import TypeGuard

    from torch import Tensor

    from slideseg.model.info import ModelInfo
    from slideseg.model.others.trusted import Program

CLASS = "_model_class"
"""What its JSON calls the class."""
ONNX_SUFFIX = ".onnx"
COUNTER = "num_batches_tracked"
"""A batch norm's counter of steps, which is of no use to anyone."""


def is_saved(path: str | os.PathLike[str]) -> bool:
    """Tell whether it is a folder, as ``save_pretrained`` writes them."""
    return Path(local_path(path)).is_dir()


def is_other(path: str | os.PathLike[str], *, trust: bool = False) -> bool:
    """Tell whether it is of another network than the common U-Net, by what it is called or holds; of pickles if trusted."""
    place = Path(local_path(path))
    told = is_saved(path) or place.suffix == ONNX_SUFFIX or is_package(path) or program_in(place) is not None
    return told or (trust and is_pickle(place) and is_network(place))


def is_pickle(path: Path) -> bool:
    """Tell whether it is a file that PyTorch may have pickled."""
    return path.is_file() and path.suffix != ".safetensors"


def is_package(path: str | os.PathLike[str]) -> bool:
    """Tell whether it is a bioimage.io package, a ZIP file or a folder, by the description in it."""
    place = Path(local_path(path))
    if place.is_dir():
        return any((place / name).is_file() for name in PACKAGED)
    return place.suffix == ".zip"


def import_network(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    network: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    trust: bool = False,
    **stated: Any,
) -> ModelInfo:
    """Write the model folder ``out`` from another library's network and return what it says about itself.

    Args:
        source: a folder that ``save_pretrained`` of segmentation_models.pytorch wrote; an ``.onnx`` file; a bioimage.io
            package; a program of PyTorch (TorchScript, ``.pt2``); or weights, a ``.safetensors`` file or a checkpoint that is,
            or holds, a dictionary of tensors.
        out: the folder to write.
        network: what the weights are of, as library and class: ``monai.BasicUNet``, ``smp.Unet``; of a folder it is known.
        arguments: what the class is made with.
        trust: whether what is code in it may run: programs, pickles, the source in a package.
        **stated: fields of `slideseg.model.stated.Stated`.

    Raises:
        ModelError: if the source can't be read safely, is of another network, or that can't be tiled at all.
        ConfigError: if what is stated can't be like that.
    """
    source, out, said = Path(local_path(source)), Path(local_path(out)), take_options(Stated, stated)
    if source.suffix == ONNX_SUFFIX:
        return import_onnx(source, out, said)
    if is_package(source):
        return import_package(source, out, said, trust=trust)
    if (kind := program_in(source)) is not None or (trust and network is None and is_pickle(source)):
        return import_program(source, kind, out, said, trust=trust)
    if is_saved(source):
        library, made_of, given, weights = _of_folder(source)
    else:
        library, made_of = _named(network)
        given, weights = dict(arguments or {}), source
    given = {key: value for key, value in given.items() if not is_given(library, key)}
    net = build(library, made_of, given)
    fill(net, _fitting(_tensors_of(weights, trust=trust), list(weights_of(net)), weights), weights)
    found = describe(net, channels_of(library, made_of, given), library, made_of, given)
    info = said.info(source, found, origin_of(weights))
    write_folder(out, info, weight_bytes(net))
    return info


def import_onnx(source: Path, out: Path, said: Stated) -> ModelInfo:
    """Write the model folder ``out`` from an ONNX file.

    Raises:
        ModelError: if it is none, or its network can't be used.
    """
    if not source.is_file():
        raise ModelError(explain("no such ONNX file", got=source, try_=near(source)))
    return _of_onnx(source.read_bytes(), source, out, said)


def import_program(source: Path, kind: Program | None, out: Path, said: Stated, *, trust: bool) -> ModelInfo:
    """Write the model folder ``out`` from a program of PyTorch, or a pickled network, which is run.

    Raises:
        ModelError: if it is not trusted, can't be read, or can't be written as a graph.
    """
    if not trust:
        what = f"{source} is a program, and reading one runs what is in it"
        raise ModelError(explain(what, got=kind, try_=f"{TRUST}, or exporting it as ONNX"))
    channels = None if said.mean is None else len(said.mean)
    return _of_onnx(onnx_networks().graph_of_program(source, kind, channels), source, out, said)


def import_package(source: Path, out: Path, said: Stated, *, trust: bool = False) -> ModelInfo:
    """Write the model folder ``out`` from a bioimage.io package, once its own test gives what it says.

    What is stated wins over what the package says.

    Raises:
        ModelError: if all its weights are code and it is not trusted, it fails its test, or it takes what it normalises by from
            each image, which tiles can't.
    """
    package = onnx_networks().read_package(source, trust=trust)
    if package.own and said.mean is None:
        what = f"{source} normalises by each image's own values, which differ from tile to tile"
        raise ModelError(explain(what, got=package.own, try_="--mean and --std of your slides, on the scale where white is 1"))
    names = package.channels if len(package.channels) > 1 else ("background", *package.channels) if package.channels else None
    known = replace(
        said,
        name=package.name if said.name is None else said.name,
        classes=names if said.classes is None else said.classes,
        mpp=package.mpp if said.mpp is None else said.mpp,
        mean=package.mean if said.mean is None else said.mean,
        std=package.std if said.std is None else said.std,
    )
    return _of_onnx(package.data, source, out, known, package.licence)


def _of_onnx(file: bytes, source: Path, out: Path, said: Stated, licence: str | None = None) -> ModelInfo:
    data, found = onnx_networks().describe_file(file, str(source))
    origin = (origin_of(source) if source.is_file() else {}) | ({"licence": licence} if licence else {})
    info = said.info(source, found, origin)
    write_folder(out, info, data, ONNX)
    return info


def _named(network: str | None) -> tuple[str, str]:
    library, _, made_of = (network or "").partition(".")
    if library not in LIBRARIES or not made_of.isidentifier():
        want = " or ".join(f"{known}.CLASS" for known in LIBRARIES)
        raise ModelError(explain("it is not said what network the weights are of", got=network, want=f"--network {want}"))
    return library, made_of


def _of_folder(folder: Path) -> tuple[str, str, dict[str, Any], Path]:
    """Return library, class, arguments and the weights' file of a folder that ``save_pretrained`` wrote."""
    config, weights = (folder / name for name in SAVED)
    if missing := [path.name for path in (config, weights) if not path.is_file()]:
        what = f"{folder} is no folder that save_pretrained wrote"
        raise ModelError(explain(what, got=f"no {missing[0]}", want=" and ".join(SAVED)))
    try:
        said = json.loads(config.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(explain(f"{config} can't be read", got=error, want="JSON")) from error
    if not isinstance(said, dict) or not isinstance(said.get(CLASS), str):
        want = f"a {CLASS}, as segmentation_models.pytorch writes it"
        raise ModelError(explain(f"{config} does not say what network it is", want=want))
    return "smp", said[CLASS], {key: value for key, value in said.items() if not key.startswith("_")}, weights


def _tensors_of(path: Path, *, trust: bool) -> dict[str, Tensor]:
    """Return the tensors of a file, by name."""
    if path.suffix != ".safetensors":
        found = _state_of(read_checkpoint(path, trust=trust), path)
        check_total(found, path)
        return {name: _as_it_is(name, tensor, path) for name, tensor in found.items()}
    if not path.is_file():
        raise ModelError(explain("no such file of weights", got=path, try_=near(path)))
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, KeyError, MemoryError) as error:
        raise ModelError(explain(f"{path} can't be read", got=error, want=".safetensors")) from error


def _as_it_is(name: str, tensor: Tensor, path: Path) -> Tensor:
    whole = tensor.layout == torch.strided and not tensor.is_floating_point() and not tensor.is_complex()
    return tensor.clone() if whole and not tensor.is_quantized else plain(name, tensor, path)


def _state_of(found: dict[Any, Any], path: Path) -> dict[str, Tensor]:
    """Return the first dictionary of tensors: the checkpoint itself, or an entry of it."""
    for candidate in (found, *(value for value in found.values() if isinstance(value, dict))):
        if _is_state(candidate):
            return candidate
    names = sorted(str(key) for key in found)[:4]
    raise ModelError(explain(f"{path} holds no weights", got=f"entries {names}", want="a dictionary of tensors"))


def _is_state(found: dict[Any, Any]) -> TypeGuard[dict[str, Tensor]]:
    both = [isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in found.items()]
    return bool(both) and all(both)


def _fitting(tensors: dict[str, Tensor], wanted: list[str], path: Path) -> bytes:
    """Return the tensors as a file of the network's own: without what wrappers put before their names, and counters."""
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(COUNTER)}
    first = wanted[0]
    prefixes = [name.removesuffix(first) for name in tensors if name.endswith(first)]
    prefix = next((prefix for prefix in prefixes if all(name.startswith(prefix) for name in tensors)), "")
    if not tensors:
        raise ModelError(explain(f"{path} holds no weights", want="a dictionary of tensors"))
    return bytes(save({name.removeprefix(prefix): tensor.contiguous() for name, tensor in tensors.items()}))
