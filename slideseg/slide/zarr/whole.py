"""Chunks and shards that are cut off: damage, where zarr and its codecs would make pixels of them.

Blosc's decoder believes the lengths in a chunk's head, and reads on behind a chunk that is shorter, whatever lies there; the
other codecs see where their bytes end. Chunks that lie behind the end of their shard are not stored, as zarr sees it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import zarr
from numcodecs import Blosc  # type: ignore[import-untyped]
from zarr.abc.codec import BytesBytesCodec
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.codecs import BytesCodec, ShardingCodec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

_HEAD = struct.Struct("<2xBxIxxxxI")
"""Flags, length of the pixels, length of the chunk."""
_STORED = 2
"""The flag of pixels that are stored as they are, behind the head."""
_MOST = (1 << 31) - 1
"""Bytes that blosc can decode."""


def checked(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return an array that raises ValueError for shards and for blosc's chunks that are not whole."""
    metadata = array.metadata
    if metadata.zarr_format == 2:
        if not isinstance(metadata.compressor, Blosc):
            return array
        size = None if metadata.filters else math.prod(metadata.chunks) * array.dtype.itemsize
        careful: Any = replace(metadata, compressor=CheckedBlosc.like(metadata.compressor, size))
    else:
        codecs = tuple(_checked(metadata.codecs))
        if codecs == metadata.codecs:
            return array
        careful = replace(metadata, codecs=codecs)
    return zarr.Array(zarr.AsyncArray(careful, array.store_path))


def _checked(codecs: Sequence[Any]) -> Iterator[Any]:
    """Yield codecs, with a look at the chunk behind blosc: decoded is from the last to the first."""
    before = None
    for codec in codecs:
        yield WholeShards.like(codec) if isinstance(codec, ShardingCodec) else codec
        if codec.to_dict()["name"] in ("blosc", "numcodecs.blosc"):
            yield WholeBlosc(sized=isinstance(before, BytesCodec))
        before = codec


class CheckedBlosc(Blosc):  # type: ignore[misc]  # numcodecs has no types
    """The codec of zarr's version 2, which looks at a chunk before it decodes it."""

    size: int | None = None
    """Bytes of a chunk's pixels, where that is known."""

    @classmethod
    def like(cls, blosc: Blosc, size: int | None) -> CheckedBlosc:
        """Return one that is set as ``blosc`` is, for chunks with ``size`` bytes of pixels."""
        settings = blosc.get_config()
        del settings["id"]
        checked = cls(**settings)
        checked.size = size
        return checked

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode as blosc does.

        Raises:
            ValueError: if it is not whole.
        """
        _check(memoryview(buf).cast("B"), self.size)
        return super().decode(buf, out)


@dataclass(frozen=True)
class WholeBlosc(BytesBytesCodec):
    """Hands on what blosc decodes next, if it is whole."""

    sized: bool
    """Whether blosc holds pixels as they are, so that it is known how long they are."""
    is_fixed_size = True

    def to_dict(self) -> dict[str, Any]:
        """Return its name, which stands in no file."""
        return {"name": "slideseg.whole_blosc"}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:  # noqa: ARG002  # as zarr asks
        """Return the same length."""
        return input_byte_length

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        size = math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize if self.sized else None
        _check(memoryview(chunk_data.as_buffer_like()).cast("B"), size)
        return chunk_data


class WholeShards(ShardingCodec):
    """Shards whose chunks and indexes are as long as they should be."""

    @classmethod
    def like(cls, codec: ShardingCodec) -> WholeShards:
        """Return one that reads what ``codec`` does."""
        return cls(
            chunk_shape=codec.chunk_shape,
            codecs=tuple(_checked(codec.codecs)),
            index_codecs=codec.index_codecs,
            index_location=codec.index_location,
        )

    async def _decode_partial_single(self, byte_getter: Any, selection: Any, shard_spec: ArraySpec) -> Any:
        return await super()._decode_partial_single(_Whole(byte_getter), selection, shard_spec)


@dataclass(frozen=True, slots=True)
class _Whole:
    """Gets bytes, all that are asked for."""

    of: Any

    async def get(self, prototype: Any, byte_range: Any = None) -> Any:
        found = await self.of.get(prototype, byte_range)
        if found is None:
            return None
        wanted = 1
        if isinstance(byte_range, RangeByteRequest):
            wanted = byte_range.end - byte_range.start
        elif isinstance(byte_range, SuffixByteRequest):
            wanted = byte_range.suffix
        if len(found) < wanted:
            msg = f"a shard is cut off, there are {len(found)} bytes of {wanted}"
            raise ValueError(msg)
        return found


def _check(chunk: memoryview, size: int | None) -> None:
    if len(chunk) < _HEAD.size:
        msg = f"a chunk is cut off, it has {len(chunk)} bytes"
        raise ValueError(msg)
    flags, pixels, length = _HEAD.unpack_from(chunk)
    if flags & _STORED:
        length = max(length, pixels + _HEAD.size)
    if len(chunk) < length:
        msg = f"a chunk is cut off, it has {len(chunk)} bytes of {length}"
        raise ValueError(msg)
    if pixels > _MOST or size not in (None, pixels):
        msg = f"a chunk says that it holds {pixels} bytes of pixels" + (f", not {size}" if size is not None else "")
        raise ValueError(msg)
