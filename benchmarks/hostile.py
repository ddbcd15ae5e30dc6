"""What damaged and lying files do: slideseg beside bare tifffile and OpenSlide.

python benchmarks/hostile.py

Files of a corpus of bad TIFFs (where it is there), each in a child of 5 s and 1 GiB; and copies of small files of every kind,
cut at every 0.5 % of their length. The children, the seeds and what counts as right are those of `tests/fuzz`.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openslide
import tifffile
from common import DATA, hardware, write_result

sys.path.insert(0, str(Path(__file__).parents[1]))

from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from tests.fuzz.child import Outcome, in_child
from tests.fuzz.look import agrees
from tests.fuzz.seeds import slide_seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fuzz.seeds import Seed

MOST_PIXELS = 1 << 26
STEPS = 200


@dataclass(frozen=True)
class Program:
    """A program that reads slides."""

    open: Callable[[str], Any]
    read: Callable[[Any], np.ndarray]
    """All of level 0 of what was opened."""

    def __call__(self, path: str) -> np.ndarray:
        with closing(self.open(path)) as opened:
            return self.read(opened)


def _level_0(slide: Any) -> np.ndarray:
    rows, columns = slide.levels[0].shape
    return slide.read(Box.of_shape((rows, columns)) if rows * columns <= MOST_PIXELS else Box(0, 0, 1024, 1024))


PROGRAMS = {
    "slideseg": Program(open_slide, _level_0),
    "tifffile": Program(tifffile.TiffFile, lambda file: file.asarray()),
    "openslide": Program(openslide.OpenSlide, lambda slide: np.asarray(slide.read_region((0, 0), 0, slide.dimensions))),
}


def corpus() -> dict[str, Any]:
    """Return what each program does with the files of the corpus: with all, and with copies of one slide with a fault each."""
    folder = DATA / "hostile_tiff"
    files = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in (".tsv", ".json", ".md", ".xz")
    ]
    whole = {name: tally(ends(files, read, None)) for name, read in PROGRAMS.items()}
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(folder / "made_here" / "svs_jpeg.tar.xz") as archive:
            archive.extractall(place, filter="data")
        copies = sorted(Path(place).rglob("*.svs"))
        original = str(DATA / "wsi" / "aperio" / "CMU-1-Small-Region.svs")
        faults = {name: tally(ends(copies, read, in_child(partial(read, original)).value)) for name, read in PROGRAMS.items()}
    return {"files": len(files), "whole": whole, "copies": len(copies), "faults": faults}


def ends(files: list[Path], read: Program, original: np.ndarray | None) -> Iterator[tuple[str, Outcome]]:
    """Yield what reading each file ended in; what was read is held against ``original``, or against other programs."""
    for path in files:
        outcome = in_child(partial(read, str(path)))
        if outcome.end != "done":
            yield ("refused" if outcome.end in ("refused", "exception") else outcome.end), outcome
        elif original is not None:
            yield _beside(original, outcome.value, read, path), outcome
        elif not outcome.value.size:
            yield "wrong", outcome
        elif read is PROGRAMS["slideseg"]:
            others = [name for name in ("tifffile", "pillow", "openslide") if in_child(partial(agrees, str(path), name)).value]
            yield ("right" if others else "not judged"), outcome
        else:
            yield "not judged", outcome


def _beside(original: np.ndarray, pixels: np.ndarray, read: Program, path: Path) -> str:
    """Return whether a copy's pixels are the original's: all, or all but those where slideseg says that nothing was scanned."""
    if np.array_equal(pixels, original):
        return "right"
    if read is PROGRAMS["slideseg"] and pixels.shape == original.shape:
        with closing(open_slide(str(path))) as slide:
            scanned = slide.scanned(Box.of_shape(slide.levels[0].shape))
        if scanned is not None and np.array_equal(pixels[scanned], original[scanned]):
            return "told"
    return "wrong"


def tally(found: Iterator[tuple[str, Outcome]]) -> dict[str, Any]:
    """Return how many ended how, how many kinds of error there were, and what the costliest took."""
    cases = list(found)
    errors = {outcome.detail.partition(":")[0] for _, outcome in cases if outcome.end in ("refused", "exception")}
    return {
        **Counter(end for end, _ in cases),
        "kinds_of_error": len(errors),
        "most_seconds": round(max(outcome.seconds for _, outcome in cases), 2),
        "most_mebibytes": max(outcome.memory for _, outcome in cases) >> 20,
    }


def cuts() -> dict[str, Any]:
    """Return what each program does with files that are cut, by the program and the kind of file."""
    with tempfile.TemporaryDirectory() as place:
        seeds = [seed for seed in slide_seeds(Path(place)) if not seed.words]
        results: dict[str, Any] = {}
        for name, read in PROGRAMS.items():
            by_seed = {}
            for seed in seeds:
                if in_child(partial(read, str(seed.path))).end == "done":
                    by_seed[seed.name] = cuts_of(seed, read)
            total = sum((Counter(counts) for counts in by_seed.values()), Counter())
            results[name] = {"seeds": len(by_seed), "cuts": sum(total.values()), **total}
            odd = {seed: counts for seed, counts in by_seed.items() if set(counts) - {"refused when opened", "right"}}
            results[name]["all_but_refused_or_right"] = odd
    return results


def cuts_of(seed: Seed, read: Program) -> dict[str, int]:
    """Count what becomes of a seed that is cut at every `STEPS`-th of its length; restores it."""
    whole = seed.target.read_bytes()
    lengths = [len(whole) * step // STEPS for step in range(STEPS)]
    try:
        outcome = in_child(partial(_read_cuts, seed, read, whole, lengths), seconds=600, memory=2 << 30)
        if outcome.end == "done":
            return dict(Counter(outcome.value))
        alone = [in_child(partial(_read_cuts, seed, read, whole, [length])) for length in lengths]
        return dict(Counter(one.value[0] if one.end == "done" else one.end for one in alone))
    finally:
        seed.target.write_bytes(whole)


def _read_cuts(seed: Seed, program: Program, whole: bytes, lengths: list[int]) -> list[str]:
    original = program(str(seed.path))
    found = []
    for length in lengths:
        seed.target.write_bytes(whole[:length])
        end = "refused when opened"
        try:
            with closing(program.open(str(seed.path))) as opened:
                end = "refused when read"
                end = "right" if np.array_equal(program.read(opened), original) else "wrong"
        except Exception:  # noqa: BLE001 - tifffile raises anything
            pass
        found.append(end)
    return found


if __name__ == "__main__":
    busy = hardware()
    write_result("hostile", {"corpus": corpus() if (DATA / "hostile_tiff").is_dir() else None, "cuts": cuts()}, busy)
