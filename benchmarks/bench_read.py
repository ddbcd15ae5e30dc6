"""How fast are boxes read, against the bare decoder on the same tiles and against OpenSlide?

Slides of real content are made for the run. Bare is what can't be left out: the tiles' bytes from the file, through
imagecodecs, and thrown away. All three take turns; the slide is opened anew for each, so that nothing is kept from the last.
Freed memory stays with the process, for all three: whether the C library hands it back between two boxes, and the system takes
a millisecond to give it again, depends on what was read before and would decide the comparison.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import openslide
import tifffile
from common import hardware, write_result
from make_tiff import content

from slideseg.machine import keep_freed_memory, return_freed_memory
from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from slideseg.tasks.share import use_threads

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 4096
TILE = 256
SIDES = (256, 512, 1024)
ROUNDS = 7
LIMITS = {"to_bare": 0.9, "to_openslide": 4}
"""Ratios that are aimed at."""
APERIO = "Aperio Image Library v11\n4096x4096 |AppMag = 20|MPP = 0.5"
"""OpenSlide reads JPEG 2000 from files of this scanner."""
CODECS: dict[str, dict[str, Any]] = {
    "JPEG": {
        "compression": "jpeg",
        "compressionargs": {"level": 80},
        "photometric": "ycbcr",
        "subsampling": (2, 2),
    },
    "JPEG 2000": {
        "compression": 33005,
        "compressionargs": {"level": 32, "codecformat": "j2k"},
        "photometric": "rgb",
        "description": APERIO,
    },
    "deflate": {"compression": "zlib", "predictor": True, "photometric": "rgb"},
    "zstd": {"compression": "zstd", "predictor": True, "photometric": "rgb"},
}


@dataclass(frozen=True)
class Way:
    """How many threads read."""

    name: str
    callers: int
    inside: int
    """Threads that decode the tiles of one box."""


WAYS = (Way("1", 1, 1), Way("2", 2, 1), Way("2 in a box", 1, 2))


def make(folder: str, codec: str, tile: int) -> str:
    """Write a slide."""
    path = f"{folder}/{codec}-{tile}.tif".replace(" ", "")
    pattern = content()
    times = SIDE // len(pattern)
    options = {"tile": (tile, tile), "metadata": None, **CODECS[codec]}
    tifffile.imwrite(path, np.tile(pattern, (times, times, 1)), **options)
    return path


def boxes_of(side: int, shift: int) -> list[Box]:
    """Return boxes of ``side`` all over the slide, off its tiles' grid by ``shift``."""
    ends = range(shift, SIDE - side + 1, side)
    return [Box(y, x, y + side, x + side) for y in ends for x in ends]


class Bare:
    """Reads the tiles that boxes touch, with imagecodecs."""

    def __init__(self, path: str, codec: str) -> None:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            self._offsets, self._counts, self._tables = page.dataoffsets, page.databytecounts, page.jpegtables
            self._side, self._across = page.tilewidth, SIDE // page.tilewidth
        self._file = os.open(path, os.O_RDONLY)
        codecs = {"JPEG": self._jpeg, "JPEG 2000": self._jpeg2000, "deflate": self._deflate, "zstd": self._zstd}
        self._decode = codecs[codec]

    def tiles(self, box: Box) -> list[int]:
        """Return the numbers of the tiles that a box touches."""
        ys = range(box.y0 // self._side, -(-box.y1 // self._side))
        return [y * self._across + x for y in ys for x in range(box.x0 // self._side, -(-box.x1 // self._side))]

    def __call__(self, tile: int) -> None:
        """Decode one."""
        self._decode(os.pread(self._file, self._counts[tile], self._offsets[tile]))

    def close(self) -> None:
        os.close(self._file)

    def _jpeg(self, data: bytes) -> None:
        imagecodecs.jpeg8_decode(data, tables=self._tables)

    def _jpeg2000(self, data: bytes) -> None:
        imagecodecs.jpeg2k_decode(data)

    def _deflate(self, data: bytes) -> None:
        self._unpredict(imagecodecs.deflate_decode(data, out=self._side**2 * 3))

    def _zstd(self, data: bytes) -> None:
        self._unpredict(imagecodecs.zstd_decode(data, out=self._side**2 * 3))

    def _unpredict(self, data: bytes) -> None:
        imagecodecs.delta_decode(np.frombuffer(data, np.uint8).reshape(self._side, self._side, 3), axis=1)


def with_bare(path: str, codec: str, boxes: list[Box], way: Way) -> tuple[float, float]:
    bare = Bare(path, codec)
    tiles = [tile for box in boxes for tile in bare.tiles(box)]
    try:
        return seconds_of(bare, tiles, way.callers * way.inside)
    finally:
        bare.close()


def with_ours(path: str, boxes: list[Box], way: Way) -> tuple[float, float]:
    use_threads(way.inside)
    with open_slide(path) as slide:
        return seconds_of(slide.read, boxes, way.callers)


def with_openslide(path: str, boxes: list[Box], way: Way) -> tuple[float, float]:
    with openslide.OpenSlide(path) as slide:

        def read(box: Box) -> None:
            np.asarray(slide.read_region((box.x0, box.y0), 0, box.shape[::-1]))[..., :3]

        return seconds_of(read, boxes, way.callers * way.inside)


def seconds_of(work: Callable[[Any], object], pieces: list[Any], threads: int) -> tuple[float, float]:
    """Return the seconds by the clock and of the processor; nothing that ``work`` returns is kept."""

    def all_of(part: list[Any]) -> None:
        for piece in part:
            work(piece)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(all_of, [pieces[:2]] * threads))  # threads and tables are there before the clock starts
        clock, processor = time.perf_counter(), time.process_time()
        if threads == 1:
            all_of(pieces)
        else:
            list(pool.map(all_of, [pieces[number::threads] for number in range(threads)]))
        return time.perf_counter() - clock, time.process_time() - processor


def compare(path: str, codec: str, side: int, shift: int, way: Way, rounds: int) -> dict[str, Any]:
    """Return megapixels a second of the three, and ratios."""
    boxes = boxes_of(side, shift)
    ways = {
        "bare": partial(with_bare, path, codec, boxes, way),
        "ours": partial(with_ours, path, boxes, way),
        "openslide": partial(with_openslide, path, boxes, way),
    }
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, read in ways.items():
            runs[name].append(read())
    clock = {name: min(run[0] for run in found) for name, found in runs.items()}
    processor = {name: min(run[1] for run in found) for name, found in runs.items()}
    pixels = len(boxes) * side * side / 1e6
    return {
        **{f"{name}_megapixels_s": round(pixels / seconds, 1) for name, seconds in clock.items()},
        "to_bare": round(clock["bare"] / clock["ours"], 2),
        "to_bare_processor": round(processor["bare"] / processor["ours"], 2),
        "to_openslide": round(clock["openslide"] / clock["ours"], 2),
        "bare_to_openslide": round(clock["openslide"] / clock["bare"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--codecs", nargs="*", default=list(CODECS))
    given = parser.parse_args()
    return_freed_memory()  # as in the command and in a worker
    keep_freed_memory()
    busy = hardware()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for codec in given.codecs:
            paths = {tile: make(folder, codec, tile) for tile in SIDES}
            cases = [(TILE, side, 0) for side in SIDES] + [(tile, tile, 0) for tile in SIDES[1:]] + [(TILE, 1024, 100)]
            for tile, side, shift in cases:
                for way in WAYS:
                    if way.inside > 1 and side == tile:
                        continue  # one tile can't be shared out
                    row = {"codec": codec, "tile": tile, "box": side, "off_grid": shift, "threads": way.name}
                    row |= compare(paths[tile], codec, side, shift, way, given.rounds)
                    rows.append(row)
                    print(row, flush=True)
            for path in paths.values():
                Path(path).unlink()
    if given.codecs == list(CODECS):
        about = {"side": SIDE, "rounds": given.rounds, "limits": LIMITS}
        write_result("read", {**about, "rows": rows, "load_average_after": round(os.getloadavg()[0], 2)}, busy)


if __name__ == "__main__":
    main()
