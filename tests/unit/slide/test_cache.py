"""The cache of decoded tiles: bounded, and shared by threads."""

from __future__ import annotations

import threading

import numpy as np

from slideseg.slide.cache import CACHE_BYTES, TileCache


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
