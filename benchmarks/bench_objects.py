"""How long does it take to find objects, and how much memory?

First against peers, on one mask of 2048 x 2048 pixels with about 5000 objects in 16 pieces of 512 x 512:

- memory to memory: ours in one thread (`label_image`: parts of every piece, joined, painted), `dask_image.ndmeasure.label` on a
  Dask array of the same pieces, computed by Dask's threads, and `scipy.ndimage.label` on the whole.
- store to store: ours (the same as in `slideseg objects`, one process, without pyramid and table) from a result's class map to
  its labels, and `dask_image.ndmeasure.label` from the same class map to a zarr array with the same shards. Both read and
  write zarr with zstd.
- store to store: `distributed_eval` of cellpose, its network replaced by `scipy.ndimage.label`: overlapping pieces, faces
  compared, numbers given anew, by two workers of Dask, which are there before (`peers_objects.py`).

The results are checked to be equal: ours and scipy's number by number, dask-image's up to its other order of numbers;
cellpose's may differ, and that is counted. All ways take turns; the best of several counts, of the clock's seconds and of the
processor's: beside other work the clock is hard on threads, so the claim is for both. Claim: at least 50 times as fast as
dask-image, memory to memory.

Then the whole of `slideseg objects` for larger and larger masks, each in a process of its own: seconds and peak memory of each
step. The mask is a torus of random discs of 2003 x 2003 pixels, repeated, so that no two shards are alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np
import zarr
from common import RESULTS, hardware, write_result
from scipy import ndimage
from turns import Team

import slideseg
from slideseg.arrays.pyramid import write_pyramid
from slideseg.arrays.shards import create_array, plan_of
from slideseg.instances.labelling.paint import label_image
from slideseg.instances.workers import LabelsWorker, ObjectsJob, PartsWorker, clear_work, number_objects
from slideseg.model.objects import ObjectRules
from slideseg.result.commit import commit
from slideseg.result.create import create_result
from slideseg.result.layout import SEGMENTATION, ResultLayout
from slideseg.result.shards import ShardStore
from slideseg.space.grid import ShardGrid
from slideseg.storage.store import open_store
from slideseg.testing.records import made_classes, made_coordinates, made_record, made_slide

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 50
PERIOD = 2003
"""Prime, so that the mask lies differently in every shard."""
SIDE, PIECE = 2048, 512
PER_PIXEL = 5000 / SIDE**2
"""Discs a pixel; a few touch and become one object."""
CLASSES = made_classes("background", "nucleus")
RULES = ObjectRules((1,))


def torus(seed: int = 0) -> np.ndarray:
    """Return discs of 5 to 9 pixels' radius, at places that leave most of them alone, on a torus of `PERIOD` pixels a side."""
    random = np.random.default_rng(seed)
    mask = np.zeros((PERIOD, PERIOD), np.uint8)
    cell = PER_PIXEL**-0.5
    number = round(PERIOD / cell)
    for row in range(number):
        for column in range(number):
            y, x = ((index + 0.5 + random.uniform(-0.15, 0.15)) * PERIOD / number for index in (row, column))
            radius = random.uniform(5, 9)
            ys, xs = (np.arange(int(centre - radius), int(centre + radius) + 2) for centre in (y, x))
            disc = np.hypot(ys[:, None] - y, xs[None] - x) <= radius
            mask[np.ix_(ys % PERIOD, xs % PERIOD)] |= disc
    return mask


def write_mask(url: str, side: int, shard_side: int) -> None:
    """Write a finished result whose class map is the torus repeated, shard by shard."""
    layout = ResultLayout(ShardGrid((side, side), 1, shard_side), None, CLASSES, 0, made_coordinates(0.25))
    record = made_record(slide=made_slide("mask", shape=(side, side, 3), mpp=0.25), classes=CLASSES)
    create_result(url, layout, record, overwrite=True)
    store, mask = ShardStore(url, layout), torus()
    for shard in layout.grid:
        box = shard.write_box
        rows, columns = np.arange(box.y0, box.y1) % PERIOD, np.arange(box.x0, box.x1) % PERIOD
        store.write(shard, mask[np.ix_(rows, columns)])
    write_pyramid(url, layout.segmentation(), "mode", layout.levels)
    commit(url, layout, record)


# --- against peers ---------------------------------------------------------------------------------------------------------


def by_dask_image(pieces: dask.array.Array) -> dask.array.Array:
    """Return the labels as dask-image makes them, not computed yet."""
    from dask_image import ndmeasure  # noqa: PLC0415 - of the bench extra; the other half runs without

    return ndmeasure.label(pieces)[0]


def store_to_store(url: str) -> None:
    """Do what ``slideseg objects`` does between the class map and the labels."""
    store = open_store(url)
    clear_work(store)
    job = ObjectsJob(url, plan_of(store, f"{SEGMENTATION}/0"), RULES)
    parts = PartsWorker(job)
    for index in range(len(job.class_map.grid)):
        parts(index)
    found = number_objects(job)
    number = getattr(found, "number", found)
    create_array(store, job.labels(number), {})
    labels = LabelsWorker(job, number)
    for index in range(len(job.class_map.grid)):
        labels(index)
    clear_work(store)


def dask_store_to_store(url: str, output: str) -> None:
    """Let dask-image label a class map from its shards into shards of the same size."""
    pieces = dask.array.from_zarr(url, component=f"{SEGMENTATION}/0", chunks=(PIECE, PIECE))
    packed = zarr.codecs.ZstdCodec()
    shape, shards, chunks = pieces.shape, (PIECE, PIECE), (256, 256)
    target = zarr.create_array(
        output, shape=shape, dtype="int32", chunks=chunks, shards=shards, compressors=packed, overwrite=True
    )
    dask.array.store(by_dask_image(pieces), target, lock=False)


def cut_or_joined(found: np.ndarray, truth: np.ndarray) -> dict[str, int]:
    """Count the objects of a label image that is not ours which are only a part of one, and those that are several."""
    pairs = np.unique(np.stack([found.ravel(), truth.ravel()]).astype(np.int64), axis=1)
    of_found, of_truth = (np.unique(side[side > 0], return_counts=True)[1] for side in pairs)
    return {"objects": of_found.size, "joined": int((of_found > 1).sum()), "cut": int((of_truth > 1).sum())}


def same_up_to_names(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether two label images differ in the numbers of their objects only."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]).astype(np.int64), axis=1)
    return all(np.unique(side).size == side.size for side in pairs) and bool((pairs[:, pairs[0] == 0] == 0).all())


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of the clock and of the processor."""
    started = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started[0], time.process_time() - started[1]


def compare(folder: Path, repeats: int) -> dict[str, Any]:
    """Time all ways alternately and check that they find the same."""
    url, output = str(folder / "mask.zarr"), str(folder / "peer.zarr")
    write_mask(url, SIDE, PIECE)
    mask: np.ndarray = zarr.open_array(url, path=f"{SEGMENTATION}/0", mode="r")[:]
    pieces = dask.array.from_array(mask, chunks=(PIECE, PIECE))
    ways: dict[str, Callable[[], Any]] = {
        "slideseg, memory": lambda: label_image(mask, RULES, PIECE),
        "dask-image, memory": lambda: by_dask_image(pieces).compute(),
        "scipy, memory": lambda: ndimage.label(mask)[0],
        "slideseg, store": lambda: store_to_store(url),
        "dask-image, store": lambda: dask_store_to_store(url, output),
    }
    truth = ways["scipy, memory"]()
    ours, theirs = ways["slideseg, memory"](), ways["dask-image, memory"]()
    ways["slideseg, store"]()
    ways["dask-image, store"]()
    stored, peer = zarr.open_array(url, path="labels/objects/0", mode="r")[:], zarr.open_array(output, mode="r")[:]
    equal = {
        "slideseg and scipy, number by number": bool((ours == truth).all() and (stored == truth).all()),
        "dask-image and scipy, up to the order": same_up_to_names(theirs, truth) and same_up_to_names(peer, truth),
    }
    np.save(folder / "mask.npy", mask)
    from bench_peers import HERE, python_of  # noqa: PLC0415 - PyTorch is not to count in what objects take

    words = [str(HERE / "peers_objects.py"), str(folder / "mask.npy"), str(folder / "cellpose"), str(PIECE), "2"]
    cellpose = Team(words, threads=1, python=python_of("cellpose", with_ours=False))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            times[name].append(seconds(work))
        cellpose.work()
    cellpose.leave()
    joined = cut_or_joined(np.asarray(zarr.open_array(folder / "cellpose", mode="r")[:]), truth)
    best, busy = ({name: min(one[kind] for one in runs) for name, runs in times.items()} for kind in (0, 1))
    return {
        "objects": int(truth.max()),
        "side": SIDE,
        "pieces": (SIDE // PIECE) ** 2,
        "repeats": repeats,
        "seconds": {name: round(one, 4) for name, one in best.items()},
        "processor_seconds": {name: round(one, 4) for name, one in busy.items()},
        "ratio_memory": round(best["dask-image, memory"] / best["slideseg, memory"], 1),
        "processor_ratio_memory": round(busy["dask-image, memory"] / busy["slideseg, memory"], 1),
        "cellpose": {"seconds": round(min(cellpose.walls), 4), "whole": int(truth.max()), **joined},
        "ratio_cellpose": round(min(cellpose.walls) / best["slideseg, store"], 1),
        "ratio_store": round(best["dask-image, store"] / best["slideseg, store"], 1),
        "processor_ratio_store": round(busy["dask-image, store"] / busy["slideseg, store"], 1),
        "scipy_ratio_memory": round(busy["scipy, memory"] / busy["slideseg, memory"], 2),
        "equal": equal,
    }


# --- larger and larger -----------------------------------------------------------------------------------------------------

STEPS = {"finding objects": "parts", "labelling objects": "labels", "measuring objects": "measures", "listing objects": "rows"}
AFTER = {"parts": "join", "labels": "pyramid", "rows": "table"}
"""What runs silently after a step that tells of itself."""


class Steps:
    """Processor seconds and peak memory of each step, from what the run tells of itself."""

    def __init__(self) -> None:
        self.name, self._started = "start", time.process_time()
        self.cpu: dict[str, float] = {}
        self.peak: dict[str, float] = {}

    def __call__(self, progress: Any) -> None:
        step = STEPS.get(progress.phase, progress.phase)
        self.turn(step)
        if progress.done == progress.total:
            self.turn(AFTER.get(step, step))

    def turn(self, name: str) -> None:
        """Close the step that ran until now, if another one begins."""
        if name == self.name:
            return
        now = time.process_time()
        self.cpu[self.name] = round(self.cpu.get(self.name, 0) + now - self._started, 2)
        self.peak[self.name] = max(self.peak.get(self.name, 0), _peak_since_last_time())
        self.name, self._started = name, now


def _peak_since_last_time() -> float:
    """Return MiB of this process's largest resident memory since the last call."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return round(peak / 1024, 1)


def run_one(side: int, folder: Path) -> dict[str, Any]:
    """Make a mask, find its objects in this process, and say what it took."""
    url = str(folder / "mask.zarr")
    subprocess.run([sys.executable, __file__, "--make", str(side), "--folder", str(folder)], check=True)
    steps, started, cpu = Steps(), time.perf_counter(), time.process_time()
    report = slideseg.objects(url, on_progress=steps)
    steps.turn("end")
    return {
        "objects": report.number,
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "cpu_seconds_by_step": steps.cpu,
        "peak_mebibytes": max(steps.peak.values()),
        "peak_mebibytes_by_step": steps.peak,
        "megabytes": {name: _megabytes(Path(url, name)) for name in ("labels/segmentation", "labels/objects", "tables")},
    }


def _megabytes(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 2)


def grow(sides: list[int], folder: str | None) -> dict[str, Any]:
    """Run every size in a process of its own."""
    runs = {}
    for side in sides:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            command = [sys.executable, __file__, "--one", str(side), "--folder", name]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
        runs[str(side)] = json.loads(done.stdout)
        print(side, runs[str(side)], file=sys.stderr, flush=True)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="*", default=(4096, 8192, 16_384, 32_768, 65_536), help="pixels a side")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", help="where results go (default: a temporary folder)")
    parser.add_argument("--part", choices=("against", "growth"), help="renew one half of the result only")
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        write_mask(str(Path(given.folder, "mask.zarr")), given.make, 2048)
    elif given.one:
        print(json.dumps(run_one(given.one, Path(given.folder))))
    else:
        busy = hardware()
        result = json.loads((RESULTS / "objects.json").read_text(encoding="utf-8")) if given.part else {}
        if given.part != "growth":
            with tempfile.TemporaryDirectory(dir=given.folder) as name:
                result["against"] = against = {**compare(Path(name), given.repeats), "hardware": busy}
            ratio = min(against["ratio_memory"], against["processor_ratio_memory"])
            result |= {"limit": LIMIT, "passed": ratio >= LIMIT and all(against["equal"].values())}
        if given.part != "against":
            result["growth"] = {"by_side": grow(list(given.sides), given.folder), "hardware": busy}
        write_result("objects", result)


if __name__ == "__main__":
    main()
