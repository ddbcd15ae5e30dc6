"""Read every slide of the test data, compare its pixels with other programs' and write the table of docs/formats.md.

    python benchmarks/formats.py [FOLDER...]

An oracle is a program that reads the file without slideseg: OpenSlide, Pillow, tifffile, zarr-python. "Equal" says that all
pixels of level 0, of every plane, are those of at least one of them (to within 3 of 255 where JPEG decoders may differ).
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import DATA, RESULTS
from oracles import ORACLES

from slideseg.errors import SlidesegError
from slideseg.slide.base import planes_of
from slideseg.slide.inputs import find_inputs
from slideseg.slide.open import open_file
from slideseg.slide.selection import WHOLE
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slideseg.slide.base import Slide

FOLDERS = ("wsi", "tiff_variants", "reported")
NO_IMAGES = {".json", ".tsv", ".md", ".npy", ".ini", ".dat", ".pgm", ".ppm", ".pbm", ".g3", ".txt", ""}
"""Endings of the files beside the slides."""
PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
BEGIN, END = "<!-- files: begin -->", "<!-- files: end -->"
VERDICTS = ("equal", "disputed", "refused", "unchecked", "DIFFERS")
TOLERANCE = 3
"""Of 255: decoders of JPEG and JPEG 2000 round differently."""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one file."""

    file: str
    read_by: str
    verdict: str
    """``equal``, ``disputed`` (oracles differ, and one of them is right), ``refused``, ``unchecked`` or ``DIFFERS``."""
    words: str
    """By which oracle, or the message."""
    image: str = ""
    pixel: str = ""
    levels: str = ""
    place: str = ""
    expected: str = ""
    """Whether it is as its EXPECTED.json says; empty where that says nothing."""


def slides_in(folder: Path) -> Iterator[Path]:
    """Yield what a user would call a slide: files, zarrs and folders that are one slide."""
    taken: set[Path] = set()
    for path in sorted(folder.rglob("*")):
        if any(parent in taken for parent in path.parents):
            continue
        if path.is_dir():
            if path.suffix == ".zarr" or _is_one_slide(path):
                taken.add(path)
                yield path
        elif path.suffix.lower() not in NO_IMAGES:
            yield path


def _is_one_slide(folder: Path) -> bool:
    return any(folder.glob("*.dcm")) and not any(path.is_dir() for path in folder.iterdir()) and len(find_inputs(folder)) == 1


def look_at(path: Path, name: str, expected: dict[str, Any] | None) -> Row:
    """Open one slide, compare all its pixels, and say what is known of it."""
    try:
        opened = open_file(str(path), WHOLE)
    except SlidesegError as error:
        words = str(error).replace(str(path), path.name).replace(str(path.parent) + "/", "")
        right = "" if expected is None else _judge_refusal(words, expected)
        return Row(name, "", "refused", words, expected=right)
    with closing(opened) as slide:
        facts = {
            "image": f"{slide.axes} {' x '.join(map(str, slide.shape))} {slide.dtype}" + (", RGB" if slide.is_rgb else ""),
            "pixel": _pixel(slide),
            "levels": ", ".join(f"{level.downsample:.4g}" for level in slide.levels),
            "place": _place(slide),
            "expected": "" if expected is None else _judge(slide, path, expected),
        }
        reader = type(slide).__name__.removesuffix("Slide")
        try:
            pixels = _pixels(slide)
        except SlidesegError as error:
            return Row(name, reader, "refused", str(error).replace(str(path), path.name), **facts)
    verdict, words = compare(path, pixels)
    return Row(name, reader, verdict, words, **facts)


def _pixels(slide: Slide) -> np.ndarray:
    """Return level 0 (planes, y, x, c)."""
    whole = Box.of_shape(slide.levels[0].shape)
    return np.stack([slide.read(whole, 0, plane) for plane in range(planes_of(slide))])


def compare(path: Path, pixels: np.ndarray) -> tuple[str, str]:
    """Return the verdict on pixels (planes, y, x, c), and by which oracle."""
    others = []
    for name, read in ORACLES.items():
        truth = read(path)
        if truth is None:
            continue
        if truth.shape != pixels.shape or truth.dtype != pixels.dtype:
            others.append(f"{name} has {truth.dtype} {truth.shape}")
            continue
        worst = _difference(pixels, truth)
        if worst <= (TOLERANCE if pixels.dtype == np.uint8 else 0):
            by = name if not worst else f"{name}, within {worst:.0f}"
            disputed = any(":" in other for other in others)
            return ("disputed" if disputed else "equal"), "; ".join([by, *others]) if disputed else by
        others.append(f"{name}: off by {worst:.0f} at most")
    return ("DIFFERS", "; ".join(others)) if others else ("unchecked", "no other program at hand reads it")


def _difference(pixels: np.ndarray, truth: np.ndarray) -> float:
    if pixels.dtype.kind == "f":
        return 0.0 if np.array_equal(pixels, truth, equal_nan=True) else float(np.nanmax(np.abs(pixels - truth)))
    return float(np.abs(pixels.astype(np.int64) - truth.astype(np.int64)).max())


def _pixel(slide: Slide) -> str:
    if slide.mpp_yx is None:
        return f"unknown: {slide.pixel.source}"
    y, x = slide.mpp_yx
    size = f"{y:.4g}" if y == x else f"{y:.4g} (y), {x:.4g} (x)"
    return f"{size}: {slide.pixel.source}"


def _place(slide: Slide) -> str:
    said = []
    if slide.bounds is not None:
        said.append(f"bounds x {slide.bounds.x0} to {slide.bounds.x1}, y {slide.bounds.y0} to {slide.bounds.y1}")
    if any(slide.origin):
        said.append("origin y {:.4g}, x {:.4g}".format(*slide.origin))
    if slide.pixel.z is not None:
        said.append(f"z step {slide.pixel.z:.4g}")
    return "; ".join(said)


def _judge_refusal(words: str, expected: dict[str, Any]) -> str:
    if expected.get("refused") or str(expected.get("refused_naming", "\0")) in words:
        return "yes"
    return "NO: refused"


def _judge(slide: Slide, path: Path, expected: dict[str, Any]) -> str:
    """Say whether a slide is as expected; what is not said is not judged."""
    found: dict[str, Any] = {
        "mpp_yx": None if slide.mpp_yx is None else [float(f"{side:.6g}") for side in slide.mpp_yx],
        "shape_yx": list(slide.levels[0].shape),
        "levels": len(slide.levels),
        "rgb": slide.is_rgb,
        "channels": slide.shape[-1],
        "downsamples": [level.downsample for level in slide.levels],
        "slides_in_folder": len(find_inputs(path)) if path.is_dir() else None,
        "bounds_xy": None if slide.bounds is None else [slide.bounds.x0, slide.bounds.y0],
        "refused": False,
        "refused_naming": None,
    }
    wrong = [f"{name} is {found[name]}" for name, value in expected.items() if name in found and found[name] != value]
    return f"NO: {', '.join(wrong)}" if wrong else "yes"


def expectations() -> dict[str, dict[str, Any]]:
    """Return what is right for the files that reports are about."""
    path = DATA / "reported" / "EXPECTED.json"
    if not path.is_file():
        return {}
    return {f"reported/{name}": said for name, said in json.loads(path.read_text()).items() if isinstance(said, dict)}


def table(rows: Iterable[Row]) -> str:
    """Return the rows as Markdown."""
    head = "| file | read by | pixels | image | pixel size, µm | levels | place | as expected |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        cells = (
            f"`{row.file}`",
            row.read_by,
            f"{row.verdict}: {row.words}",
            row.image,
            row.pixel,
            row.levels,
            row.place,
            row.expected,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


def summary(rows: list[Row]) -> str:
    """Return how many files came out how, by folder."""
    verdicts = VERDICTS
    words = "equal to another program's pixels | to one of two that differ | refused in one line | no other reads it | differ"
    lines = [f"| folder | files | {words} |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for folder in dict.fromkeys(row.file.split("/")[0] for row in rows):
        mine = [row for row in rows if row.file.startswith(f"{folder}/")]
        counts = [str(sum(row.verdict == verdict for row in mine)) for verdict in verdicts]
        lines.append(f"| `{folder}` | {len(mine)} | {' | '.join(counts)} |")
    return "\n".join(lines)


def main() -> None:
    """Look at all slides; write the table and the result."""
    folders = sys.argv[1:] or FOLDERS
    said, rows = expectations(), []
    for folder in folders:
        for path in slides_in(DATA / folder):
            name = str(path.relative_to(DATA))
            rows.append(look_at(path, name, said.get(name)))
            print(*(str(getattr(rows[-1], part)) for part in ("file", "verdict", "words", "expected")), sep="  ", flush=True)
    print(summary(rows))
    if tuple(folders) != FOLDERS:
        return
    text = PAGE.read_text(encoding="utf-8")
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(f"{head}{BEGIN}\n\n{summary(rows)}\n\n{table(rows)}\n\n{END}{tail}", encoding="utf-8")
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in VERDICTS}
    RESULTS.joinpath("formats.json").write_text(json.dumps({"files": len(rows), **counts}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
