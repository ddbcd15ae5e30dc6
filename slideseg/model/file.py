"""The model file: one ``.safetensors`` with the weights and, as JSON in its metadata, all that is needed to use them.

Reading one never unpickles, and checks names, shapes, types and finiteness against the architecture before any weight is
used; see ``docs/formats.md`` for the fields.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from slideseg.errors import ModelError, explain
from slideseg.model.fold import WholeImage, fold
from slideseg.model.unet import UNet, UNetConfig

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "slideseg-model/1"
FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0, "float64": 1.0}
"""The value of white by dtype: images are divided by it before normalisation. Other dtypes are refused."""

COLOR = re.compile("#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class ModelClass:
    """One class of the class map."""

    id: int
    """Value in the class map; 0 is background."""
    name: str
    """What people call it."""
    color: str
    """``#rrggbb``."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What a model wants to see."""

    channels: int
    """Channels of the image."""
    mpp: float | None
    """Microns per pixel it was trained at; None if unknown."""
    mean: tuple[float, ...]
    """Subtracted from every channel, on the scale where white is 1."""
    std: tuple[float, ...]
    """Every channel is divided by it afterwards."""

    def takes(self, channels: int) -> bool:
        """Tell whether it takes images of so many channels: its own number, or grey as red, green and blue alike.

        >>> [ModelInput(3, None, (), ()).takes(channels) for channels in (1, 2, 3)]
        [True, False, True]
        """
        return channels == self.channels or (channels == 1 and self.channels == 3)


@dataclass(frozen=True, slots=True)
class ModelObjects:
    """How objects are best made of its class maps, in pixels at its resolution; what ``slideseg objects`` does unless told."""

    grow: int = 4
    """Pixels that objects grow into the border class at most."""
    split: int = 0
    """Pixels around an object's middle in which it has no other; 0 parts nothing."""
    min_area: int = 0
    """Pixels of the smallest object."""
    fill_holes: int = 0
    """Pixels of the largest hole that is filled."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model file says about itself."""

    name: str
    """Short name, as in ``--model NAME``."""
    config: UNetConfig
    """The network's constructor arguments."""
    classes: tuple[ModelClass, ...]
    """All classes, background first."""
    input: ModelInput
    """What it wants to see."""
    training: dict[str, Any] = field(default_factory=dict)
    """Data, licence, metrics, seed and slideseg version of its training."""
    objects: ModelObjects = ModelObjects()
    """How objects are best made of its class maps."""

    def __post_init__(self) -> None:
        _check_consistency(self)

    def to_json(self) -> str:
        """Return the ``slideseg`` metadata entry of the model file; ``objects`` only where there is something to say."""
        objects = {"objects": asdict(self.objects)} if self.objects != ModelObjects() else {}
        return json.dumps(
            {
                "format": FORMAT,
                "name": self.name,
                "architecture": "unet",
                "config": self.config.to_dict(),
                "classes": [asdict(c) for c in self.classes],
                "input": {
                    "channels": self.input.channels,
                    "mpp": self.input.mpp,
                    "normalisation": {"mean": list(self.input.mean), "std": list(self.input.std)},
                },
                "tiling": {"stride": self.config.stride, "halo": self.config.halo},
                "training": self.training,
                **objects,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """Read the metadata entry.

        Raises:
            ModelError: if a field is missing, unknown or contradicts another.
        """
        try:
            raw = json.loads(text)
            _check_format(raw)
            normalisation = raw["input"]["normalisation"]
            info = cls(
                name=str(raw["name"]),
                config=UNetConfig(**raw["config"]),
                classes=tuple(ModelClass(**c) for c in raw["classes"]),
                input=ModelInput(
                    channels=int(raw["input"]["channels"]),
                    mpp=None if raw["input"]["mpp"] is None else float(raw["input"]["mpp"]),
                    mean=tuple(float(v) for v in normalisation["mean"]),
                    std=tuple(float(v) for v in normalisation["std"]),
                ),
                training=dict(raw.get("training", {})),
                objects=ModelObjects(**raw.get("objects", {})),
            )
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(explain("the model file's description is damaged", got=repr(error))) from error
        tiling = {"stride": info.config.stride, "halo": info.config.halo}
        if raw.get("tiling") != tiling:
            raise ModelError(explain("the model file's tiling contradicts its network", got=raw.get("tiling"), want=tiling))
        return info


class LoadedModel:
    """A model ready to run: what `slideseg.load_model` returns."""

    def __init__(self, net: UNet, info: ModelInfo, sha256: str) -> None:
        self.net = fold(net)
        """The folded network; `net.forward_valid` is its valid form."""
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

    def preprocess(self, image: np.ndarray) -> Tensor:
        """Turn an image (y, x, c) or (y, x) into the network's input (1, C, y, x), float32, channels-last.

        Pixel by pixel: the same pixel gives the same number in any tile. A grey image is red, green and blue alike to a model
        that wants three channels, as in training.

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
        whole = np.broadcast_to(image, (*image.shape[:2], want.channels))
        x_HWC = torch.from_numpy(np.array(whole, dtype=np.float32, order="C"))
        x_HWC.div_(FULL_SCALE[image.dtype.name]).sub_(torch.tensor(want.mean)).div_(torch.tensor(want.std))
        return x_HWC.permute(2, 0, 1)[None]


def model_bytes(net: UNet, info: ModelInfo) -> bytes:
    """Return the model file of ``net``'s weights (not folded) and ``info``; the same ones give the same bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _weights(net).items()}
    return bytes(save(tensors, metadata={"slideseg": info.to_json()}))


def save_model(path: str | os.PathLike[str], net: UNet, info: ModelInfo) -> None:
    """Write ``net``'s weights (not folded) and ``info`` to ``path``, whole or not at all."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(model_bytes(net, info))  # save_file would let nobody else read it
    partial.replace(path)


def load_model_file(path: str | os.PathLike[str]) -> LoadedModel:
    """Read and check a model file.

    Raises:
        ModelError: if it is missing, is no model file, or its weights don't fit its description.
    """
    net, info = read_network(Path(path))
    return LoadedModel(net, info, hashlib.sha256(Path(path).read_bytes()).hexdigest())


def read_network(path: Path) -> tuple[UNet, ModelInfo]:
    """Read and check a model file; return the network as it was trained, not folded, and what the file says about itself.

    Raises:
        ModelError: if it is missing, is no model file, or its weights don't fit its description.
    """
    info = read_info(path)
    with torch.device("meta"):
        net = UNet(info.config)
    with _opened(path) as file:
        wanted = _weights(net)
        _check_tensors(path, file, wanted)
        weights = {name: file.get_tensor(name).to(torch.float32) for name in wanted}
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(explain(f"weight {name} of {path} is not finite", try_="the file it was copied from"))
    net.load_state_dict(weights, strict=False, assign=True)
    return net, info


def read_info(path: Path) -> ModelInfo:
    """Read what a model file says about itself, without its weights.

    Raises:
        ModelError: if it is missing or is no model file.
    """
    with _opened(path) as file:
        metadata = file.metadata() or {}
    if "slideseg" not in metadata:
        raise ModelError(explain(f"{path} is not a slideseg model", want="a 'slideseg' entry", try_="slideseg model import"))
    return ModelInfo.from_json(metadata["slideseg"])


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(explain("no such model file", got=path, try_="slideseg model list"))
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ModelError(explain(f"{path} is not a model file", got=error, want=".safetensors")) from error


def _weights(net: UNet) -> dict[str, Tensor]:
    """Return the tensors that a model file holds; batch norm's step counter is of no use to anyone."""
    return {name: tensor for name, tensor in net.state_dict().items() if not name.endswith("num_batches_tracked")}


def _check_tensors(path: Path, file: Any, wanted: dict[str, Tensor]) -> None:
    got = set(file.keys())
    if got != set(wanted):
        missing, unknown = sorted(set(wanted) - got)[:3], sorted(got - set(wanted))[:3]
        raise ModelError(explain(f"the weights in {path} are not this network's", got=f"missing {missing}, unknown {unknown}"))
    for name, tensor in wanted.items():
        part = file.get_slice(name)
        if tuple(part.get_shape()) != tuple(tensor.shape):
            raise ModelError(
                explain(f"weight {name} of {path} has a wrong shape", got=part.get_shape(), want=list(tensor.shape))
            )
        if part.get_dtype() not in ("F32", "F16", "BF16"):
            raise ModelError(explain(f"weight {name} of {path} has a wrong type", got=part.get_dtype(), want="F32, F16, BF16"))


def _check_format(raw: Any) -> None:
    if not isinstance(raw, dict):
        raise ModelError(explain("the model file's description is damaged", got=type(raw).__name__, want="an object"))
    if raw.get("format") != FORMAT:
        raise ModelError(explain("unknown model format", got=raw.get("format"), want=FORMAT))
    if raw.get("architecture") != "unet":
        raise ModelError(explain("unknown architecture", got=raw.get("architecture"), want="unet"))


def _check_consistency(info: ModelInfo) -> None:
    outputs = info.config.out_channels
    ids = [c.id for c in info.classes]
    if ids != list(range(max(2, outputs))):
        raise ModelError(explain("the classes don't fit the network", got=ids, want=list(range(max(2, outputs)))))
    for c in info.classes:
        texts: tuple[object, object] = (c.name, c.color)  # JSON may have held anything
        if not (all(isinstance(text, str) for text in texts) and COLOR.fullmatch(c.color)):
            raise ModelError(explain("a class can't be used", got=c, want="a name and a color #rrggbb"))
    numbers = list(asdict(info.objects).values())
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ModelError(explain("the model's objects can't be used", got=asdict(info.objects), want="whole numbers of pixels"))
    channels = info.config.in_channels
    if not channels == info.input.channels == len(info.input.mean) == len(info.input.std):
        raise ModelError(explain("the input's channels don't fit the network", got=info.input, want=f"{channels} channels"))
    if not all(np.isfinite([*info.input.mean, *info.input.std])) or min(info.input.std) <= 0:
        raise ModelError(explain("the normalisation can't be used", got=info.input, want="finite means, positive deviations"))
    if info.input.mpp is not None and not (np.isfinite(info.input.mpp) and info.input.mpp > 0):
        raise ModelError(explain("the model's mpp can't be used", got=info.input.mpp, want="a positive number"))
