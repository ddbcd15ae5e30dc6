"""From a slide's file to labels on disk, as users type it: `slideseg predict` and other programs, in turns.

    python benchmarks/bench_end_to_end.py
    python benchmarks/bench_end_to_end.py --peers monai dask

A JPEG-compressed TIFF of real H&E content, the bundled model, one process with all threads, and the time from the command to
its end: Python's start, loading of libraries, reading and writing are in it. Labels go where each program's users have them:
ours to OME-Zarr with its pyramid, Dask's to zarr, the others' to a compressed TIFF.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import zarr
from bench_peers import HERE, PEERS, WAYS, python_of
from common import COMMAND, hardware, write_result
from make_tiff import make

from slideseg.model.bundled import find_model
from slideseg.model.stored import read_info

OWN = {"ours": "slideseg predict", "plain-exact": "tiles in a loop, as usual, made exact"}
"""Ways that need no other program."""


class Way:
    """A command that is run again and again."""

    def __init__(self, command: list[str], threads: int) -> None:
        self._command = command
        without = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # as it is installed
        self._env = {**without, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self.peaks: list[int] = []

    def run(self, out: Path) -> None:
        """Run it, and note what it took."""
        started = time.perf_counter()
        process = subprocess.Popen([*self._command, str(out)], env=self._env, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, self._command
        self.seconds.append(time.perf_counter() - started)
        self.cpu_seconds.append(used.ru_utime + used.ru_stime)
        self.peaks.append(used.ru_maxrss)

    def numbers(self, other: Way) -> dict[str, float]:
        """Return what it takes, and ratios to another way: the median over turns."""
        pairs = [mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True)]
        cpu_pairs = [mine / theirs for mine, theirs in zip(self.cpu_seconds, other.cpu_seconds, strict=True)]
        return {
            "median_seconds": round(statistics.median(self.seconds), 2),
            "ratio": round(statistics.median(pairs), 3),
            "cpu_ratio": round(statistics.median(cpu_pairs), 3),
            "peak_mib": round(max(self.peaks) / 1024),
        }


def labels_in(out: Path) -> np.ndarray:
    """Return the classes (y, x) that a way wrote."""
    if out.is_file():
        return np.asarray(tifffile.imread(out))
    group = zarr.open(out, mode="r")
    return np.asarray(group[:] if isinstance(group, zarr.Array) else group["labels/segmentation/0"][:])


def ways(peers: list[str], model: Path, slide: Path, threads: int) -> dict[str, Way]:
    """Return all ways; the last word of each is where labels go."""
    predict = ("predict", slide, "-m", model, "-w", 1, "--level", 0, "--tissue", "none", "--image", "none", "--overwrite", "-o")

    found = {
        "ours": Way([COMMAND, *map(str, predict)], threads),
        "plain-exact": other(sys.executable, "plain", "exact", model, slide, threads),
    }
    return found | {f"{peer}-{way}": other(python_of(peer), peer, way, model, slide, threads) for peer in peers for way in WAYS}


def other(python: str, peer: str, way: str, *arguments: object) -> Way:
    """Return a way of another program, with the model, the slide and the threads."""
    return Way([python, str(HERE / "peers_slide.py"), peer, way, *map(str, arguments)], int(str(arguments[-1])))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS), help="which of them")
    parser.add_argument("--side", type=int, default=2048, help="side of the slide in pixels")
    parser.add_argument("--threads", type=int, default=2, help="threads of each way")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is timed")
    given = parser.parse_args()
    busy, model = hardware(), find_model("nuclei")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = make(folder / "slide.tif", given.side)
        of_all = ways(given.peers, model, slide, given.threads)
        whole, halo = folder / "whole", read_info(model).config.halo
        other(sys.executable, "plain", "whole", model, slide, given.threads).run(whole)
        inside = np.s_[halo : given.side - halo, halo : given.side - halo]
        wanted = labels_in(whole)[inside]
        others = {}
        for turn in range(given.rounds + 1):  # the first one loads files, and is not counted
            for name, way in list(of_all.items())[:: 1 if turn % 2 else -1]:
                out = folder / f"{name}-{turn}"
                way.run(out)
                others[name] = round(float((labels_in(out)[inside] != wanted).mean()), 6)
                print(turn, name, round(way.seconds[-1], 2), others[name], flush=True)
        for way in of_all.values():
            for kept in (way.seconds, way.cpu_seconds, way.peaks):
                del kept[0]
        numbers = {name: {**way.numbers(of_all["ours"]), "other_classes": others[name]} for name, way in of_all.items()}
    called = {**OWN, **{f"{peer}-{way}": f"{PEERS[peer]}, {way}" for peer in given.peers for way in WAYS}}
    about = {"model": "nuclei", "side": given.side, "threads": given.threads, "rounds": given.rounds, "called": called}
    write_result("end_to_end", {**about, "ways": numbers}, busy)


if __name__ == "__main__":
    main()
