"""From what the user typed to slides and result stores."""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, SlideError, explain
from slideseg.slide.listing.bucket import list_bucket
from slideseg.slide.listing.folder import list_folder, told
from slideseg.slide.listing.names import SUFFIXES, stem
from slideseg.slide.listing.sets import COMPANION, files_of
from slideseg.slide.mosaic import NAME, is_mosaic
from slideseg.slide.zarr.place import is_zarr
from slideseg.storage.place import is_in_bucket, local_path, locate, marks, near

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from slideseg.slide.listing.folder import Listing
    from slideseg.storage.place import Mark

    Inputs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

log = logging.getLogger(__name__)

_NAMES_OTHERS = (".mrxs", ".vms", ".vmu")
"""Endings of files that stand for others, which have no other sign of it."""


def find_inputs(inputs: Inputs, *, results: bool = False) -> list[str]:
    """Return the slides that were named; a folder that is no slide itself stands for the slides in it, by name.

    A slide of several files counts once, also where several of them were named. What was left out of a folder is told in a
    warning; results of slideseg are left out unless ``results``, or named themselves.

    Raises:
        SlideError: if a file is missing or a folder holds no slide.
        ConfigError: if nothing was named.
    """
    named = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not named:
        raise ConfigError(explain("no input was given", want="at least one slide"))
    places = _once([local_path(place) for place in named])
    return [slide for place in places for slide in _slides_at(place, results=results)]


@dataclass(frozen=True, slots=True)
class Named:
    """Slides and their results."""

    slides: tuple[str, ...]
    results: tuple[str, ...]
    """Where the result of each goes."""
    folder: str | None
    """The local folder that they go to, which may be missing; None for a single result, and for what needs no folder."""


def name_results(inputs: Inputs, output: str | os.PathLike[str] | None) -> Named:
    """Return the slides that were named, as `find_inputs`, and where their results go, as `name_outputs`.

    Raises:
        SlideError: if a file is missing or a folder holds no slide.
        ConfigError: if nothing was named, or the results can't be where they would.
    """
    slides = find_inputs(inputs)
    output = None if output is None else local_path(output)
    results = name_outputs(slides, output, several=len(slides) == 1 and _is_folder_of_slides(inputs))
    alone = output is None or results == [output] or "://" in results[0]
    return Named(tuple(slides), tuple(results), None if alone else output)


def _is_folder_of_slides(inputs: Inputs) -> bool:
    """Tell whether a folder was named that stands for the slides in it, be it a single one."""
    named = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    places = list(map(local_path, named))
    if any(is_in_bucket(place) and list_bucket(place).slides != [place] for place in places):
        return True
    folders = [place for place in places if "://" not in place and Path(place).is_dir()]
    return any(not is_zarr(place) and not is_mosaic(place) and list_folder(place).slides != [place] for place in folders)


def name_outputs(slides: list[str], output: str | os.PathLike[str] | None, *, several: bool = False) -> list[str]:
    """Return where each slide's result goes: by its name without the ending, or with it where two slides would share a result.

    ``output`` is the folder of the results where there are several slides, or might have been (``several``), or it ends in a
    slash; but for what has the name of a result, or is one. Else it is the result.

    Raises:
        ConfigError: if two slides would share a result all the same, a result would replace a slide, or lie in another one.
    """
    output = None if output is None else local_path(output)
    if len(slides) == 1 and output is not None and not _is_folder(output, several=several):
        outputs = [output]
    else:
        folder = "" if output is None else f"{output.rstrip('/')}/"
        outputs = [f"{folder}{name}.zarr" for name in names_of(slides)]
    check_outputs(slides, outputs)
    return outputs


def check_outputs(
    slides: Sequence[str],
    outputs: Sequence[str],
    each: str = "one command each, with an --output of its own",
    kept: Iterable[str] = (),
    folder: str | None = None,
) -> None:
    """Refuse results that could replace a slide, each other, or what else must stay, or that would lie in another result.

    Places are compared, not names: a result may be called by a link, from the root, or with dots.

    Args:
        slides: what the results are made from.
        outputs: the result of each.
        each: says what gives a slide a result of its own.
        kept: what else must stay: models, masks, the manifest.
        folder: the folder that results go to, if that is theirs together.

    Raises:
        ConfigError: if there is such a one.
    """
    places = [marks(result) or [(result,)] for result in outputs]
    taken = {own: number for number, (own, *_) in reversed([*enumerate(places)])}
    for number, (own, *_) in enumerate(places):
        if (other := taken[own]) != number:
            what = f"2 slides would share the result {outputs[other]}"
            raise ConfigError(explain(what, got=f"{slides[other]} and {slides[number]}", try_=each))
    folders = [] if folder is None else [folder]
    for what, stays in {"the folder of the results": folders, "a slide": slides, "what one is made with": kept}.items():
        if lost := next((place for place in stays if not taken.keys().isdisjoint(marks(place))), None):
            raise ConfigError(explain(f"a result would replace {what}", got=lost, try_="another --output"))
    _check_apart(outputs, places, taken)


def _is_folder(output: str, *, several: bool) -> bool:
    is_result = output.rstrip("/").lower().endswith(".zarr") or Path(local_path(output), "zarr.json").exists()
    return not is_result and (several or output.endswith("/"))


def _check_apart(outputs: Sequence[str], places: Sequence[list[Mark]], taken: dict[Mark, int]) -> None:
    """Refuse places in each other, and in a Zarr store that is there, where a result would be a part of it."""
    looked_at: set[Mark] = set()
    for result, (_, *around) in zip(outputs, places, strict=True):
        if (outer := next((taken[mark] for mark in around if mark in taken), None)) is not None:
            got = f"{result} in {outputs[outer]}"
            raise ConfigError(explain("a result would lie inside another one", got=got, try_="another --output"))
        if "://" not in result and around and around[0] not in looked_at:
            looked_at.add(around[0])
            inside = [way for way in PurePosixPath(locate(result).path).parents if Path(way, "zarr.json").exists()]
            if inside:
                what, got = "the result would lie inside a Zarr store", f"{result} in {inside[-1]}"
                raise ConfigError(explain(what, got=got, want="a place outside of it", try_="another --output"))


def names_of(slides: Sequence[str]) -> list[str]:
    """Return what the slides' results are called; with the ending of the slide where that tells it from another one."""
    names = [name_of(slide) for slide in slides]
    times = Counter(names)
    return [
        slide.rstrip("/").rpartition("/")[2] if times[name] > 1 else name for slide, name in zip(slides, names, strict=True)
    ]


def name_of(slide: str) -> str:
    """Return what a slide's result is called: as its companion, if it has one; as the folder that it is; else as its file.

    Endings are left off; a folder has one only if it is that of a zarr.
    """
    if "://" in slide:
        return stem(slide)
    place = Path(slide).parent if Path(slide).name == NAME else Path(slide)
    if place.is_dir():
        known = place.name.lower().endswith(SUFFIXES) or place.name in ("", "..")
        return stem(slide) if known else place.name
    companion = next((Path(file).name for file in files_of(slide) if file.endswith(COMPANION)), None)
    return stem(slide) if companion is None else companion.removesuffix(COMPANION)


def _once(named: list[str]) -> list[str]:
    """Return what was named without files that belong to a slide that another one stands for."""
    if len(named) == 1:
        return named
    taken: set[Path] = set()
    kept = set()
    for place in sorted(named, key=lambda name: not name.lower().endswith(_NAMES_OTHERS)):
        path = Path(place).absolute()
        if "://" in place or path not in taken:
            kept.add(place)
        if path.is_file() and path not in taken:
            taken.update(Path(file).absolute() for file in files_of(place))
        if place.lower().endswith(".mrxs"):
            taken.add(path.with_suffix(""))
    return [place for place in dict.fromkeys(named) if place in kept]


def _slides_at(path: str, *, results: bool) -> list[str]:
    if "://" in path:
        return _told(path, list_bucket(path, results=results)) if is_in_bucket(path) else [path]
    if not Path(path).exists():
        raise SlideError(explain("no such file or folder", got=path, try_=near(path)))
    if not Path(path).is_dir() and not Path(path).is_file():
        raise SlideError(explain(f"{path} is no file", got="a pipe, a socket or a device", want="a slide"))
    if not Path(path).is_dir() or is_zarr(path) or is_mosaic(path):
        return [path]
    return _told(path, list_folder(path, results=results))


def _told(path: str, found: Listing) -> list[str]:
    """Return the slides that were found in a folder; say what was left out."""
    if not found.slides:
        left_out = told(found.left_out)
        got = f"{path}, with {left_out}" if left_out else path
        raise SlideError(explain("the folder holds no slides", got=got, want=" ".join(SUFFIXES)))
    for what, is_out in (("left out, name it to take it", False), ("left out", True)):
        if some := [(name, why) for name, why in found.left_out if (name in found.out_of_reach) == is_out]:
            log.warning("%s: %s: %s", path, what, told(some))
    return found.slides
