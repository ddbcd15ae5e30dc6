"""Decide what became of a mutant.

A reader can't notice a changed bit in stored pixels, and a number of the header that was changed into another possible one
makes another possible file. So a mutant that is read is right in one of these ways, and else it is silently wrong:

* ``same``: the pixels of the seed, all of them;
* ``pixels``: only bytes of tiles were changed, the image has the seed's form, and no other tile's pixels differ;
* ``told``: nothing differs but where the reader says that nothing was scanned, because the file holds no data there;
  or what is read instead is said in a note of the slide, which `info` prints;
* ``agreed``: another reader, of other people, sees the same pixels in the changed file;
* ``described``: what was changed is words (JSON, YAML), which nothing but themselves describes;
* ``read``: it is no image: a model, a recipe, outlines, a result, whose readers have to refuse or take it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from tests.fuzz.child import Outcome, in_child
from tests.fuzz.look import NOT_SCANNED, Look, agrees
from tests.fuzz.mutate import Mutant, mutate, mutate_words
from tests.fuzz.works import LOADED_FIRST, WORKS

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from tests.fuzz.seeds import Seed

PATIENCE = 60.0
"""Seconds for what is not measured, or is tried again."""
GOOD = ("same", "pixels", "told", "agreed", "described", "read", "refused", "late")
"""Verdicts that are as they should be."""


@dataclass(frozen=True, slots=True)
class Case:
    """A mutant and what became of it."""

    seed: str
    how: str
    verdict: str
    """One of `GOOD`, or ``silent``, ``exception``, ``hang``, ``crash``, ``memory``."""
    detail: str
    seconds: float
    memory: int
    data: bytes


class Judge:
    """Judges mutants of one seed in a folder of its own."""

    def __init__(self, seed: Seed, folder: Path) -> None:
        self.seed = seed
        self._copy = folder / seed.path.name
        if seed.path.is_dir():
            shutil.copytree(seed.path, self._copy)
        else:
            shutil.copy(seed.path, self._copy)
        if seed.beside is not None:
            shutil.copytree(seed.beside, folder / seed.beside.name, dirs_exist_ok=True)
        inside = seed.beside is not None and seed.beside == seed.path.parent
        self._copy = folder / seed.path.relative_to(seed.path.parents[1] if inside else seed.path.parent)
        self._target = folder / seed.target.relative_to(seed.path.parents[1] if inside else seed.path.parent)
        self._work = WORKS[seed.work]
        import_module(LOADED_FIRST[seed.work])
        self.data = seed.target.read_bytes()
        # in a child: threads that it starts here would be missing in forks
        first = in_child(partial(self._work, str(seed.path)), seconds=60)
        assert first.end == "done", (seed.name, first)
        self.look: Look = first.value

    def mutant(self, rng: Random) -> Mutant:
        return mutate_words(self.data, rng, self.seed.words) if self.seed.words else mutate(self.data, rng, self.seed.segments)

    def judge(self, mutant: Mutant) -> Case:
        self._target.write_bytes(mutant.data)
        outcome = in_child(partial(self._work, str(self._copy)))
        if outcome.end == "hang":  # or the machine is busy
            outcome = in_child(partial(self._work, str(self._copy)), seconds=PATIENCE)
        verdict, detail = self._verdict(outcome, mutant)
        return Case(self.seed.name, mutant.how, verdict, detail, outcome.seconds, outcome.memory, mutant.data)

    def _verdict(self, outcome: Outcome, mutant: Mutant) -> tuple[str, str]:
        if outcome.end != "done":
            late = outcome.end == "refused" and outcome.detail.endswith("[late]")
            return "late" if late else outcome.end, outcome.detail
        if self.seed.work != "slide":
            return "read", ""
        known = self._known(mutant, outcome.value)
        return (known, "") if known else self._held_against_others(outcome.value)

    def _known(self, mutant: Mutant, seen: Look) -> str | None:
        """Return in which way what was seen follows from the seed, if it does."""
        if seen == self.look:
            return "same"
        if self.seed.words:
            return "described"
        if seen.form == self.look.form and not self._different(seen):
            return "told"
        return "pixels" if self._within(mutant, seen) else None

    def _held_against_others(self, seen: Look) -> tuple[str, str]:
        detail = f"{seen.form} {self._different(seen)} of {len(self.look.cells)} cells"
        for reader in self.seed.readers:
            if in_child(partial(agrees, str(self._copy), reader), seconds=PATIENCE).value:
                return "agreed", f"{reader} {detail}"
        news = set(seen.notes) - set(self.look.notes)
        return ("told", f"{news}") if news else ("silent", detail)

    def _within(self, mutant: Mutant, seen: Look) -> bool:
        """Tell whether no pixels differ but those of the tiles whose bytes were changed."""
        if mutant.spans is None or seen.form != self.look.form:
            return False
        touched = set()
        for start, stop in mutant.spans:
            if any(a <= start and stop <= b for a, b in self.seed.loose):
                return True
            tile = next((tile for tile in self.seed.segments if tile[0] <= start and stop <= tile[1]), None)
            if tile is None and self.data[start:stop] != mutant.data[start:stop]:
                return False
            touched.add(tile)
        return self._different(seen) <= len(touched) * self.seed.cells

    def _different(self, seen: Look) -> int:
        keys = self.look.cells.keys() | seen.cells.keys()
        return sum(seen.cells.get(key) not in (self.look.cells.get(key), NOT_SCANNED) for key in keys)
