"""Plain tensors out of files that PyTorch wrote, which are pickles and may hold code or lie.

They are read with ``weights_only=True`` unless their user trusts who made them, and of what is read only plain, dense, finite
tensors are taken.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from slideseg.errors import ModelError, explain
from slideseg.model.others.trusted import TRUST, state_of, unpickle
from slideseg.model.plain_pickle import NotPlainError, load_plain
from slideseg.storage.place import near
from slideseg.version import __version__

if TYPE_CHECKING:
    from pathlib import Path


def read_checkpoint(path: Path, *, trust: bool = False) -> dict[Any, Any]:
    """Return the dictionary that a checkpoint is, or of one that is trusted also the weights of the whole network that it is.

    Raises:
        ModelError: if it is missing, holds more than plain values and tensors and is not trusted, or is no dictionary.
    """
    if not path.is_file():
        raise ModelError(explain("no such checkpoint", got=path, try_=near(path)))
    try:
        with path.open("rb") as file:
            found = state_of(unpickle(file, str(path))) if trust else load_plain(file)
    except (NotPlainError, OSError) as error:
        what = f"{path} can't be read"
        want = "weights alone: checkpoints that hold code or whole objects are refused"
        raise ModelError(explain(what, got=error, want=want, try_=f"torch.save(net.state_dict()); {TRUST}")) from error
    if not isinstance(found, dict):
        raise ModelError(explain(f"{path} is no state dictionary", got=type(found).__name__, want="a dictionary of tensors"))
    return found


def check_total(state: dict[str, Any], path: Path) -> None:
    """Refuse tensors that share what backs them, ever again: none of a network's do.

    Raises:
        ModelError: if they are larger than the file.
    """
    total = sum(value.numel() * value.element_size() for value in state.values() if isinstance(value, Tensor))
    if total > path.stat().st_size:
        raise ModelError(explain(f"the tensors of {path} are larger than its data", got=f"{total} bytes"))


def plain(key: str, tensor: Tensor, path: Path) -> Tensor:
    """Return a tensor as float32 that is what it says: dense, in memory, no view that is larger than what backs it.

    Raises:
        ModelError: if it is something else, or not finite.
    """
    dense = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not (dense and tensor.is_floating_point()):
        raise ModelError(
            explain(f"{key} of {path} is no plain tensor", got=f"{tensor.dtype}, {tensor.layout}", want="dense floats")
        )
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ModelError(explain(f"{key} of {path} is larger than its data", got=list(tensor.shape)))
    plain = tensor.detach().to(torch.float32).clone(memory_format=torch.contiguous_format)
    if not bool(torch.isfinite(plain).all()):
        raise ModelError(explain(f"{key} of {path} is not finite", try_="an earlier checkpoint"))
    return plain


def origin_of(path: Path) -> dict[str, Any]:
    """Return what a model that was made of a file says of its training: nothing but the file's name and hash."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "data": f"unknown: imported from {path.name}, sha256 {digest}",
        "licence": "unknown",
        "metrics": {},
        "seed": None,
        "slideseg_version": __version__,
    }
