"""Memory of decoded tiles: a cache that is bounded and shared by threads, and where a tile is decoded to."""

from __future__ import annotations

import threading

import numpy as np

from slideseg.slide.cache import CACHE_BYTES, TileCache, memory_for, tile_memory


def test_the_cache_is_bounded_and_keeps_what_was_used_last():
    cache, asked = TileCache(1000), []

    def get(number: int) -> None:
        cache.get((0, 0, number), lambda: asked.append(number) or np.zeros(300, np.uint8))

    for number in (1, 2, 3, 1, 4, 1, 2):
        get(number)
        assert cache.bytes <= 1000
    assert asked == [1, 2, 3, 4, 2]
    cache.get((0, 0, 9), lambda: np.zeros(2000, np.uint8))
    assert cache.bytes == 0
    assert CACHE_BYTES <= 1 << 27


def test_threads_share_a_cache():
    cache = TileCache(4000)
    wrong = []

    def work(seed: int) -> None:
        numbers = np.random.default_rng(seed).integers(0, 40, 500)
        got = [cache.get((0, 0, int(number)), lambda n=number: np.full(300, n, np.uint8))[0] for number in numbers]
        wrong.append(np.count_nonzero(numbers != got))

    running = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert wrong == [0, 0, 0, 0]
    assert cache.bytes == sum(pixels.nbytes for pixels in cache._kept.values()) <= 4000


def test_a_tile_is_decoded_in_its_place_or_in_the_memory_of_its_thread():
    out = np.zeros((64, 96, 3), np.uint16)
    assert memory_for(out[:32], (32, 96, 3)).base is out
    first = memory_for(out[:32, :32], (32, 32, 3))
    assert (first.shape, first.dtype, np.shares_memory(first, out)) == ((32, 32, 3), np.uint16, False)
    assert np.shares_memory(first, memory_for(out[:32, 32:64], (32, 32, 3)))  # the next one takes it
    others = []
    thread = threading.Thread(target=lambda: others.append(memory_for(out[:32, 64:], (32, 32, 3))))
    thread.start()
    thread.join()
    assert not np.shares_memory(first, others[0])
    assert memory_for(np.zeros((8, 8, 1), np.uint8), (4096, 4096, 1)) is None


def test_rows_are_not_written_past_the_caches():
    for side in range(1, 200, 7):
        memory = tile_memory((side, side, 3), np.dtype(np.uint16))
        assert memory.ctypes.data % 32 == 16
        memory[...] = side
        assert memory_for(memory[:, :-1], (side, side, 3)).ctypes.data % 32 == 16
