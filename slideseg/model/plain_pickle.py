"""The one place where PyTorch's own files are read, which are pickles and may come from anybody.

They are read with ``weights_only=True`` alone. What that lets pass is checked here: archives that are larger inside, and
pickles that are short but ask for memory without end.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from slideseg.errors import one_line
from slideseg.machine import little_memory

if TYPE_CHECKING:
    from typing import BinaryIO

FAULTS = (
    *(pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, TypeError, LookupError, AttributeError),
    *(MemoryError, ArithmeticError, AssertionError),
)
"""What PyTorch raises at files that are damaged or made up."""
MORE = "Weights only load failed"
"""What PyTorch says of a pickle that holds something else; it goes on for many lines, in colours."""
ARCHIVE = b"PK\x03\x04"
"""How a zip archive begins, as PyTorch sees it."""
SLACK = 1 << 30
"""Bytes of memory that reading a file may take besides twice its size."""


class NotPlainError(ValueError):
    """The file holds more than plain values and tensors, can't be read, or is larger than it looks."""


def load_plain(file: BinaryIO) -> Any:
    """Return what a file that ``torch.save`` wrote holds: tensors on the CPU, and plain values.

    Tensors may still be of any kind and shape, also larger than what backs them.

    Raises:
        NotPlainError: if it can't be read so, or would take far more memory than the file is long.
    """
    size = file.seek(0, 2)
    _refuse_compressed(file, size)
    file.seek(0)
    try:
        with warnings.catch_warnings(action="ignore"), little_memory(2 * size + SLACK):  # on old pickle protocols
            return torch.load(file, map_location="cpu", weights_only=True)
    except FAULTS as error:
        told = one_line(str(error))[:120] or type(error).__name__
        reason = "more than tensors and plain values" if MORE in told else told
        raise NotPlainError(reason) from error


def _refuse_compressed(file: BinaryIO, size: int) -> None:
    """Refuse an archive that is larger inside than outside; PyTorch itself never compresses."""
    file.seek(0)
    if file.read(len(ARCHIVE)) != ARCHIVE:
        return  # the older format, or no checkpoint at all: torch.load says
    try:
        with zipfile.ZipFile(file) as archive:
            packed = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise NotPlainError(str(error)) from error
    if packed > size:
        msg = f"it is compressed inside: {packed} bytes in {size}"
        raise NotPlainError(msg)
