"""What a run over several slides leaves in its folder: ``report.json``, ``report.csv`` and ``report.html``."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from slideseg.cohort.facts import columns_of
from slideseg.cohort.failed import BEFORE, JSON, OURS, failed_before
from slideseg.cohort.look import Look, LookWorker
from slideseg.cohort.page import is_ours, page
from slideseg.cohort.table import csv_lines
from slideseg.errors import explain
from slideseg.storage.in_bucket import path_or_file
from slideseg.storage.store import open_store, reason, storage_errors, write_file
from slideseg.tasks.in_process import IN_PROCESS
from slideseg.tasks.run_shards import run_shards
from slideseg.version import __version__
from slideseg.words import many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from slideseg.storage.store import Store
    from slideseg.tasks.base import Executor, Failed

CSV, HTML = "report.csv", "report.html"
SIDES = ((200, 480), (1000, 320), (4000, 160))
"""Pixels of a picture's longer side where there are so many slides at most: a page of some tens of megabytes."""
OF_RUN = ("input", "output", "status", "error", "seconds", "warnings")
"""The first columns of our CSV."""
SAID_TWICE = ("result", "slide", "status", "error", "warnings", "seconds")
"""Columns of a summary that say again what those say."""
HEAD = 512
"""Bytes that tell whose a file is."""


def write_reports(
    folder: str,
    run: Mapping[str, Any],
    executor: Executor = IN_PROCESS,
    watch: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Write what became of each slide of a run, and what was found, as JSON, CSV and a page.

    Each file is there whole or not at all. A file of that name that is not ours stays. What failed in earlier runs into the
    folder, was not tried again and has no result is told once more: their reports are replaced by these.

    Args:
        folder: the folder of the results, or a bucket's; empty for the current one.
        run: the run's report as ``--json`` has it: ``status``, ``error``, ``slides``, and what else is known of it; the page
            tells of ``seconds``, ``workers``, ``idle``, the share of their time that they waited, and ``by_worker``.
        executor: looks at the results; inside its ``with`` block.
        watch: told after each result how many of how many were looked at.

    Returns:
        Why a file could not be written, by its name.
    """
    folder = folder or "."
    before = failed_before(folder, [slide["output"] for slide in run["slides"]])
    run = {**run, BEFORE: before} if before else run
    with _Looks(run["slides"], executor, watch) as looks:
        rows = [_row(slide, look) for slide, look in zip(run["slides"], looks.found, strict=True)]
        columns = [*OF_RUN, *(name for name in columns_of(look.row for look in looks.found) if name not in SAID_TWICE)]
        pages = page(folder, run, looks.found, looks.picture, looks.remark, looks.side)
        written = {JSON: _encoded(_json(run, looks.found)), CSV: csv_lines(columns, rows), HTML: _encoded(pages)}
        store = open_store(folder)
        return {key: fault for key, pieces in written.items() if (fault := _written(store, key, pieces)) is not None}


class _Looks:
    """What was found in the results of all slides; the pictures lie in a file without a name until the page is written."""

    def __init__(
        self, slides: Sequence[Mapping[str, Any]], executor: Executor, watch: Callable[[int, int], None] | None
    ) -> None:
        self.found = [Look({})] * len(slides)
        """Of each slide."""
        wanted = [number for number, slide in enumerate(slides) if slide["status"] == "ok"]
        self.side = next((side for most, side in SIDES if len(wanted) <= most), 0)
        """Pixels of the longer side of a picture; 0 for none."""
        self._results, self._wanted = [slide["output"] for slide in slides], wanted
        self._executor, self._watch, self._done = executor, watch, 0
        self._places: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._pictures: BinaryIO = stack.enter_context(tempfile.TemporaryFile(prefix="slideseg-"))
            work = partial(LookWorker, self._results, self.side)
            run_shards(work, self._wanted, self._executor, watch=self._keep, on_failure=self._lack, light=True)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def remark(self) -> str | None:
        """What is to be said of the pictures; None where they are as large as they can be."""
        if not self.side:
            return f"There are no pictures, as there are {many(len(self._wanted), 'slide')}."
        return None if self.side == SIDES[0][1] else f"Pictures are small, as there are {many(len(self._wanted), 'slide')}."

    def picture(self, number: int) -> bytes | None:
        """Return the picture of a slide."""
        if number not in self._places:
            return None
        start, length = self._places[number]
        self._pictures.seek(start)
        return self._pictures.read(length)

    def _keep(self, found: tuple[int, Look]) -> None:
        number, look = found
        self.found[number] = replace(look, picture=None)
        if look.picture is not None:
            self._places[number] = (self._pictures.seek(0, 2), len(look.picture))
            self._pictures.write(look.picture)
        self._tell()

    def _lack(self, failure: Failed) -> None:
        self.found[failure.task] = Look({}, lacking=failure.error)
        self._tell()

    def _tell(self) -> None:
        self._done += 1
        if self._watch is not None:
            self._watch(self._done, len(self._wanted))


def _json(run: Mapping[str, Any], looks: Sequence[Look]) -> Iterator[str]:
    """Yield the run's report, and the summary of each result that is there; a slide a line."""
    head = {OURS: f"slideseg {__version__}", **{key: value for key, value in run.items() if key != "slides"}}
    yield f"{json.dumps(head)[:-1]}, {json.dumps('slides')}: ["
    for number, (slide, look) in enumerate(zip(run["slides"], looks, strict=True)):
        yield f"{',' * bool(number)}\n{json.dumps({**slide, 'summary': look.row or None})}"
    yield "\n]}\n"


def _row(slide: Mapping[str, Any], look: Look) -> dict[str, Any]:
    notes = [*slide.get("notes", ()), *([look.row["error"]] if look.row.get("error") else [])]
    of_run = {name: slide.get(name) for name in OF_RUN[:-1]}
    return {**look.row, **of_run, "warnings": "; ".join(notes)}


def _encoded(pieces: Iterable[str]) -> Iterator[bytes]:
    return (piece.encode("utf-8", "backslashreplace") for piece in pieces)


def _written(store: Store, key: str, pieces: Iterable[bytes]) -> str | None:
    """Write a file; return why it could not be written, or must not be."""
    try:
        if not _is_ours(store, key):
            return explain(f"{key} is not written", got="a file of that name that is not a run's", try_="to move it away")
        with write_file(store, key) as path, open(path, "wb") as file:
            file.writelines(pieces)
    except storage_errors() as error:
        return explain(f"{key} can't be written", got=reason(error))
    return None


def _is_ours(store: Store, key: str) -> bool:
    """Tell whether there is no file under a key, or one that a run wrote."""
    source = path_or_file(store, key)
    if source is None:
        return not (store.folder is not None and (store.folder / key).exists())
    with open(source, "rb") if isinstance(source, str) else source as file:
        head = file.read(HEAD).decode("utf-8", "replace")
    match key:
        case "report.json":
            return head.startswith(f'{{"{OURS}": "slideseg ')
        case "report.csv":
            return head.startswith(",".join(OF_RUN))
    return is_ours(head)
