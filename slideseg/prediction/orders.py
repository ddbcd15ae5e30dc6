"""What is to be done: from what the user typed, or a manifest, to slides, their results and their options."""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slideseg.columns import read_rows, whole
from slideseg.errors import ConfigError, DataError, SlideError, explain
from slideseg.model.bundled import bundled_models
from slideseg.options import read_options
from slideseg.prediction.options import PredictOptions
from slideseg.slide.inputs import check_outputs, find_inputs, name_results, names_of
from slideseg.storage.place import is_in_bucket, local_path, make_folder
from slideseg.words import many

if TYPE_CHECKING:
    from collections.abc import Collection

    from slideseg.columns import Row
    from slideseg.slide.inputs import Inputs

    Output = str | os.PathLike[str] | None

log = logging.getLogger(__name__)

OF_THE_RUN = ("workers", "address", "wait_for_workers", "device", "memory")
"""Options that are the same for all slides: they say what the workers are."""
PATH, OUTPUT = "path", "output"
HERE = "."


@dataclass(frozen=True, slots=True)
class Order:
    """A slide that is to be segmented."""

    slide: str
    output: str
    """Its result."""
    options: PredictOptions


@dataclass(frozen=True, slots=True)
class Orders:
    """All slides of a run."""

    slides: tuple[Order, ...]
    folder: str
    """Where their results go together, or lie beside each other: a path or an address."""
    several: bool
    """Whether it is a run over several slides, one of which may fail, be there only one or not."""
    is_part: bool = False
    """Whether others do other slides of the same run, so that what became of these is not all that there is to tell."""

    def make_folder(self) -> None:
        """Make the folder of the results; in a bucket there is none to be made.

        Raises:
            ResultError: if it can't be made.
        """
        if "://" not in self.folder:
            make_folder(self.folder, "the folder of the results")


def take_orders(
    inputs: Inputs,
    output: str | os.PathLike[str] | None,
    options: PredictOptions,
    manifest: str | os.PathLike[str] | None = None,
    rows: str | int | None = None,
) -> Orders:
    """Return what is to be done with the slides that were named, or that are in a manifest, maybe in some ``rows`` of it.

    Raises:
        ConfigError: if neither or both are named, the manifest or an option can't be used, or results can't be there.
        SlideError: if a file that was named is missing, or a folder holds no slide.
    """
    named = bool(inputs) if not isinstance(inputs, os.PathLike) else True
    if manifest is not None and named:
        raise ConfigError(
            explain("slides are named by a manifest or one by one", got="both", try_="all of them in the manifest")
        )
    if manifest is not None:
        options.check_values()
        return read_manifest(manifest, output, options, rows)
    options.check()
    if rows is not None:
        raise ConfigError(explain("there are no rows to choose", got=f"rows {rows}", want="a manifest"))
    output = None if output is None else local_path(output)
    found = name_results(inputs, output)
    orders = tuple(Order(slide, result, options) for slide, result in zip(found.slides, found.results, strict=True))
    several = len(orders) > 1
    return Orders(orders, output or HERE if several else found.folder or HERE, several)


def read_manifest(
    path: str | os.PathLike[str], output: Output, options: PredictOptions, rows: str | int | None = None
) -> Orders:
    """Read a CSV of slides: the column ``path``, and any option of a slide by its name; an empty cell is as the command says.

    Paths are relative to the manifest's folder, an ``output`` to the folder of the results. A slide that is missing is not
    refused here: it fails as its turn comes, and the others are done. With ``rows``, such as 7 or ``5-9``, only their slides
    are to be done; all others are read too, so that results are called the same whoever does which.

    Raises:
        ConfigError: if the file can't be read, or an option in it not be used.
    """
    what = f"the manifest {os.fspath(path)}"
    path, output = local_path(path), None if output is None else local_path(output)
    if "://" in path:
        raise ConfigError(explain(f"{what} can't be read", got="an address", want="a local file, whose rows may be addresses"))
    try:
        names, found = read_rows(path, what, {PATH}, "a column path, and options of predict by their names")
    except DataError as error:
        raise ConfigError(str(error)) from error
    columns = _columns(names, what)
    folder = "" if output is None else f"{output.rstrip('/')}/"
    by_row = [_orders_of(row, columns, Path(path).parent, options, what) for row in found]
    orders = [order for of_row in by_row for order in of_row]
    if not orders:
        raise ConfigError(explain(f"{what} names no slide", want="a row for each"))
    slides = [order.slide for order in orders]
    results = [_result(order.output or f"{name}.zarr", folder) for order, name in zip(orders, names_of(slides), strict=True)]
    kept = [path, *dict.fromkeys(place for order in orders for place in _made_with(order.options))]
    check_outputs(slides, results, "a row for each, with an output of its own", kept, output or HERE)
    placed = [replace(order, output=result) for order, result in zip(orders, results, strict=True)]
    numbers = [number for number, of_row in enumerate(by_row, start=1) for _ in of_row]
    chosen = range(1, len(by_row) + 1) if rows is None else _chosen(rows, len(by_row), what)
    wanted = tuple(order for number, order in zip(numbers, placed, strict=True) if number in chosen)
    return Orders(wanted, output or HERE, several=True, is_part=rows is not None)


def _chosen(rows: str | int, number: int, what: str) -> range:
    """Return which of so many rows are meant, from 1; a last one that is not there stands for all to the end.

    >>> _chosen(7, 9, "x"), _chosen("5-7", 9, "x"), _chosen("9-12", 9, "x")
    (range(7, 8), range(5, 8), range(9, 10))
    """
    first, separator, last = str(rows).partition("-")
    begin, end = whole(first), whole(last if separator else first)
    if begin is None or end is None or not 1 <= begin <= end:
        raise ConfigError(
            explain("rows can't be read", got=rows, want="a number from 1, or the first and the last such as 5-9")
        )
    if begin > number:
        raise ConfigError(explain(f"{what} has no row {begin}", got=many(number, "row")))
    return range(begin, min(end, number) + 1)


def _columns(names: list[str], what: str) -> dict[str, str]:
    """Return the option of every column that is one."""
    known = {field.name for field in fields(PredictOptions)} - set(OF_THE_RUN) | {PATH, OUTPUT}
    columns = {name: name.replace("-", "_") for name in names if name}
    for name, option in columns.items():
        if option in OF_THE_RUN:
            raise ConfigError(explain(f"{what} can't set {name}", got="an option of the whole run", try_=f"--{name}"))
        meant = get_close_matches(option, known, 1, 0.75)
        if option not in known and meant:
            raise ConfigError(explain(f"{what} has a column that is no option", got=name, try_=meant[0]))
    if unused := [name for name, option in columns.items() if option not in known]:
        log.warning("%s: columns that are no options are not used: %s", what, ", ".join(unused))
    return {name: option for name, option in columns.items() if option in known}


def _orders_of(row: Row, columns: dict[str, str], folder: Path, options: PredictOptions, what: str) -> list[Order]:
    """Return the slides of a row: several if it names a folder of them."""
    texts = {option: row.cells[name] for name, option in columns.items() if row.cells[name]}
    line = f"line {row.line} of {what}"
    path, output = texts.pop(PATH, ""), texts.pop(OUTPUT, "")
    if not path:
        raise ConfigError(explain(f"{line} names no slide", got="an empty path"))
    try:
        said = replace(options, **_placed(read_options(PredictOptions, texts), folder))
        said.check()
        place, output = _beside(path, folder), local_path(output)
    except ConfigError as error:
        raise ConfigError(f"{line}: {error}") from error
    slides = _slides_at(place)
    if output and len(slides) > 1:
        raise ConfigError(explain(f"{line} names one result of {len(slides)} slides", got=output, try_="no output"))
    return [Order(slide, output, said) for slide in slides]


def _slides_at(place: str) -> list[str]:
    """Return the slides of a folder, or the one at a place; where it can't be told, it fails by itself and stops no other."""
    try:
        return find_inputs(place) if is_in_bucket(place) or Path(place).is_dir() else [place]
    except SlideError:
        if is_in_bucket(place):
            return [place]
        raise


def _made_with(options: PredictOptions) -> list[str]:
    """Return the files that are read for a slide besides its own."""
    said, words = [*(("model", given) for given in options.models), ("tissue", options.tissue)], _words()
    return [value for name, value in said if isinstance(value, str) and value and value not in words[name]]


@functools.cache
def _words() -> dict[str, Collection[str]]:
    """Return the options that are paths, and what they may be instead."""
    return {"model": bundled_models(), "tissue": ("auto", "none")}


def _placed(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return options whose paths are those of the manifest's folder."""
    return {name: _at(name, value, folder) if name in _words() else value for name, value in values.items()}


def _at(name: str, value: str | tuple[str, ...], folder: Path) -> str | tuple[str, ...]:
    if not isinstance(value, str):
        return tuple(str(_at(name, one, folder)) for one in value)
    return value if value in _words()[name] else _beside(value, folder)


def _beside(place: str, folder: Path) -> str:
    place = local_path(place)
    return place if "://" in place else str(folder / place)


def _result(output: str, folder: str) -> str:
    return output if "://" in output or Path(output).is_absolute() else f"{folder}{output}"
