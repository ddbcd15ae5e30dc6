"""Models with their weights: read, checked, ready to run, and written.

Reading one never unpickles, and checks names, shapes, types and finiteness against the architecture before any weight is
used; see ``docs/formats.md`` for the fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from slideseg.errors import ModelError, explain
from slideseg.model.info import frozen
from slideseg.model.network.engine import Engine
from slideseg.model.network.ranges import Ranges
from slideseg.model.network.same_form import SameForm
from slideseg.model.network.unet import UNet, without_weights
from slideseg.model.network.whole_image import WholeImage
from slideseg.model.others.described import OtherNetwork
from slideseg.model.others.libraries import build, onnx_networks
from slideseg.model.reach.frozen import Statistics, freeze
from slideseg.model.stored import read_model
from slideseg.model.values import FULL_SCALE, on_unit_scale
from slideseg.storage.whole_file import whole

if TYPE_CHECKING:
    import os

    import numpy as np
    from torch import Tensor, nn

    from slideseg.model.config import UNetConfig
    from slideseg.model.info import ModelClass, ModelInfo
    from slideseg.model.stored import StoredModel
    from slideseg.model.together.combined import Together
    from slideseg.model.values import Range
    from slideseg.model.windows.blended import InWindows


Fitted = Ranges | Statistics | None
"""What was measured on a slide so that its network can run."""
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
"""What weights may be that are no whole numbers."""


class LoadedModel:
    """A model ready to run: what `slideseg.load_model` returns."""

    def __init__(self, net: Engine | SameForm | Together | InWindows, info: ModelInfo, sha256: str) -> None:
        self.net = net
        """The network as it runs: `net.forward` on any image of whole strides, `net.forward_valid` on a tile."""
        self.info = info
        """What the model file says about itself."""
        self.sha256 = sha256
        """Hash of the model file."""
        self.module = WholeImage(self.net, self.halo, self.stride)
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
        return self.info.network.stride

    @property
    def halo(self) -> int:
        """Pixels around an aligned core that can change it, rounded up to the stride."""
        return self.info.network.halo

    @property
    def as_trained(self) -> nn.Module:
        """The network without what is around it to run it on tiles."""
        return self.net.net if isinstance(self.net, SameForm) else self.net

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
            raise ModelError(_unfit(image.shape, want.channels))
        if image.dtype.name not in FULL_SCALE:
            raise ModelError(explain("the image's dtype is not supported", got=image.dtype, want=", ".join(FULL_SCALE)))
        x_HWC = torch.from_numpy(on_unit_scale(image, range)).expand(-1, -1, want.channels).contiguous()
        x_HWC.sub_(torch.tensor(want.mean)).div_(torch.tensor(want.std))
        return x_HWC.permute(2, 0, 1)[None]


def _unfit(shape: tuple[int, ...], channels: int) -> ModelError:
    """Return what is wrong with an image of a shape to a model that sees so many channels."""
    what = "the image does not fit the model"
    try_ = "image[..., :3], without alpha" if (shape[-1], channels) == (4, 3) else None
    if len(shape) == 3:
        return ModelError(explain(what, got=f"{shape[-1]} channels", want=channels, try_=try_))
    return ModelError(explain(what, got=f"the shape {shape}", want=f"(y, x, {channels})"))


def weight_bytes(net: nn.Module, metadata: dict[str, str] | None = None) -> bytes:
    """Return ``net``'s weights (not folded) as a ``.safetensors`` file; the same ones give the same bytes."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights_of(net).items()}
    return bytes(save(tensors, metadata=metadata))


def model_bytes(net: nn.Module, info: ModelInfo) -> bytes:
    """Return the model file of ``net``'s weights (not folded) and ``info``; the same ones give the same bytes."""
    return weight_bytes(net, {"slideseg": info.to_json()})


def save_model(path: str | os.PathLike[str], net: UNet, info: ModelInfo) -> None:
    """Write ``net``'s weights (not folded) and ``info`` to ``path``, whole or not at all.

    Raises:
        RunError: if it can't be written.
        ResultError: if something that is no file has the name.
    """
    with whole(Path(path)) as partial:
        partial.write_bytes(model_bytes(net, info))  # save_file would let nobody else read it


def load_model_file(path: str | os.PathLike[str], fitted: Fitted = None) -> LoadedModel:
    """Read and check a model file, or the description of a model folder.

    Args:
        path: the file.
        fitted: what the network was fitted with; see `ready`.

    Raises:
        ModelError: if it is missing, is no model, its weights don't fit its description, or its library is not installed.
    """
    stored = read_model(Path(path))
    return ready(_network_of(path, stored), stored.info, stored.sha256, fitted)


def ready(net: nn.Module, info: ModelInfo, sha256: str, fitted: Fitted = None) -> LoadedModel:
    """Return a network as it was trained as a model that is ready to run.

    A U-Net of ours runs in valid form; all others run as they are. ``fitted`` is what of them was measured on a slide: how
    large features become, to compute a U-Net in whole numbers of 8 bits, or the statistics that another is frozen with.
    """
    if isinstance(net, UNet):
        engine = Engine(net, fitted if isinstance(fitted, Ranges) else None)
        return LoadedModel(engine if info.network.exact else SameForm(engine, info.network.margin), info, sha256)
    net = net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if isinstance(fitted, Statistics):
        net, info = freeze(net, fitted), frozen(info)
    return LoadedModel(SameForm(net, info.network.margin), info, sha256)


def check_model_file(path: Path) -> tuple[ModelInfo, str]:
    """Check a model, weights and all; return what it says about itself, and its hash.

    Raises:
        ModelError: as `load_model_file`.
    """
    stored = read_model(path)
    _network_of(path, stored)
    return stored.info, stored.sha256


def read_network(path: Path) -> tuple[nn.Module, ModelInfo]:
    """Read and check a model; return the network as it was trained, not folded, and what the model says about itself.

    Raises:
        ModelError: as `load_model_file`.
    """
    stored = read_model(path)
    return _network_of(path, stored), stored.info


def read_unet(path: Path) -> tuple[UNet, UNetConfig, ModelInfo]:
    """Read and check a model whose network is a U-Net of ours; return it as `read_network` does, with its arguments.

    Raises:
        ModelError: as `load_model_file`, or if it is another network.
    """
    net, info = read_network(path)
    if not isinstance(net, UNet):
        want = "a U-Net of slideseg's own"
        raise ModelError(explain(f"model {info.name} has another network", got=info.network.kind, want=want))
    return net, net.config, info


def _network_of(path: str | os.PathLike[str], stored: StoredModel) -> nn.Module:
    config = stored.info.config
    match config:
        case OtherNetwork("onnx", _, arguments):
            return onnx_networks().network_of(stored.weights, arguments, str(path))  # type: ignore[no-any-return]
        case OtherNetwork(library, name, arguments):
            net = build(library, name, arguments)
        case _:
            net = without_weights(config)  # type: ignore[arg-type]  # several networks lie in several files
    fill(net, stored.weights, path)
    return net


def fill(net: nn.Module, data: bytes, path: str | os.PathLike[str]) -> None:
    """Give a network the weights of a ``.safetensors`` file's bytes; ``path`` is what errors call it.

    Raises:
        ModelError: if they are not exactly its own, or not finite.
    """
    wanted = weights_of(net)
    try:
        tensors = load(data)
    except (SafetensorError, KeyError) as error:  # the latter of a type that PyTorch does not know
        raise ModelError(explain(f"{path} is not a model file", got=error, want=".safetensors")) from error
    _check_tensors(path, tensors, wanted)
    weights = {name: _as_wanted(tensors[name], tensor) for name, tensor in wanted.items()}
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(explain(f"weight {name} of {path} is not finite", try_="the file it was copied from"))
    net.load_state_dict(weights, strict=False, assign=True)


def _as_wanted(tensor: Tensor, wanted: Tensor) -> Tensor:
    return tensor.to(torch.float32) if wanted.dtype.is_floating_point else tensor


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that a model's file holds, by name; batch norm's step counter is of no use to anyone."""
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
        fitting = FLOATS if tensor.dtype.is_floating_point else (tensor.dtype,)
        if part.dtype not in fitting:
            kind, *want = (str(dtype).removeprefix("torch.") for dtype in (part.dtype, *fitting))
            raise ModelError(explain(f"weight {name} of {path} has a wrong type", got=kind, want=", ".join(want)))
