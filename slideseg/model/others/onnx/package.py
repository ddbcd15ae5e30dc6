"""Read a bioimage.io package: its ONNX network, what it is given, and its own test, which must give what it says.

Of both forms of the description that are about (0.4 and 0.5, https://github.com/bioimage-io/spec-bioimage-io). Weights that are
code, TorchScript or a class with its source, are left where they are unless their user trusts who made them.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch

from slideseg.errors import ModelError, explain, one_line
from slideseg.model.bundled import PACKAGED
from slideseg.model.others.onnx.graph import form_of, read_graph
from slideseg.model.others.onnx.net import OnnxNet
from slideseg.model.others.onnx.trusted import graph_of
from slideseg.model.others.trusted import TRUST, Source, run_program, run_source
from slideseg.model.values import FULL_SCALE
from slideseg.yaml_file import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST = 1 << 32
"""Bytes of a file in a package."""
ORDERS = ("bcyx", "byxc")
OWN_STATISTICS = ("zero_mean_unit_variance", "scale_range", "scale_mean_variance")
"""What is taken of each image by itself."""
TOLERANCE = 1e-3
"""By how much its own test may be missed, as the zoo has it."""
MICRONS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}


@dataclass(frozen=True, slots=True)
class Package:
    """A package, read and tested."""

    data: bytes
    """The ONNX file."""
    name: str
    """What it is called."""
    channels: tuple[str, ...]
    """Names of the channels of its output."""
    mpp: float | None
    """Microns per pixel; None where it does not say."""
    mean: tuple[float, ...] | None
    """Subtracted from each channel on the scale where white is 1; None if it takes each image's own."""
    std: tuple[float, ...] | None
    """What each channel is divided by afterwards."""
    licence: str | None
    """Of its weights, as SPDX calls it; None where it does not say."""
    own: str | None
    """How it normalises by each image's own values; None if it does not."""


def read_package(path: Path, *, trust: bool = False) -> Package:
    """Read a package, and repeat its test.

    Args:
        path: a folder or a ZIP file.
        trust: whether what is code in it may run.

    Raises:
        ModelError: if it has no weights that can be read, is given or gives something else than images, or fails its test.
    """
    description = next(_names_in(path), None)
    if description is None:
        raise ModelError(explain(f"{path} is no bioimage.io package", want=f"a file {PACKAGED[0]} in it"))
    try:
        said = parse_yaml(_file(path, description).decode("utf-8"), f"{path}: {description}")
        return _read(path, said, trust=trust)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, EOFError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(explain(f"the description of {path} is damaged", got=repr(error)[:200])) from error


def _read(path: Path, said: Mapping[str, Any], *, trust: bool) -> Package:
    given, found = said["inputs"], said["outputs"]
    if len(given) != 1:
        raise ModelError(explain(f"{path} takes several inputs", got=len(given), want="one image"))
    order, image = _order(given[0]["axes"], path), _test(path, said, given[0], "test_inputs")
    data = _graph(path, said["weights"], image.shape[order.index("c")], trust=trust)
    graph = read_graph(data, f"the network of {path}")
    channels = form_of(graph, str(path)).channels
    steps = [(step.get("id", step.get("name")), step.get("kwargs") or {}) for step in given[0].get("preprocessing") or ()]
    white = FULL_SCALE.get(image.dtype.name, 1.0)
    own = next((name for name, kwargs in steps if name in OWN_STATISTICS and not _is_fixed(name, kwargs)), None)
    scale, offset = _affine(steps, channels, path)
    _repeat(
        path, said, OnnxNet(data, "NCHW" if order == "bcyx" else "NHWC", "none"), _prepared(image, steps, order, channels, path)
    )
    return Package(
        data=data,
        name=str(said["name"]),
        channels=_channel_names(found[0]["axes"]),
        mpp=_mpp(given[0]["axes"]),
        mean=None if own else tuple((0.0 - offset / (scale * white)).tolist()),
        std=None if own else tuple((1 / (scale * white)).tolist()),
        licence=str(said["license"]) if said.get("license") else None,
        own=own,
    )


def _graph(path: Path, weights: Mapping[str, Any], channels: int, *, trust: bool) -> bytes:
    """Return the network as an ONNX file: its own, or made of what is code.

    Raises:
        ModelError: if there is none, or it is code and not trusted, or can't be written as ONNX.
    """
    what = f"the network of {path}"
    if (entry := weights.get("onnx")) is not None:
        return _named(path, entry)
    if not trust:
        try_ = f"{TRUST}, or exporting them as ONNX"
        raise ModelError(explain(f"{path} has no weights that are no code", got=", ".join(weights), want="onnx", try_=try_))
    if (entry := weights.get("torchscript")) is not None:
        return graph_of(run_program(io.BytesIO(_named(path, entry)), "TorchScript", what), channels, what)
    if (entry := weights.get("pytorch_state_dict")) is not None:
        return graph_of(run_source(_source(path, entry), io.BytesIO(_named(path, entry)), what), channels, what)
    want = "onnx, torchscript or pytorch_state_dict"
    raise ModelError(explain(f"{path} has no weights that can be read", got=", ".join(weights), want=want))


def _source(path: Path, entry: Mapping[str, Any]) -> Source:
    """Return where the class of the weights is, in either form of the description."""
    architecture, arguments = entry["architecture"], entry.get("kwargs") or {}
    if isinstance(architecture, str):
        place, _, name = architecture.rpartition(":" if ":" in architecture else ".")
        architecture = {"callable": name, "kwargs": arguments, "sha256": entry.get("architecture_sha256")}
        architecture |= {"source": place} if place.endswith(".py") else {"import_from": place}
    name, arguments = architecture["callable"], architecture.get("kwargs") or {}
    if (module := architecture.get("import_from")) is not None:
        return Source(name, arguments, module, b"")
    return Source(name, arguments, None, _named(path, architecture))


def _names_in(path: Path) -> Iterator[str]:
    """Yield the names of descriptions in a folder or a ZIP file."""
    if path.is_dir():
        return (name for name in PACKAGED if (path / name).is_file())
    try:
        with ZipFile(path) as archive:
            there = set(archive.namelist())
    except (OSError, BadZipFile):
        there = set()
    return (name for name in PACKAGED if name in there)


def _file(path: Path, name: str) -> bytes:
    """Return a file of a package.

    Raises:
        ModelError: if it is not in it.
    """
    if "://" in name or name.startswith("/") or ".." in Path(name).parts:
        raise ModelError(explain(f"a file of {path} is elsewhere", got=name, want="a file in the package"))
    try:
        if path.is_dir():
            return (path / name).read_bytes()
        with ZipFile(path) as archive:
            if archive.getinfo(name).file_size > LARGEST:
                raise ModelError(
                    explain(
                        f"{name} of {path} is too large", got=archive.getinfo(name).file_size, want=f"at most {LARGEST} bytes"
                    )
                )
            return archive.read(name)
    except (KeyError, FileNotFoundError) as error:
        raise ModelError(explain(f"{path} lacks a file", got=name, want="what its description names")) from error
    except (OSError, BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:  # encrypted, or packed in another way
        what = f"{name} of {path} can't be read"
        raise ModelError(explain(what, got=one_line(str(error)), try_="the package once more")) from error


def _named(path: Path, entry: Any) -> bytes:
    """Return a file that a description names, with its hash if it says one."""
    name, sha256 = (entry, None) if isinstance(entry, str) else (entry["source"], entry.get("sha256"))
    data = _file(path, name)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(explain(f"{name} of {path} is another file than its description says", try_="the package once more"))
    return data


def _test(path: Path, said: Mapping[str, Any], tensor: Mapping[str, Any], old: str) -> np.ndarray:
    """Return a test tensor, where either form of the description has it."""
    entry = tensor["test_tensor"] if "test_tensor" in tensor else said[old][0]
    values: np.ndarray = np.load(io.BytesIO(_named(path, entry)), allow_pickle=False)
    return values


def _order(axes: Any, path: Path) -> str:
    order = (
        axes
        if isinstance(axes, str)
        else "".join({"batch": "b", "channel": "c"}.get(axis["type"], axis.get("id", "x")) for axis in axes)
    )
    if order not in ORDERS:
        raise ModelError(explain(f"{path} takes something else than images", got=f"axes {order}", want=" or ".join(ORDERS)))
    return order


def _channel_names(axes: Any) -> tuple[str, ...]:
    names = [] if isinstance(axes, str) else [axis["channel_names"] for axis in axes if axis["type"] == "channel"]
    return tuple(map(str, names[0])) if names and isinstance(names[0], list) else ()


def _mpp(axes: Any) -> float | None:
    sides = [] if isinstance(axes, str) else [axis for axis in axes if axis["type"] == "space" and axis.get("unit") in MICRONS]
    return float(sides[0].get("scale", 1.0)) * MICRONS[sides[0]["unit"]] if sides else None


def _is_fixed(name: str, kwargs: Mapping[str, Any]) -> bool:
    return name == OWN_STATISTICS[0] and kwargs.get("mode") == "fixed"


def _affine(steps: list[tuple[str, Mapping[str, Any]]], channels: int, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return factor and offset (C) of all that is done to each value by itself.

    Raises:
        ModelError: if something else is done.
    """
    scale, offset = np.ones(channels), np.zeros(channels)
    for name, kwargs in steps:
        if name == "scale_linear":
            gain, more = (
                np.broadcast_to(np.ravel(kwargs.get(key, usual)), channels) for key, usual in (("gain", 1.0), ("offset", 0.0))
            )
            scale, offset = scale * gain, offset * gain + more
        elif name == "fixed_zero_mean_unit_variance" or _is_fixed(name, kwargs):
            mean, deviation = (np.broadcast_to(np.ravel(kwargs[key]), channels) for key in ("mean", "std"))
            scale, offset = scale / deviation, (offset - mean) / deviation
        elif name not in ("ensure_dtype", *OWN_STATISTICS):
            what = f"{path} prepares its images in a way that is not known"
            raise ModelError(explain(what, got=name, want="scale_linear or fixed_zero_mean_unit_variance"))
    return scale, offset


def _prepared(
    image: np.ndarray, steps: list[tuple[str, Mapping[str, Any]]], order: str, channels: int, path: Path
) -> torch.Tensor:
    """Return the test's image (N, C, y, x) as its network wants it."""
    x = np.moveaxis(image, -1, 1) if order == "byxc" else image
    x = x.astype(np.float64)
    for name, kwargs in steps:
        if name in OWN_STATISTICS and not _is_fixed(name, kwargs):
            x = _by_its_own(x, name, kwargs, path)
        else:
            scale, offset = _affine([(name, kwargs)], channels, path)
            x = x * scale[:, None, None] + offset[:, None, None]
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))


def _by_its_own(x: np.ndarray, name: str, kwargs: Mapping[str, Any], path: Path) -> np.ndarray:
    """Return an image that is normalised by its own values."""
    named = kwargs.get("axes") or "xyc"
    axes = tuple(place for place, names in ((1, ("c", "channel")), (2, "y"), (3, "x")) if any(axis in named for axis in names))
    epsilon = float(kwargs.get("eps", 1e-6))
    if name == "zero_mean_unit_variance":
        found: np.ndarray = (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + epsilon)
        return found
    if name == "scale_range":
        ends = [kwargs.get(key, usual) for key, usual in (("min_percentile", 0.0), ("max_percentile", 100.0))]
        low, high = np.percentile(x, ends, axes, keepdims=True)
        ranged: np.ndarray = (x - low) / (high - low + epsilon)
        return ranged
    raise ModelError(explain(f"{path} prepares its images in a way that is not known", got=name))


def _repeat(path: Path, said: Mapping[str, Any], net: OnnxNet, x_NCHW: torch.Tensor) -> None:
    """Refuse a package whose test gives something else than it says."""
    output = said["outputs"][0]
    want = _test(path, said, output, "test_outputs")
    try:
        with torch.inference_mode():
            found = net(x_NCHW)
    except RuntimeError as error:
        raise ModelError(explain(f"the test of {path} can't be run", got=error)) from error
    for step in output.get("postprocessing") or ():
        match step.get("id", step.get("name")):
            case "sigmoid":
                found = found.sigmoid()
            case "softmax":
                found = found.softmax(1)
            case "ensure_dtype":
                pass
            case other:
                what = f"{path} does something to its output that is not known"
                raise ModelError(explain(what, got=other, want="sigmoid or softmax"))
    got = found.movedim(1, -1).numpy() if _order(output["axes"], path) == "byxc" else found.numpy()
    if got.shape != want.shape or not np.allclose(got, want, rtol=TOLERANCE, atol=TOLERANCE):
        off = f"shape {got.shape}" if got.shape != want.shape else f"differences of up to {np.abs(got - want).max():.2g}"
        raise ModelError(explain(f"the test of {path} gives something else than it says", got=off, want=f"at most {TOLERANCE}"))
