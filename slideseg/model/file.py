"""The model file: one ``.safetensors`` with the weights and, as JSON in its metadata, all that is needed to use them.

Reading one never unpickles, and checks names, shapes, types and finiteness against the architecture before any weight is
used; see ``docs/formats.md`` for the fields.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from slideseg.errors import ModelError, explain
from slideseg.model.info import ModelInfo, read_model_file
from slideseg.model.network.engine import Engine
from slideseg.model.network.unet import without_weights
from slideseg.model.network.whole_image import WholeImage
from slideseg.model.values import FULL_SCALE, on_unit_scale
from slideseg.storage.whole_file import whole

if TYPE_CHECKING:
    import os

    import numpy as np
    from torch import Tensor

    from slideseg.model.info import ModelClass
    from slideseg.model.network.ranges import Ranges
    from slideseg.model.network.unet import UNet
    from slideseg.model.values import Range


class LoadedModel:
    """A model ready to run: what `slideseg.load_model` returns."""

    def __init__(self, net: UNet, info: ModelInfo, sha256: str, feature_ranges: Ranges | None = None) -> None:
        self.net = Engine(net, feature_ranges)
        """The network as it runs; `net.forward_valid` is its valid form."""
        self.info = info
        """What the model file says about itself."""
        self.sha256 = sha256
        """Hash of the model file."""
        self.module = WholeImage(self.net, self.halo)
        """'Same' form: float32 (N, C, H, W) to logits (N, K, H, W)."""

    @property
    def classes(self) -> tuple[ModelClass, ...]:
        """All classes, background first."""
        return self.info.classes

    @property
    def mpp(self) -> float | None:
        """Microns per pixel it was trained at; None if unknown."""
        return self.info.input.mpp

    @property
    def stride(self) -> int:
        """Side of the pooling grid's cell in pixels."""
        return self.info.config.stride

    @property
    def halo(self) -> int:
        """Pixels around an aligned core that can change it, rounded up to the stride."""
        return self.info.config.halo

    def preprocess(self, image: np.ndarray, range: Range | None = None) -> Tensor:
        """Turn an image (y, x, c) or (y, x) into the network's input (1, C, y, x), float32, channels-last.

        Pixel by pixel: the same pixel gives the same number in any tile. What is no number is black, infinity is white. A grey
        image is red, green and blue alike to a model that wants three channels, as in training.

        Args:
            image: the image.
            range: the values of black and white; None for those of its type, as `slideseg.model.values.FULL_SCALE` has them.

        Raises:
            ModelError: if the dtype or the number of channels does not fit.
        """
        if image.ndim == 2:
            image = image[:, :, None]
        want = self.info.input
        if image.ndim != 3 or not want.takes(image.shape[2]):
            raise ModelError(explain("the image does not fit the model", got=image.shape, want=f"(y, x, {want.channels})"))
        if image.dtype.name not in FULL_SCALE:
            raise ModelError(explain("the image's dtype is not supported", got=image.dtype, want=", ".join(FULL_SCALE)))
        x_HWC = torch.from_numpy(on_unit_scale(image, range)).expand(-1, -1, want.channels).contiguous()
        x_HWC.sub_(torch.tensor(want.mean)).div_(torch.tensor(want.std))
        return x_HWC.permute(2, 0, 1)[None]


def model_bytes(net: UNet, info: ModelInfo) -> bytes:
    """Return the model file of ``net``'s weights (not folded) and ``info``; the same ones give the same bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _weights(net).items()}
    return bytes(save(tensors, metadata={"slideseg": info.to_json()}))


def save_model(path: str | os.PathLike[str], net: UNet, info: ModelInfo) -> None:
    """Write ``net``'s weights (not folded) and ``info`` to ``path``, whole or not at all.

    Raises:
        RunError: if it can't be written.
        ResultError: if something that is no file has the name.
    """
    with whole(Path(path)) as partial:
        partial.write_bytes(model_bytes(net, info))  # save_file would let nobody else read it


def load_model_file(path: str | os.PathLike[str], feature_ranges: Ranges | None = None) -> LoadedModel:
    """Read and check a model file.

    Args:
        path: the file.
        feature_ranges: how large the network's features become, to compute it in whole numbers of 8 bits; None for fp32.

    Raises:
        ModelError: if it is missing, is no model file, or its weights don't fit its description.
    """
    data, info = read_model_file(Path(path))
    return LoadedModel(_network_of(path, data, info), info, hashlib.sha256(data).hexdigest(), feature_ranges)


def check_model_file(path: Path) -> tuple[ModelInfo, str]:
    """Check a model file, weights and all; return what it says about itself, and its hash.

    Raises:
        ModelError: if it is missing, is no model file, or its weights don't fit its description.
    """
    data, info = read_model_file(path)
    _network_of(path, data, info)
    return info, hashlib.sha256(data).hexdigest()


def read_network(path: Path) -> tuple[UNet, ModelInfo]:
    """Read and check a model file; return the network as it was trained, not folded, and what the file says about itself.

    Raises:
        ModelError: if it is missing, is no model file, or its weights don't fit its description.
    """
    data, info = read_model_file(path)
    return _network_of(path, data, info), info


def _network_of(path: str | os.PathLike[str], data: bytes, info: ModelInfo) -> UNet:
    net = without_weights(info.config)
    wanted = _weights(net)
    try:
        tensors = load(data)
    except (SafetensorError, KeyError) as error:  # the latter of a type that PyTorch does not know
        raise ModelError(explain(f"{path} is not a model file", got=error, want=".safetensors")) from error
    _check_tensors(path, tensors, wanted)
    weights = {name: tensors[name].to(torch.float32) for name in wanted}
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(explain(f"weight {name} of {path} is not finite", try_="the file it was copied from"))
    net.load_state_dict(weights, strict=False, assign=True)
    return net


def _weights(net: UNet) -> dict[str, Tensor]:
    """Return the tensors that a model file holds; batch norm's step counter is of no use to anyone."""
    return {name: tensor for name, tensor in net.state_dict().items() if not name.endswith("num_batches_tracked")}


def _check_tensors(path: str | os.PathLike[str], tensors: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    got = set(tensors)
    if got != set(wanted):
        missing, unknown = sorted(set(wanted) - got)[:3], sorted(got - set(wanted))[:3]
        raise ModelError(explain(f"the weights in {path} are not this network's", got=f"missing {missing}, unknown {unknown}"))
    for name, tensor in wanted.items():
        part = tensors[name]
        if part.shape != tensor.shape:
            what = f"weight {name} of {path} has a wrong shape"
            raise ModelError(explain(what, got=list(part.shape), want=list(tensor.shape)))
        if part.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            kind, want = str(part.dtype).removeprefix("torch."), "float32, float16, bfloat16"
            raise ModelError(explain(f"weight {name} of {path} has a wrong type", got=kind, want=want))
