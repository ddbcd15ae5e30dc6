"""A model as a bioimage.io package: an ONNX file, what goes in and out, and a test that whoever runs it can repeat.

Fields are those of the model description 0.5 (https://github.com/bioimage-io/spec-bioimage-io).
"""

from __future__ import annotations

import hashlib
import io
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import torch

from slideseg.errors import ModelError, explain
from slideseg.model.others.onnx.net import OnnxNet
from slideseg.model.others.onnx.tracing import OPSET
from slideseg.version import __version__
from slideseg.yaml_file import to_yaml

if TYPE_CHECKING:
    from slideseg.model.info import ModelInfo

FORMAT = "0.5.4"
DESCRIPTION, NETWORK, README = "rdf.yaml", "network.onnx", "README.md"
TESTS = ("test_input.npy", "test_output.npy")
SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*\d[A-Za-z0-9.+-]*")
"""How licences are called there: CC-BY-4.0, CC0-1.0, BSD-3-Clause."""
WHITE = 255.0
THEN = (1980, 1, 1, 0, 0, 0)
"""The time of the package's files, so that the same model is the same package."""


def to_package(data: bytes, info: ModelInfo, licence: str | None, author: str | None) -> bytes:
    """Return the package of a model whose network was written as ONNX.

    Args:
        data: the ONNX file, from pixels where white is 1 to logits.
        info: what the model says about itself.
        licence: the weights' licence as SPDX calls it; None for what the model says.
        author: who made it; None for what the model says.

    Raises:
        ModelError: if the licence is not known.
    """
    said = licence or str(info.training.get("licence", ""))
    if not SPDX.fullmatch(said):
        what = f"a package needs the licence of the weights of {info.name}"
        raise ModelError(explain(what, got=said or None, want="an SPDX name", try_="--licence CC-BY-4.0"))
    given, found = _tests(data, info)
    files = {NETWORK: data, README: _readme(info).encode(), TESTS[0]: _npy(given), TESTS[1]: _npy(found)}
    hashes = {name: {"source": name, "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()}
    named = author or str(info.training.get("attribution") or "unknown")
    files[DESCRIPTION] = to_yaml(_description(info, hashes, said, named)).encode()
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            member = ZipInfo(name, THEN)
            member.compress_type = ZIP_DEFLATED
            archive.writestr(member, content)
    return packed.getvalue()


def _tests(data: bytes, info: ModelInfo) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (1, C, y, x) uint8 and the probabilities (1, K, y, x) that the network gives."""
    side = _least_side(info)
    coarse = np.random.default_rng(0).integers(0, 256, (1, info.network.in_channels, side // 8, side // 8))
    image = coarse.repeat(8, 2).repeat(8, 3).astype(np.uint8)
    with torch.inference_mode():
        logits = OnnxNet(data, "NCHW", "none")(torch.from_numpy(image).float() / WHITE)
    found = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
    return image, found.numpy()


def _least_side(info: ModelInfo) -> int:
    """Return the least sides of an image, in cells of 8 pixels, of which something is left without the halo."""
    network = info.network
    step = network.stride * 8 // np.gcd(network.stride, 8)
    return int(-(-(2 * network.halo + network.stride) // step) * step)


def _description(info: ModelInfo, files: dict[str, dict[str, str]], licence: str, author: str) -> dict[str, Any]:
    network, channels = info.network, range(info.network.in_channels)
    unit = {} if info.input.mpp is None else {"unit": "micrometer", "scale": info.input.mpp}
    sides = [{"type": "space", "id": side, **unit} for side in "yx"]
    size = {"min": _least_side(info), "step": network.stride}
    names = [known.name for known in info.classes][-network.out_channels :]
    last: dict[str, Any] = {"id": "sigmoid"} if len(names) == 1 else {"id": "softmax", "kwargs": {"axis": "channel"}}
    as_float = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}  # last, or readers turn it back into what the data has
    given = {
        "id": "image",
        "axes": [
            {"type": "batch"},
            {
                "type": "channel",
                "channel_names": ["r", "g", "b"] if len(channels) == len("rgb") else [f"c{i}" for i in channels],
            },
            *({**side, "size": size} for side in sides),
        ],
        "data": {"type": "uint8", "range": [0, 255]},
        "test_tensor": files[TESTS[0]],
        "preprocessing": [as_float, {"id": "scale_linear", "kwargs": {"gain": 1 / WHITE, "offset": 0.0}}, as_float],
    }
    found = {
        "id": "probabilities",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": [re.sub(r"\W+", "_", name).lower() for name in names]},
            *({**side, "halo": network.halo, "size": {"tensor_id": "image", "axis_id": side["id"]}} for side in sides),
        ],
        "data": {"type": "float32", "range": [0.0, 1.0]},
        "test_tensor": files[TESTS[1]],
        "postprocessing": [last],
    }
    return {
        "format_version": FORMAT,
        "type": "model",
        "name": re.sub(r"[^\w\s+()-]", " ", info.name),
        "description": str(info.made_for or f"segmentation into {', '.join(known.name for known in info.classes)}"),
        "authors": [{"name": re.sub(r"[/\\]", " ", author)}],
        "cite": [
            {"text": str(info.training.get("data") or "slideseg"), "url": "https://github.com/bioimage-io/spec-bioimage-io"}
        ],
        "license": licence,
        "documentation": files[README],
        "tags": ["segmentation", "slideseg"],
        "timestamp": datetime(*THEN, tzinfo=UTC).isoformat(),
        "inputs": [given],
        "outputs": [found],
        "weights": {"onnx": {**files[NETWORK], "opset_version": OPSET}},
        "config": {"slideseg": {"version": __version__, "model": info.to_dict()}},
    }


def _readme(info: ModelInfo) -> str:
    network = info.network
    classes = ", ".join(f"{known.id} {known.name}" for known in info.classes)
    at = "pixels of any size" if info.input.mpp is None else f"pixels of {info.input.mpp:g} microns"
    exact = (
        "Tiles equal one pass over the whole image"
        if network.exact
        else "Tiles don't equal one pass over the whole image exactly"
    )
    return (
        f"# {info.name}\n\nClasses: {classes}. It sees {at}.\n\n{exact} where they start at multiples of {network.stride} "
        f"pixels and {network.halo} pixels around what is kept are cut away, as the output's halo says.\n\n# Validation\n\n"
        f"What is known of its training: {info.training.get('metrics') or 'nothing'}.\n"
    )


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()
