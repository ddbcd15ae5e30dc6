"""The classes of a result's objects as somebody corrected them: a list of edits as the classes of instances."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import DataError, ResultError, explain
from slideseg.result.edits import SUFFIX, read_edits
from slideseg.result.result import open_result
from slideseg.result.table import classes_of_objects
from slideseg.storage.store import open_store
from slideseg.training.data.instance_classes import InstanceClasses, class_of_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.training.recipe.data import MadeClass


def read_corrected(path: str, classes: Sequence[str], made: MadeClass | None = None) -> InstanceClasses:
    """Return the classes of the objects of the result that a list of edits lies beside; those that were removed are background.

    ``classes`` are the names of the recipe's classes, background first; case does not matter. ``made`` is what none can be of.

    Raises:
        DataError: if there is no such list, it or its result can't be used, or a class is none of the recipe's.
    """
    if not Path(path).is_file():
        raise DataError(explain("no such list of edits", got=path, want="what slideseg view --edit writes beside a result"))
    try:
        result = open_result(path.removesuffix(SUFFIX) + ".zarr")
        edits, names = read_edits(result), {known.id: known.name for known in result.classes}
        own = classes_of_objects(open_store(result.url, read_only=True))
    except ResultError as error:
        raise DataError(explain(f"{path} can't be used", got=error, try_="the result that it was written beside")) from error
    known = {name.casefold(): number for number, name in enumerate(classes)}
    used = {*(names[number] for number in np.unique(own).tolist()), *(name for name in edits.values() if name is not None)}
    ids = {name: class_of_name(name, known, path, classes, made) for name in sorted(used)}
    of_own = np.array([ids.get(names.get(number, ""), 0) for number in range(max(names) + 1)], np.int32)
    found = np.concatenate([np.zeros(1, np.int32), of_own[own]])
    for number, name in edits.items():
        found[number] = 0 if name is None else ids[name]
    return InstanceClasses(path, np.arange(found.size, dtype=np.int64), found)
