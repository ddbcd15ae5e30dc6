"""A bucket as zarr takes it, which asks again where `slideseg.storage.store` would."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, TypeVar

from obstore.exceptions import BaseError
from zarr.storage import ObjectStore

from slideseg.storage.bucket import PATIENCE
from slideseg.storage.trouble import is_passing
from slideseg.storage.waiting import FIRST_PAUSE, next_pause

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    from zarr.core.buffer import Buffer

T = TypeVar("T")


class BucketStore(ObjectStore[Any]):
    """Zarr's store of a bucket."""

    async def get(self, key: str, *arguments: Any, **more: Any) -> Buffer | None:
        """Return the bytes under a key, or a part of them; None where there is no such key."""
        return await _persistent(lambda: ObjectStore.get(self, key, *arguments, **more))

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[Any]) -> list[Buffer | None]:
        """Return parts of the bytes under several keys."""
        ranges = list(key_ranges)
        return await _persistent(lambda: ObjectStore.get_partial_values(self, prototype, ranges))

    async def exists(self, key: str) -> bool:
        """Tell whether there is a key."""
        return await _persistent(lambda: ObjectStore.exists(self, key))

    async def getsize(self, key: str) -> int:
        """Return how many bytes are under a key."""
        return await _persistent(lambda: ObjectStore.getsize(self, key))

    async def set(self, key: str, value: Buffer) -> None:
        """Put bytes under a key."""
        await _persistent(lambda: ObjectStore.set(self, key, value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Put bytes under a key that is not there."""
        await _persistent(lambda: ObjectStore.set_if_not_exists(self, key, value))

    async def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        await _persistent(lambda: ObjectStore.delete(self, key))

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:
        """Yield the names in a folder."""

        async def names() -> list[str]:
            return [name async for name in ObjectStore.list_dir(self, prefix)]

        for name in await _persistent(names):
            yield name


async def _persistent(act: Callable[[], Awaitable[T]]) -> T:
    """Do the same as `slideseg.storage.waiting.persistent`."""
    until, pause = time.monotonic() + PATIENCE, FIRST_PAUSE
    while True:
        try:
            return await act()
        except BaseError as error:
            if not is_passing(error) or time.monotonic() + pause > until:
                raise
        await asyncio.sleep(pause * random.uniform(0.5, 1))
        pause = next_pause(pause)
