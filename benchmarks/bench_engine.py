"""How fast is the network on a CPU, against plain PyTorch with the same weights, and against a matrix product?

One picture of real H&E, mirrored at its edges, is segmented by:

- ours: what a worker of `slideseg predict` does, with its largest tile, in fp32 and in int8;
- the whole picture in one pass, eager, in PyTorch's own memory layout and channels-last;
- the loop of the common recipe, 512 px tiles: made exact (each grown by the halo, on the pooling grid), and without overlap.

Each way has a process of its own, and they take turns. Work is that of the whole picture in one pass, layer by layer (for the
paper's widths 1.4678 MFLOP a pixel), whatever a way does; the rate of a matrix product is measured in the same turns.

Claims: at least 1.8 times as fast as the exact loop and never slower than the whole picture; at least 0.80 of the matrix
product's rate; no class other than in the reference; int8 at least twice as fast as fp32.

`ONEDNN_MAX_CPU_ISA=AVX2` in front of the command asks the same of an older processor, without int8; `results/engine_avx2.json`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from common import hardware, random_model, wait_politely, write_result
from plain import SIDE, Plain, around, picture
from turns import Team, serve, take_turns

import slideseg
from slideseg.machine import keep_freed_memory, return_freed_memory
from slideseg.model.bundled import find_model
from slideseg.model.file import LoadedModel, load_model_file
from slideseg.model.network.number_format import has_instructions, held_to
from slideseg.model.network.work import ideal_work, work_of_tile
from slideseg.prediction.choices.calibration import fit_int8
from slideseg.prediction.job import ModelFile, Tiling
from slideseg.prediction.segmenter import Segmenter
from slideseg.slide.array import ArraySlide
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.box import Box
from slideseg.space.grid import ShardGrid

if TYPE_CHECKING:
    from collections.abc import Callable


PRODUCT = 2048
"""Side of the matrices."""
LIMITS = {"recipe-exact": 1.8, "whole": 1.0}
INT8_LIMIT = 0.5
OF_PRODUCT = 0.8


def ours(model: LoadedModel, tiling: Tiling) -> Callable[[], np.ndarray]:
    """Return what a worker does with a shard, its pixels read beforehand."""
    segmenter = Segmenter(model, tiling)
    box = Box(0, 0, SIDE, SIDE)
    region = read_mirrored(ArraySlide(picture()), segmenter.read_box(box))
    return lambda: segmenter(region, box).class_map


def ours_fp32(path: Path) -> Callable[[], np.ndarray]:
    """Return it in fp32."""
    return ours(slideseg.load_model(path), Tiling(SIDE))


def ours_int8(path: Path) -> Callable[[], np.ndarray]:
    """Return the same in int8, fitted to other tiles of the slide than the picture's."""
    model, slide = ModelFile(str(path), ""), ArraySlide(around())
    tiling = Tiling(SIDE, precision="int8")
    fitted = fit_int8(InMemory(slide), ShardGrid(slide.shape[:2], 1, SIDE), None, model, tiling)
    return ours(load_model_file(path, fitted.ranges), tiling)


@dataclass(frozen=True, slots=True)
class InMemory:
    """What a plan takes for the source of a slide."""

    slide: ArraySlide
    """The slide."""

    def open(self) -> ArraySlide:
        """Return it."""
        return self.slide


def product(_: Path) -> Callable[[], object]:
    """Return a matrix product."""
    one, other = torch.rand(PRODUCT, PRODUCT), torch.rand(PRODUCT, PRODUCT)
    return lambda: one @ other


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do it."""

    text: str
    """What the result says."""
    make: Callable[[Path], Callable[[], object]]
    """Returns a function that does it."""
    allocator: Callable[[], None] | None = None
    """How freed memory is dealt with; None as it comes."""


def _tiles(path: Path, *, exact: bool) -> Callable[[], object]:
    plain = Plain(path)
    return lambda: plain.tiles(plain.mirrored_NCHW, halo=plain.halo if exact else 0)


WAYS = {
    "ours": Way("ours", ours_fp32, keep_freed_memory),
    "ours-returning": Way("ours, freed memory returned", ours_fp32, return_freed_memory),
    "ours-int8": Way("ours, int8", ours_int8, keep_freed_memory),
    "whole": Way("whole picture", lambda path: Plain(path).whole),
    "whole-last": Way("whole picture, channels last", lambda path: Plain(path, torch.channels_last).whole),
    "recipe-exact": Way("recipe's loop, made exact", lambda path: _tiles(path, exact=True)),
    "recipe": Way("recipe's loop, no overlap", lambda path: _tiles(path, exact=False)),
    "product": Way("matrix product", product),
}
WARM_UP = 1


def be(way: Way, path: Path, threads: int) -> None:
    """Be the process of a way."""
    if way.allocator is not None:
        way.allocator()
    torch.set_num_threads(threads)
    serve(way.make(path), WARM_UP)


def ways_here() -> list[str]:
    """Return what can be timed: without instructions for it int8 is refused."""
    return [name for name in WAYS if name != "ours-int8" or has_instructions("int8")]


def compare(path: Path, threads: int, rounds: int) -> dict[str, object]:
    """Time all ways in turn with one model; tell how many pixels get another class than by one pass over the whole picture."""
    teams = {name: Team([__file__, str(path), f"--be={name}", f"--threads={threads}"], threads) for name in ways_here()}
    take_turns(teams.values(), rounds)
    numbers = {name: team.numbers(teams["ours"]) for name, team in teams.items()}
    config = slideseg.load_model(path).info.config
    rate = 2 * PRODUCT**3 / statistics.median(teams["product"].walls)
    own = 2 * ideal_work(config) * SIDE**2 / statistics.median(teams["ours"].walls)
    return {
        "ways": {name: {**numbers[name], "other_classes": others(name, path)} for name in teams if name != "product"},
        "gigaflops_of_product": round(rate / 1e9, 1),
        "gigaflops": round(own / 1e9, 1),
        "of_product": round(own / rate, 3),
        "work_over_ideal": {
            str(core): round(work_of_tile(config, core) / core**2 / ideal_work(config), 4) for core in (832, SIDE, 3904)
        },
    }


def others(name: str, path: Path) -> float:
    """Return the share of pixels whose class is not that of the whole picture: ours by our reference, PyTorch's by its own."""
    torch.manual_seed(0)
    if not name.startswith("ours"):
        return float((WAYS[name].make(path)() != Plain(path).whole()).mean())
    model = slideseg.load_model(path)
    padded = np.pad(picture(), ((model.halo, model.halo), (model.halo, model.halo), (0, 0)), "reflect")
    with torch.inference_mode():
        logits_NKHW = model.module(model.preprocess(padded))[..., model.halo : -model.halo, model.halo : -model.halo]
    wanted = logits_NKHW[0, 0] > 0 if logits_NKHW.shape[1] == 1 else logits_NKHW[0].argmax(0)
    return float((WAYS[name].make(path)() != wanted.to(torch.uint8).numpy()).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--widths", type=int, nargs="*", default=[32], help="channels of networks of random weights, too")
    parser.add_argument("--threads", type=int, default=2, help="threads of each way")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is timed")
    parser.add_argument("--be", choices=list(WAYS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.be:
        be(WAYS[given.be], given.model, given.threads)
        return
    wait_politely()
    busy = hardware()
    with tempfile.TemporaryDirectory() as folder:
        paths = {"nuclei": find_model("nuclei")}
        paths |= {
            f"random, {width} channels": random_model(Path(folder, f"{width}.safetensors"), width) for width in given.widths
        }
        runs = {name: compare(path, given.threads, given.rounds) for name, path in paths.items()}
    passed = all(_passes(run) for run in runs.values())
    texts = {name: way.text for name, way in WAYS.items()}
    limits = {"limits": LIMITS, "limit_of_int8": INT8_LIMIT, "limit_of_product": OF_PRODUCT}
    result = {"side": SIDE, "threads": given.threads, "rounds": given.rounds, "ways": texts, "by_model": runs, "passed": passed}
    write_result(f"engine_{held_to().lower()}".rstrip("_"), {**result, **limits}, busy)


def _passes(run: dict[str, object]) -> bool:
    ways = run["ways"]
    fast = all(ways[name]["ratio"] >= limit for name, limit in LIMITS.items())
    fast = fast and ("ours-int8" not in ways or ways["ours-int8"]["ratio"] <= INT8_LIMIT)
    return fast and run["of_product"] >= OF_PRODUCT and ways["ours"]["other_classes"] == 0


if __name__ == "__main__":
    main()
