"""What pydicom is asked: the head of a file, up to its pixels. Nothing else of the house sees pydicom."""

from __future__ import annotations

import io
import logging
import struct
import tempfile
import warnings
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_partial, read_preamble

from slideseg.errors import SlideError, explain
from slideseg.slide.dicom.detect import HEAD, looks_like_dicom
from slideseg.slide.reader import MAX_WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE  # what matters is checked and said here
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").addHandler(logging.NullHandler())

FAULTS = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and the codecs raise on damaged files; SlideError says it in one line."""
LAST_OF_META = 0x0002FFFF
SERIES = 0x0020000E
PER_FRAME = 0x52009230
EXTENDED_OFFSETS = 0x7FE00001
PIXEL_DATA = 0x7FE00010
PIXELS = (0x7FE00008, 0x7FE00009, PIXEL_DATA)
DEFLATED = "1.2.840.10008.1.2.1.99"
_PIECE = 1 << 20


@contextmanager
def refusing(path: str, where: str = "") -> Iterator[None]:
    """Turn what pydicom and the codecs raise into a SlideError."""
    try:
        yield
    except SlideError:
        raise
    except FAULTS as fault:
        got = f"{type(fault).__name__}: {fault}"[:200]
        raise SlideError(explain(f"{path}: damaged or unsupported DICOM{where}", got=got)) from fault


def beginning_of(path: str) -> Dataset | None:
    """Return the head of the file at ``path`` up to its series; None if it is no DICOM file."""
    try:
        with Path(path).open("rb") as file:
            if not looks_like_dicom(file.read(HEAD)):
                return None
            file.seek(0)
            if _syntax_of(file) == DEFLATED:
                begin = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(_PIECE), _PIECE)
                return read_dataset(io.BytesIO(begin), False, True, stop_when=_behind_the_series)
            file.seek(0)
            return read_partial(file, _behind_the_series, force=True)
    except FAULTS:
        return None


def series_of(path: str) -> str | None:
    """Return the series that the file at ``path`` says it belongs to; None if it is no DICOM file."""
    head = beginning_of(path)
    uid = None if head is None else head.get("SeriesInstanceUID")
    return str(uid) if uid else None


def open_plain(path: str) -> tuple[BinaryIO, str, Dataset]:
    """Return the file at ``path``, its transfer syntax, and its head without what each frame says of itself.

    The file stands where the head ends: before the per-frame groups, the offset tables or the pixels. One that is deflated as a
    whole is inflated into a temporary file first, which takes its place.

    Raises:
        SlideError: if it is no DICOM file or damaged.
    """
    file: BinaryIO = Path(path).open("rb")  # noqa: SIM115  # the caller's, who closes it
    try:
        with refusing(path):
            syntax = _syntax_of(file)
            if syntax == DEFLATED:
                file = _inflated(file, path)
                return file, syntax, read_dataset(file, False, True, stop_when=_at_the_frames)
            file.seek(0)
            return file, syntax, read_partial(file, _at_the_frames, force=True)
    except SlideError:
        file.close()
        raise


def _syntax_of(file: BinaryIO) -> str:
    """Return the transfer syntax that a file's meta information names; the file stands behind that then."""
    read_preamble(file, force=True)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag > LAST_OF_META)  # noqa: ARG005
    return str(meta.get("TransferSyntaxUID") or pydicom.uid.ImplicitVRLittleEndian)


def _behind_the_series(tag: int, vr: str | None, length: int) -> bool:  # noqa: ARG001  # pydicom's form
    return tag > SERIES


def _at_the_frames(tag: int, vr: str | None, length: int) -> bool:  # noqa: ARG001  # pydicom's form
    return tag == PER_FRAME or tag >= EXTENDED_OFFSETS


def _inflated(file: BinaryIO, path: str) -> BinaryIO:
    """Return a temporary file with the inflated rest of ``file``, which stands behind its meta information; close ``file``."""
    engine, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with file:
        plain = tempfile.TemporaryFile()  # noqa: SIM115  # takes the place of the file
        while piece := file.read(_PIECE):
            while piece:
                total += plain.write(engine.decompress(piece, _PIECE))
                piece = engine.unconsumed_tail
                if total > MAX_WHOLE:
                    raise SlideError(explain(f"{path} inflates to too much", got=f"over {total} bytes", want=f"{MAX_WHOLE}"))
        plain.write(engine.flush())
    if not engine.eof:
        plain.close()
        raise SlideError(explain(f"{path} is cut off", got="a deflated data set without its end"))
    plain.seek(0)
    return plain


def first_item(data: Any, name: str) -> Any | None:
    """Return the first item of the sequence ``name`` of a data set; None if there is none."""
    sequence = None if data is None else data.get(name)
    return sequence[0] if sequence else None
