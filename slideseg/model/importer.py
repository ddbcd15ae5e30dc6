"""From a PyTorch checkpoint of the common public U-Net to a model file of ours.

That U-Net names its parts ``inc``, ``down1``.., ``up1``.. and ``outc``, each block a ``double_conv``; it is the same network
as `slideseg.model.network.unet.UNet` under other names, so the numbers stay. A checkpoint is a pickle and may hold code: it
is read with ``weights_only=True`` unless it is trusted, and of what is read only plain, dense, finite tensors are taken.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from slideseg.errors import ModelError, explain
from slideseg.model.checkpoint import check_total, origin_of, plain, read_checkpoint
from slideseg.model.config import UNetConfig
from slideseg.model.file import save_model
from slideseg.model.network.unet import without_weights
from slideseg.model.stated import Stated
from slideseg.options import take_options
from slideseg.storage.place import local_path

if TYPE_CHECKING:
    import os

    from slideseg.model.info import ModelInfo
    from slideseg.model.network.halo import Upsampling
    from slideseg.model.network.unet import UNet

FIRST = "inc.double_conv.0.weight"
"""The name that every such checkpoint has, behind a prefix or not."""
PART = re.compile(
    r"(?P<part>inc|down\d+|up\d+)\.(?:maxpool_conv\.1\.|conv\.)?double_conv\.(?P<index>\d+)\.(?P<leaf>\w+)"
    r"|(?P<up>up\d+)\.up\.(?P<up_leaf>weight|bias)"
    r"|outc\.(?:conv\.)?(?P<head_leaf>weight|bias)"
)
KERNEL_AXES = 4
PAIR = 2


def import_checkpoint(
    path: str | os.PathLike[str], out: str | os.PathLike[str], *, align_corners: bool = True, trust: bool = False, **stated: Any
) -> ModelInfo:
    """Write the model file ``out`` from the checkpoint ``path`` and return what it says about itself.

    The checkpoint is a state dictionary, or a dictionary that holds one under any name. Channels, depth, batch norm and the
    kind of upsampling are read off the weights.

    Args:
        path: the checkpoint (``.pth``, ``.pt``).
        out: the ``.safetensors`` file to write.
        align_corners: how a checkpoint without up-convolutions was trained to upsample. Those of the public code are
            ``True``, which can't be tiled exactly.
        trust: whether what is code in it may run: pickles that hold more than plain values.
        **stated: fields of `slideseg.model.stated.Stated`.

    Raises:
        ModelError: if the checkpoint can't be read safely, or is not this U-Net.
        ConfigError: if what is stated can't be like that.
    """
    path, out, said = Path(local_path(path)), Path(local_path(out)), take_options(Stated, stated)
    state = _without_prefix(_state_of(read_checkpoint(path, trust=trust), path), path)
    parts = _sorted_parts(state, path)
    config = _config_of(parts, path, align_corners=align_corners)
    info = said.info(path, config, origin_of(path))
    net = _filled(config, _renamed(parts, config), path)
    if not out.parent.is_dir():
        raise ModelError(explain("no such folder for the model file", got=out.parent, want="a folder that exists"))
    save_model(out, net, info)
    return info


def _state_of(found: dict[Any, Any], path: Path) -> dict[str, Any]:
    for candidate in (found, *(value for value in found.values() if isinstance(value, dict))):
        if any(isinstance(key, str) and key.endswith(FIRST) for key in candidate):
            return {key: value for key, value in candidate.items() if isinstance(key, str)}
    names = sorted(key for key in found if isinstance(key, str))[:4]  # others may be as large as they like in words
    raise ModelError(
        explain(
            f"{path} is not the common U-Net",
            got=f"entries {names}",
            want=f"a state dictionary with {FIRST}",
            try_="--network monai.CLASS or smp.CLASS, if it is of one of these libraries",
        )
    )


def _without_prefix(state: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Return the tensors of the network, without what wrappers (``module.``, ``_orig_mod.``) put before their names."""
    prefix = next(key for key in state if key.endswith(FIRST)).removesuffix(FIRST)
    state = {key.removeprefix(prefix): value for key, value in state.items()}
    tensors = {}
    check_total(state, path)
    for key, value in state.items():
        if isinstance(value, Tensor) and not key.endswith("num_batches_tracked"):
            tensors[key] = plain(key, value, path)
        elif not isinstance(value, Tensor) and key != "mask_values":  # the public code keeps its pixel values there
            raise ModelError(explain(f"{path} holds more than weights", got=f"{key}: {type(value).__name__}", want="tensors"))
    return tensors


def _sorted_parts(state: dict[str, Tensor], path: Path) -> dict[str, dict[str, Tensor]]:
    """Return tensors by part (``inc``, ``down1``, ``up1``, ``up1.up``, ``outc``) and by their place in it (``0.weight``)."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        match = PART.fullmatch(key)
        if match is None:
            raise ModelError(
                explain(f"{path} is not the common U-Net", got=f"a weight {key}", want="inc, down, up, outc alone")
            )
        if match["part"]:
            parts.setdefault(match["part"], {})[f"{match['index']}.{match['leaf']}"] = tensor
        elif match["up"]:
            parts.setdefault(f"{match['up']}.up", {})[match["up_leaf"]] = tensor
        else:
            parts.setdefault("outc", {})[match["head_leaf"]] = tensor
    return parts


def _config_of(parts: dict[str, dict[str, Tensor]], path: Path, *, align_corners: bool) -> UNetConfig:
    depth = sum(part.startswith("down") for part in parts)
    wanted = {"inc", "outc", *(f"{way}{i + 1}" for way in ("down", "up") for i in range(depth))}
    ups = {f"up{i + 1}.up" for i in range(depth)}
    first, last = parts["inc"]["0.weight"], parts.get("outc", {}).get("weight")
    if set(parts) not in (wanted, wanted | ups) or last is None or first.ndim != KERNEL_AXES or last.ndim != KERNEL_AXES:
        raise ModelError(
            explain(f"{path} is not the common U-Net", got=", ".join(sorted(parts)), want=", ".join(sorted(wanted)))
        )
    bilinear: Upsampling = "bilinear-corners" if align_corners else "bilinear"
    try:
        return UNetConfig(
            in_channels=first.shape[1],
            out_channels=last.shape[0],
            base_channels=first.shape[0],
            depth=depth,
            upsampling="conv" if ups <= set(parts) else bilinear,
            batch_norm=any(leaf.endswith("running_mean") for leaf in parts["inc"]),
        )
    except ValueError as error:
        raise ModelError(explain(f"the U-Net in {path} can't be used", got=error)) from error


def _renamed(parts: dict[str, dict[str, Tensor]], config: UNetConfig) -> dict[str, Tensor]:
    """Return the weights under our names."""
    weights = {f"head.{leaf}": tensor for leaf, tensor in parts["outc"].items()}
    for level in range(config.depth + 1):
        weights |= _block(f"encoder.{level}", parts[f"down{level}" if level else "inc"])
    for level in range(config.depth):
        up = f"up{config.depth - level}"
        weights |= _block(f"decoder.{level}", parts[up])
        weights |= {f"upsample.{level}.{leaf}": tensor for leaf, tensor in parts.get(f"{up}.up", {}).items()}
    return weights


def _block(ours: str, theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a pair of convolutions and their batch norms under our names.

    Our convolutions before a batch norm have no bias: (x + bias - mean) / deviation is (x - (mean - bias)) / deviation.
    """
    weights = {}
    steps = sorted({int(place.split(".")[0]) for place in theirs})
    convs = [i for i in steps if theirs.get(f"{i}.weight", torch.empty(0)).ndim == KERNEL_AXES]
    norms = [i for i in steps if f"{i}.running_mean" in theirs]
    names = {i: f"{ours}.conv{n}" for n, i in enumerate(convs, 1)} | {i: f"{ours}.norm{n}" for n, i in enumerate(norms, 1)}
    for place, tensor in theirs.items():
        step, leaf = place.split(".")
        weights[f"{names.get(int(step), f'{ours}.{step}')}.{leaf}"] = tensor
    if len(norms) == PAIR:
        for n in range(1, 1 + PAIR):
            bias = weights.pop(f"{ours}.conv{n}.bias", None)
            mean = weights[f"{ours}.norm{n}.running_mean"]
            weights[f"{ours}.norm{n}.running_mean"] = mean if bias is None or bias.shape != mean.shape else mean - bias
    return weights


def _filled(config: UNetConfig, weights: dict[str, Tensor], path: Path) -> UNet:
    """Return the network with ``weights``, which must be exactly its own."""
    net = without_weights(config)
    wanted = {k: tuple(v.shape) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    got = {k: tuple(v.shape) for k, v in weights.items()}
    if got != wanted:
        wrong = min(k for k in wanted.keys() | got.keys() if wanted.get(k) != got.get(k))
        facts = f"{wrong} {got.get(wrong, 'missing')}"
        raise ModelError(explain(f"{path} is another U-Net", got=facts, want=wanted.get(wrong, "no such weight")))
    net.load_state_dict(weights, strict=False, assign=True)
    return net
