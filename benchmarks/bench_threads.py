"""How should cores be shared out? The same tiles through 2 workers x 1 thread, 1 worker x 2 threads and 2 x 2.

Only the network runs, in processes of their own; they start together when all are ready. Best of several.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from common import hardware, random_model, wait_politely, write_result

from slideseg.model.file import load_model_file

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

WAYS = ((2, 1), (1, 2), (2, 2))
"""(workers, threads)."""
TILE = 1020


def worker(model_path: str, threads: int, tiles: int, start: Barrier, end: Barrier) -> None:
    """Run ``tiles`` tiles between the two barriers."""
    torch.set_num_threads(threads)
    net = load_model_file(model_path).net
    x_NCHW = torch.rand(1, 3, TILE, TILE).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        net.forward_valid(x_NCHW)
        start.wait()
        for _ in range(tiles):
            net.forward_valid(x_NCHW)
        end.wait()


def seconds(model_path: Path, workers: int, threads: int, tiles: int) -> float:
    """Time ``tiles`` tiles shared out to the workers."""
    context = multiprocessing.get_context("spawn")
    start, end = context.Barrier(workers + 1), context.Barrier(workers + 1)
    arguments = (str(model_path), threads, tiles // workers, start, end)
    processes = [context.Process(target=worker, args=arguments) for _ in range(workers)]
    for process in processes:
        process.start()
    start.wait()
    started = time.perf_counter()
    end.wait()
    elapsed = time.perf_counter() - started
    for process in processes:
        process.join()
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=32, help="channels at full resolution")
    parser.add_argument("--tiles", type=int, default=4, help="tiles a run, an even number")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    wait_politely()
    busy = hardware()
    with tempfile.TemporaryDirectory() as folder:
        model = random_model(Path(folder, "model.safetensors"), given.width)
        runs = [[seconds(model, *way, given.tiles) for way in WAYS] for _ in range(given.repeats)]
    best = {f"{w} x {t}": round(min(run[i] for run in runs), 2) for i, (w, t) in enumerate(WAYS)}
    result = {
        "base_channels": given.width,
        "tiles": given.tiles,
        "tile": TILE,
        "repeats": given.repeats,
        "seconds_by_workers_x_threads": best,
        "fastest": min(best, key=best.__getitem__),
    }
    write_result("threads", result, busy)


if __name__ == "__main__":
    main()
