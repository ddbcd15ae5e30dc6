"""Are slides that can't be read in part copied at the decoder's speed, and large ones in bounded memory?

Striped TIFFs against imagecodecs on the same strips and threads; then the copy of pictures and single strips of 30,000 pixels a
side, each in a process of its own, whose peak memory is compared with that of a picture a tenth as high.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pyvips
import tifffile
from common import hardware, write_result
from make_tiff import content
from pyarrow import BufferOutputStream, CompressedOutputStream

from slideseg.machine import usable_cores
from slideseg.slide.open import open_slide
from slideseg.slide.rows.copy import chunk_slide

if TYPE_CHECKING:
    from collections.abc import Callable

WIDE = (4096, 16_384)
ROWS = 16
SIDE = 30_000
ROUNDS = 3
DECODERS: dict[str, Callable[..., Any]] = {
    "zlib": imagecodecs.deflate_decode,
    "zstd": imagecodecs.zstd_decode,
    "lzw": imagecodecs.lzw_decode,
}
WRITERS: dict[str, Callable[[pyvips.Image, str], None]] = {
    "PNG": lambda image, path: image.pngsave(path, compression=1),
    "JPEG": lambda image, path: image.jpegsave(path, Q=80),
    "TIFF, one strip, deflate": lambda image, path: strip(image, path, "deflate"),
    "TIFF, one strip, zstd": lambda image, path: zstd_strip(image, path),
    "TIFF, one strip, LZW": lambda image, path: strip(image, path, "lzw"),
    "TIFF, one strip, PackBits": lambda image, path: strip(image, path, "packbits"),
    "TIFF, one strip, JPEG": lambda image, path: strip(image, path, "jpeg"),
}
COPY = """
import sys, time
from slideseg.machine import return_freed_memory
return_freed_memory()
from slideseg.slide.open import open_slide
from slideseg.slide.rows.copy import chunk_slide
with open_slide(sys.argv[1]) as slide:
    started = time.perf_counter()
    chunk_slide(slide, sys.argv[2])
seconds = time.perf_counter() - started
status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # getrusage knows the parent's peak too
print(seconds, int(status["VmHWM"].split()[0]) // 1024)
"""


def picture(rows: int, columns: int) -> pyvips.Image:
    """Return a picture of real content with a sensor's noise; it is made as it is written."""
    pattern = content()
    times = [-(-side // len(pattern)) for side in (columns, rows)]
    image = pyvips.Image.new_from_array(pattern).replicate(*times).crop(0, 0, columns, rows)
    return (image + pyvips.Image.gaussnoise(columns, rows, mean=0, sigma=2)).cast("uchar")


def strip(image: pyvips.Image, path: str, compression: str) -> None:
    predictor = {"predictor": "horizontal"} if compression in ("deflate", "lzw") else {}
    image.tiffsave(path, compression=compression, tile=False, tile_height=image.height, bigtiff=True, **predictor)


def zstd_strip(image: pyvips.Image, path: str) -> None:
    """Write what libvips can't: it has no zstd."""
    shape, sink = (image.height, image.width, 3), BufferOutputStream()
    with CompressedOutputStream(sink, "zstd") as stream:
        for y in range(0, image.height, ROWS):
            rows = image.crop(0, y, image.width, min(ROWS, image.height - y)).numpy()
            stream.write(imagecodecs.delta_encode(rows, axis=1).tobytes())
    data = iter([sink.getvalue().to_pybytes()])
    options = {"compression": "zstd", "predictor": True, "rowsperstrip": image.height, "photometric": "rgb"}
    tifffile.imwrite(path, data, shape=shape, dtype=np.uint8, bigtiff=True, metadata=None, **options)


def striped(folder: str, codec: str) -> dict[str, Any]:
    """Copy a striped image and decode its strips barely, in turns."""
    path = f"{folder}/{codec}.tif"
    pixels = picture(*WIDE).numpy()
    tifffile.imwrite(path, pixels, rowsperstrip=ROWS, compression=codec, predictor=True, photometric="rgb", metadata=None)
    bare, ours = [], []
    for number in range(ROUNDS):
        bare.append(seconds_of(partial(bare_strips, path, codec)))
        ours.append(seconds_of(partial(copy, path, f"{folder}/{codec}-{number}.zarr")))
        shutil.rmtree(f"{folder}/{codec}-{number}.zarr")
    Path(path).unlink()
    bare_best, ours_best = ([min(seconds) for seconds in zip(*runs, strict=True)] for runs in (bare, ours))
    mebibytes = pixels.nbytes / 2**20
    return {
        "codec": codec,
        "bare_mib_s": round(mebibytes / bare_best[0]),
        "copy_mib_s": round(mebibytes / ours_best[0]),
        "ratio": round(bare_best[0] / ours_best[0], 2),
        "ratio_of_processor": round(bare_best[1] / ours_best[1], 2),
    }


def seconds_of(work: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def copy(path: str, place: str) -> None:
    with open_slide(path) as slide:
        chunk_slide(slide, place)


def bare_strips(path: str, codec: str) -> None:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        offsets, counts = page.dataoffsets, page.databytecounts
    decode, size, file_number = DECODERS[codec], ROWS * WIDE[1] * 3, os.open(path, os.O_RDONLY)

    def one(index: int) -> None:
        data = decode(os.pread(file_number, counts[index], offsets[index]), out=size)
        imagecodecs.delta_decode(np.frombuffer(data, np.uint8).reshape(ROWS, WIDE[1], 3), axis=1)

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(one, range(len(offsets))))
    os.close(file_number)


def copied(folder: str, name: str, rows: int) -> tuple[float, int]:
    """Return seconds and peak MiB of the process that copies a picture of ``rows`` rows."""
    path, place = f"{folder}/{name}{'.tif' if 'TIFF' in name else ''}".replace(" ", ""), f"{folder}/copy.zarr"
    subprocess.run([sys.executable, __file__, "--write", name, str(rows), path], check=True)
    out = subprocess.run([sys.executable, "-c", COPY, path, place], check=True, capture_output=True, text=True).stdout.split()
    Path(path).unlink()
    shutil.rmtree(place)
    return float(out[0]), int(out[1])


def large(folder: str, name: str) -> dict[str, Any]:
    _, small_peak = copied(folder, name, SIDE // 10)
    seconds, peak = copied(folder, name, SIDE)
    mebibytes = SIDE * SIDE * 3 / 2**20
    return {"file": name, "mib_s": round(mebibytes / seconds), "peak_mib": peak, "peak_mib_of_a_tenth": small_peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", nargs="*", default=list(WRITERS))
    parser.add_argument("--write", nargs=3, help="write one of the files, in this process: name, rows, path")
    given = parser.parse_args()
    if given.write:
        name, rows, path = given.write
        WRITERS[name](picture(int(rows), SIDE), path)
        return
    busy = hardware()
    with tempfile.TemporaryDirectory() as folder:
        stripes = []
        for codec in DECODERS:
            stripes.append(striped(folder, codec))
            print(stripes[-1], flush=True)
        files = []
        for name in given.files:
            files.append(large(folder, name))
            print(files[-1], flush=True)
    if given.files == list(WRITERS):
        about = {"wide": WIDE, "rows_a_strip": ROWS, "side": SIDE, "rounds": ROUNDS}
        after = {"load_average_after": round(os.getloadavg()[0], 2)}
        write_result("large", {**about, "stripes": stripes, "files": files, **after}, busy)


if __name__ == "__main__":
    main()
