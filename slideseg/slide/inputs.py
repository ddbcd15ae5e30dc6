"""From what the user typed to slides and result stores."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, SlideError, explain

if TYPE_CHECKING:
    from collections.abc import Sequence

SUFFIXES = (
    *(".ome.tiff", ".ome.tif", ".ome.zarr", ".tiff", ".tif", ".btf", ".tf8", ".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu"),
    *(".bif", ".czi", ".svslide", ".qptiff", ".dcm", ".png", ".jpg", ".jpeg", ".npy", ".zarr"),
)
"""Endings by which slides are found in a folder, longest first; a file given by name may have any."""
ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")


def find_inputs(inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return the slides that were named; a folder that is not a zarr stands for the slides in it, by name.

    Raises:
        SlideError: if a file is missing or a folder holds no slide.
        ConfigError: if nothing was named.
    """
    named = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not named:
        raise ConfigError(explain("no input was given", want="at least one slide"))
    return [slide for place in named for slide in _slides_at(os.fspath(place))]


def name_outputs(slides: list[str], output: str | os.PathLike[str] | None) -> list[str]:
    """Return where each slide's result goes.

    Raises:
        ConfigError: if two slides would share a result, or a result would replace its own slide.
    """
    if len(slides) == 1 and output is not None:
        outputs = [os.fspath(output)]
    else:
        folder = "" if output is None else f"{os.fspath(output).rstrip('/')}/"
        outputs = [f"{folder}{stem(slide)}.zarr" for slide in slides]
    for name, times in Counter(outputs).items():
        if times > 1:
            raise ConfigError(explain("slides of the same name would share a result", got=name, try_="one command each"))
    for slide, result in zip(slides, outputs, strict=True):
        if Path(slide).absolute() == Path(result).absolute():
            raise ConfigError(explain("the result would replace its own slide", got=result, try_="--output"))
    return outputs


def stem(slide: str) -> str:
    """Return a slide's name without folder and ending.

    >>> stem("a/b/big.ome.tif"), stem("s3://bucket/x.zarr/"), stem("plain")
    ('big', 'x', 'plain')
    """
    name = slide.rstrip("/").rpartition("/")[2]
    if name in ("", ".", "..") and "://" not in slide:
        name = Path(slide).resolve().name
    ending = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), Path(name).suffix)
    return name[: len(name) - len(ending)] or name


def _slides_at(path: str) -> list[str]:
    if "://" in path:
        return [path]
    if not Path(path).exists():
        raise SlideError(explain("no such file", got=path))
    if not Path(path).is_dir() or any(Path(path, name).exists() for name in ZARR_FILES):
        return [path]
    found = sorted(str(file) for file in Path(path).iterdir() if file.name.lower().endswith(tuple(SUFFIXES)))
    if not found:
        raise SlideError(explain("the folder holds no slides", got=path, want=" ".join(SUFFIXES)))
    return found
