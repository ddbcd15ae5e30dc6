"""Networks that are code. They are run here alone, and only once their user said that he trusts who made them.

A program of PyTorch, or the source in a package, is run on import; what becomes a model is the graph of what it did. So no code
goes along with a model, and whoever is given it need not trust anybody.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor, nn

from slideseg.errors import ModelError, explain, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

Program = Literal["TorchScript", "torch.export"]
"""Programs of PyTorch."""
TRUST = "--trust, if you trust who made it"
PARTS: dict[str, Program] = {"/code/": "TorchScript", "/archive_format": "torch.export", "/models/": "torch.export"}
"""Files that only a program has, by a part of their names."""
KERNEL_AXES = 4
MODULE = "slideseg_trusted_network"
"""What the source in a package is called as a module."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the class of a network is."""

    name: str
    """The class."""
    arguments: dict[str, Any]
    """What it is made with."""
    module: str | None
    """The installed module that has it; None if it is in ``code``."""
    code: bytes
    """Python."""


def program_in(path: Path) -> Program | None:
    """Return what kind of a program a file is, by what is in it; None if it is none."""
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, BadZipFile):
        return None
    return next((kind for part, kind in PARTS.items() if any(part in name for name in names)), None)


def run_program(file: BinaryIO, kind: Program, what: str) -> nn.Module:
    """Return a program's network; ``what`` names it in errors.

    Raises:
        ModelError: if it can't be read.
    """
    with running(f"{what} can't be read"):
        if kind == "TorchScript":
            script: nn.Module = torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]
            return script.eval()
        return _Called(torch.export.load(file).module())


def run_source(source: Source, weights: BinaryIO, what: str) -> nn.Module:
    """Return the network that a source makes, with weights; ``what`` names it in errors.

    Raises:
        ModelError: if there is no such class, it can't be made, or the weights are another one's.
    """
    with running(f"{what} can't be made: {source.name}"):
        module = _module_of(source.code) if source.module is None else importlib.import_module(source.module)
        net: nn.Module = getattr(module, source.name)(**source.arguments)
        net.load_state_dict(state_of(unpickle(weights, what)))
        return net.eval()


def unpickle(file: BinaryIO, what: str) -> Any:
    """Return what a pickle of PyTorch's holds, whatever it is; ``what`` names it in errors.

    Raises:
        ModelError: if it can't be read.
    """
    with running(f"{what} can't be read"):
        return torch.load(file, map_location="cpu", weights_only=False)


def state_of(found: Any) -> Any:
    """Return the weights of a whole network, or what else it is."""
    return found.state_dict() if isinstance(found, nn.Module) else found


def is_network(path: Path) -> bool:
    """Tell whether a pickle, which is read whole, is a network and not its weights alone.

    Raises:
        ModelError: if it can't be read.
    """
    with path.open("rb") as file:
        return isinstance(unpickle(file, str(path)), nn.Module)


def channels_in(net: nn.Module, what: str) -> int:
    """Return the channels of the images that a network takes: those of its first kernel.

    Raises:
        ModelError: if it has none.
    """
    kernels = (tensor for tensor in net.state_dict().values() if isinstance(tensor, Tensor) and tensor.ndim == KERNEL_AXES)
    if (first := next(kernels, None)) is None:
        raise ModelError(explain(f"{what} does not say how many channels its image has", try_="--mean, a value for each"))
    return first.shape[1]


class _Called(nn.Module):
    """An exported program, which lets nobody set whether it is trained."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        for name, tensor in net.state_dict().items():
            self.register_buffer(name.replace(".", "_"), tensor)
        self._made = [net.requires_grad_(requires_grad=False)]

    def forward(self, x_NCHW: Tensor) -> Any:
        return self._made[0](x_NCHW)


def _module_of(code: bytes) -> Any:
    """Return the module that a source is."""
    with tempfile.TemporaryDirectory(prefix="slideseg-") as folder:
        file = Path(folder) / f"{MODULE}.py"
        file.write_bytes(code)
        spec = importlib.util.spec_from_file_location(MODULE, file)
        if spec is None or spec.loader is None:  # never of a file that ends in .py
            raise ImportError(MODULE)
        module = importlib.util.module_from_spec(spec)
        sys.modules[MODULE] = module
        try:
            spec.loader.exec_module(module)
        finally:
            del sys.modules[MODULE]
        return module


@contextlib.contextmanager
def running(what: str) -> Iterator[None]:
    """Turn whatever other people's code raises into one line that begins with ``what``; what it prints goes to stderr.

    Raises:
        ModelError: if it raises something.
    """
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(sys.stderr):
            yield
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        got = one_line(f"{type(error).__name__}: {error}")[:200]
        raise ModelError(explain(what, got=got)) from error
