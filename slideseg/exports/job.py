"""One export of one result: what every format is given, and the one who is told how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.arrays.boxes import levels_of
from slideseg.errors import ConfigError, ResultError, explain
from slideseg.exports.chosen import chosen_classes
from slideseg.exports.frame import frame_of
from slideseg.exports.options import GROUPS, TABLES, WITH_PLACES
from slideseg.result.layout import OBJECTS
from slideseg.tasks.progress import Progress, Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from slideseg.exports.frame import Frame, FrameName
    from slideseg.exports.options import ExportOptions
    from slideseg.result.result import Result


class Job:
    """One export of one result."""

    def __init__(self, result: Result, to: str, options: ExportOptions, watcher: Watcher | None) -> None:
        """Find out what is exported.

        Raises:
            ResultError: if the result does not have it.
            ConfigError: if it has no class of such a name, or no measurements that are asked for.
        """
        self.result = result
        """What is exported from."""
        self.to = to
        """The format."""
        self.options = options
        """As they were given."""
        self.labels = _labels_of(result, to, options)
        """``segmentation`` or ``objects``."""
        if options.measurements and not self.of_objects:
            raise ConfigError(explain("regions of classes have no measurements", got="--measurements", want="objects"))
        self.levels = levels_of(result.url, GROUPS[self.labels])
        """Their pyramid, level 0 first."""
        chosen = chosen_classes(result, self.labels, options.classes) if to in WITH_PLACES else (None, ())
        self.classes: frozenset[int] | None = chosen[0]
        """Ids of the classes whose objects or regions are exported; None for all."""
        self.notes: tuple[str, ...] = chosen[1]
        """What is to be told of the export."""
        self._watcher = watcher
        self._done = 0

    @property
    def of_objects(self) -> bool:
        """Whether instances are exported, not the class map."""
        return self.labels == "objects"

    @property
    def planes(self) -> int:
        """Planes of the stack; 1 for a single image."""
        return self.levels[0].plan.grid.planes

    def frame(self, usual: FrameName) -> Frame:
        """Return what coordinates are counted from: what was asked for, else what is ``usual`` in such files."""
        return frame_of(self.result, self.options.frame or usual)

    def tell(self, note: str) -> None:
        """Have something told of the export."""
        self.notes = (*self.notes, note)

    def watch(self, total: int) -> Callable[[int], None]:
        """Return what is to be told of pixels or rows, of ``total``, as they are done."""

        def add(done: int) -> None:
            self._done += done
            if self._watcher is not None:
                self._watcher(Progress(self.result.url, "exporting", min(self._done, total), total))

        return add


def _labels_of(result: Result, to: str, options: ExportOptions) -> str:
    there = bool(levels_of(result.url, OBJECTS, optional=True))
    if options.labels == "auto" and to not in TABLES:
        return "objects" if there and to == "geojson" else "segmentation"
    if options.labels == "segmentation":
        return options.labels
    if not there:
        or_else = "slideseg objects" if to in TABLES else "slideseg objects, or --labels segmentation"
        raise ResultError(explain(f"{result.url} has no objects", try_=or_else))
    return "objects"
