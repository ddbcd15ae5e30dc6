"""The class of each instance of a label image, from a CSV with the columns label and class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slideseg.columns import read_rows, whole
from slideseg.errors import DataError, explain
from slideseg.training.recipe.data import IGNORED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from slideseg.training.recipe.data import MadeClass

SUFFIX = ".csv"
"""Ending of the files."""
COLUMNS = "columns label and class"
"""What a file holds, in words."""


@dataclass(frozen=True, slots=True, eq=False)
class InstanceClasses:
    """Which class the instances of a label image are of."""

    path: str
    """The file that says so."""
    labels: NDArray[np.int64]
    """Ids of instances, in order; the first is 0, for none."""
    class_ids: NDArray[np.int32]
    """Class of each; 0 for background, `IGNORED` for what teaches nothing."""

    @property
    def may_ignore(self) -> bool:
        """Whether an instance is `IGNORED`."""
        return bool((self.class_ids == IGNORED).any())

    def of(self, instances: np.ndarray, ignored: np.ndarray | None, name: str) -> np.ndarray:
        """Return the class ids (y, x) of instance ids (y, x); pixels that are ``ignored`` need no class.

        Raises:
            DataError: if an instance of the labels ``name`` is not listed.
        """
        at = np.minimum(np.searchsorted(self.labels, instances), self.labels.size - 1)
        unlisted = self.labels[at] != instances
        if ignored is not None:
            unlisted &= ~ignored
        if unlisted.any():
            lost = np.unique(instances[unlisted])
            what = f"{self.path} does not list all instances of {name}"
            got = f"no class for label {lost[0]}" + (f" and {lost.size - 1} more" if lost.size > 1 else "")
            raise DataError(explain(what, got=got, want="a row for each", try_="class ignore for what is not known"))
        return self.class_ids[at]


def read_instance_classes(path: str, classes: Sequence[str], made: MadeClass | None = None) -> InstanceClasses:
    """Read the classes of instances; other columns don't count, and all may come in any order.

    ``classes`` are the names of the recipe's classes, background first; case does not matter, and their ids mean the same. What
    is of no class, or of one whose name starts with "ignore", stands for `IGNORED`. ``made`` is what they can't be of.

    Raises:
        DataError: if the file can't be read, lists something twice, or names a class that is not known.
    """
    known = {str(number): number for number in range(len(classes))}
    known |= {name.casefold(): number for number, name in enumerate(classes)}
    found = {0: 0}
    for row in read_rows(path, path, {"label", "class"}, COLUMNS)[1]:
        where, label = f"{path}, line {row.line}", row.cells["label"]
        number = whole(label)
        if number is None or number < 1:
            raise DataError(explain(f"{where} names no instance", got=f"label {label!r:.40}", want="1 or more"))
        if number in found:
            raise DataError(explain(f"{where}: a label stands twice", got=number))
        found[number] = class_of_name(row.cells["class"], known, where, classes, made)
    labels = np.array(sorted(found), np.int64)
    return InstanceClasses(path, labels, np.array([found[label] for label in labels.tolist()], np.int32))


def class_of_name(named: str, known: dict[str, int], where: str, classes: Sequence[str], made: MadeClass | None) -> int:
    """Return the class that a name or an id means; ``known`` are those of the recipe, in small letters.

    Raises:
        DataError: if it is none of them.
    """
    folded, number = named.casefold(), whole(named)
    class_id = known.get(folded, known.get(str(number)))
    if class_id is not None:
        return class_id
    if not folded or folded.startswith("ignore"):
        return IGNORED
    if made is not None and made.is_meant(named if number is None else number):
        raise made.refused(where, named)
    got, want = f"{named:.40}", " or ".join(classes)
    raise DataError(explain(f"{where} is of an unknown class", got=got, want=f"{want}, their ids, or ignore"))
