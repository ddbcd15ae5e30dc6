"""The arrays of a store: create them, write and read whole shards of them."""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from slideseg.arrays.codec import (
    DIGEST_BYTES,
    ZSTD_LEVEL,
    DamagedShardError,
    ShardIndex,
    chunks_in,
    decode_box,
    decode_shard,
    digest_of,
    digest_place,
    encode_shard,
)
from slideseg.arrays.plan import MOST_SHARDS, ArrayPlan
from slideseg.errors import ResultError, RunError, explain
from slideseg.storage.store import (
    list_keys,
    read_end,
    read_key,
    read_ranges,
    read_tail,
    reason,
    run_errors,
    storage_errors,
    write_key,
    zarr_store,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.space.box import Box
    from slideseg.storage.store import Store


def create_array(store: Store, plan: ArrayPlan, attributes: dict[str, Any] | None = None) -> None:
    """Create an array unless it is there already.

    Raises:
        ResultError: if another array is there under its name.
        RunError: if the storage fails.
    """
    with run_errors(f"array {plan.path} can't be created"):
        if read_key(store, f"{plan.path}/zarr.json") is None:
            _create(store, plan, attributes)
            return
        got = plan_of(store, plan.path)
    if got != plan:
        raise ResultError(explain(f"array {plan.path} is not this result's", got=got, want=plan, try_="--overwrite"))


def _create(store: Store, plan: ArrayPlan, attributes: dict[str, Any] | None) -> None:
    zarr.create_array(
        zarr_store(store),
        name=plan.path,
        shape=plan.shape,
        dtype=plan.dtype,
        chunks=plan.chunk,
        shards=plan.shard,
        compressors=ZstdCodec(level=ZSTD_LEVEL, checksum=True),
        fill_value=0,
        dimension_names=list(plan.axes),
        attributes=attributes,
        config={"write_empty_chunks": True},
    )


def plan_of(store: Store, path: str) -> ArrayPlan:
    """Read back how an array is cut.

    Raises:
        ResultError: if it is missing, damaged, or not written by slideseg.
    """
    raw = read_key(store, f"{path}/zarr.json")
    if raw is None:
        raise ResultError(explain(f"array {path} is missing", try_="slideseg verify"))
    try:
        meta = json.loads(raw)
        side = int(meta["chunk_grid"]["configuration"]["chunk_shape"][-1])
        axes = "".join(meta["dimension_names"])
        plan = ArrayPlan(path, axes, _sides(meta["shape"], axes), side, np.dtype(meta["data_type"]).name)
        _check_size(plan)
        fits = meta["codecs"] == _codecs(plan) and tuple(meta["chunk_grid"]["configuration"]["chunk_shape"]) == plan.shard
    except (ArithmeticError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise ResultError(explain(f"the description of array {path} is damaged", got=repr(error))) from error
    if not fits:
        raise ResultError(explain(f"array {path} is not in slideseg's form", try_="slideseg verify"))
    return plan


def _sides(shape: list[int], axes: str) -> tuple[int, ...]:
    """Return a shape as it stands in a description.

    Raises:
        ValueError: if it is none of these axes, of which y and x are the last.
    """
    if not axes.endswith("yx") or len(shape) != len(axes) or not all(type(side) is int and side > 0 for side in shape):
        msg = f"shape {shape} of axes {axes}"
        raise ValueError(msg)
    return tuple(shape)


def _check_size(plan: ArrayPlan) -> None:
    """Refuse an array of more shards than anybody has written, before lists are made of them.

    Raises:
        ValueError: if it is one.
    """
    shards = math.prod(-(-side // shard) for side, shard in zip(plan.shape, plan.shard, strict=True))
    if shards > MOST_SHARDS:
        msg = f"{shards} shards"
        raise ValueError(msg)


def _codecs(plan: ArrayPlan) -> list[dict[str, Any]]:
    endian = {} if plan.dtype in ("uint8", "int8", "bool") else {"configuration": {"endian": "little"}}
    inner = [{"name": "bytes", **endian}, {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": True}}]
    index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    configuration = {"chunk_shape": list(plan.chunk), "codecs": inner, "index_codecs": index, "index_location": "end"}
    return [{"name": "sharding_indexed", "configuration": configuration}]


def array_attributes(store: Store, path: str) -> dict[str, Any]:
    """Return the attributes of an array or a group; empty where there is none.

    Raises:
        ResultError: if its description is damaged.
    """
    key = f"{path}/zarr.json".lstrip("/")
    raw = read_key(store, key)
    try:
        return {} if raw is None else dict(json.loads(raw).get("attributes", {}))
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ResultError(explain(f"{key} is damaged", got=repr(error), try_="slideseg verify --repair")) from error


def write_shard(store: Store, plan: ArrayPlan, index: int, values: np.ndarray) -> None:
    """Write a whole shard, (y, x) or (c, y, x), atomically; the same values give the same bytes.

    Raises:
        RunError: if the storage fails, or the array is no longer there.
        ValueError: if shape or type are not the shard's.
    """
    want = plan.values_shape(plan.grid[index])
    if values.shape != want or values.dtype.name != plan.dtype:
        msg = f"shard {index} of {plan.path} holds {want} {plan.dtype}, not {values.shape} {values.dtype}"
        raise ValueError(msg)
    with run_errors(f"shard {plan.key(index)} can't be written"):
        shard = encode_shard(values, plan.side)
        if read_key(store, f"{plan.path}/zarr.json") is None:  # what is written now would be in the way of another try
            what = f"array {plan.path} is gone: somebody removed the result while it was written"
            raise RunError(explain(what, try_="the same command again"))
        write_key(store, plan.key(index), shard)


def read_shard(store: Store, plan: ArrayPlan, index: int) -> np.ndarray:
    """Read a whole shard, (y, x) or (c, y, x).

    Raises:
        ResultError: if it is missing or damaged.
    """
    key = plan.key(index)
    with _shard_errors(key):
        data = read_key(store, key)
        if data is None:
            raise _missing(key)
        return decode_shard(data, plan.values_shape(plan.grid[index]), plan.side, plan.dtype)


@dataclass(frozen=True, slots=True)
class Seal:
    """What tells a file from every other one."""

    size: int
    """Its bytes."""
    sha256: str
    """Hash of them, but for those of the hash that lies in the file itself."""
    at: int | None = None
    """Where that one lies; None where there is none."""

    @classmethod
    def of(cls, data: bytes, at: int | None = None) -> Seal:
        """Return a file's, from all its bytes.

        Raises:
            DamagedShardError: if they don't fit the hash that lies ``at`` a place in them.
        """
        return cls(len(data), hashlib.sha256(data).hexdigest() if at is None else digest_of(data, at).hex(), at)


def seal_of_shard(store: Store, plan: ArrayPlan, index: int) -> Seal:
    """Return a shard's, by what it says itself in its last bytes: those before them are not read.

    Raises:
        ResultError: if it is missing, or these bytes are damaged.
    """
    key, channels = plan.key(index), plan.channels or 1
    with _shard_errors(key):
        found = read_end(store, key, DIGEST_BYTES + ShardIndex.length(channels, plan.side))
        if found is None:
            raise _missing(key)
        tail, size = found
        at = digest_place(tail, size, channels, plan.side)
        if at is not None:
            return Seal(size, tail[:DIGEST_BYTES].hex(), at)
        data = read_key(store, key)  # of an older version, which wrote no hash into it
        if data is None:
            raise _missing(key)
        return Seal.of(data)


def read_part(store: Store, plan: ArrayPlan, index: int, box: Box) -> np.ndarray:
    """Read a box (y, x) or (c, y, x) of a shard, in pixels from its first one; only the chunks that it touches are read.

    Raises:
        ResultError: if the shard, or one of these chunks, is missing or damaged.
    """
    key, channels = plan.key(index), plan.channels or 1
    if box.shape == plan.grid[index].write_box.shape:
        return read_shard(store, plan, index)
    with _shard_errors(key):
        tail = read_tail(store, key, ShardIndex.length(channels, plan.side))
        if tail is None:
            raise _missing(key)
        there = ShardIndex.of_tail(tail, channels, plan.side)
        frames = read_ranges(store, key, [there.place(*chunk) for chunk in chunks_in(box, channels)])
        return decode_box(box, () if plan.channels is None else (channels,), frames, plan.dtype)


@contextmanager
def _shard_errors(key: str) -> Iterator[None]:
    try:
        yield
    except DamagedShardError as error:
        raise ResultError(explain(f"shard {key} is damaged", got=error, try_="slideseg verify --repair")) from error
    except storage_errors() as error:
        raise ResultError(explain(f"shard {key} can't be read", got=reason(error))) from error


def _missing(key: str) -> ResultError:
    return ResultError(explain(f"shard {key} is missing", try_="slideseg verify --repair"))


def finished_shards(store: Store, plan: ArrayPlan) -> set[int]:
    """Return the indices of the shards that are there, by one listing.

    Raises:
        RunError: if the storage fails.
    """
    with run_errors(f"the shards of {plan.path} can't be listed"):
        there = set(list_keys(store, f"{plan.path}/c/"))
    return {index for index, key in enumerate(plan.shard_keys()) if key in there}


def missing_shards(store: Store, plan: ArrayPlan) -> list[int]:
    """Return the indices of the shards that are not there, by one listing.

    Raises:
        RunError: if the storage fails.
    """
    done = finished_shards(store, plan)
    return [index for index in range(len(plan.grid)) if index not in done]
