"""What a run tells at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from slideseg.errors import ResultInUseError
from slideseg.tasks.base import idle_share

if TYPE_CHECKING:
    from slideseg.result.record import BadTile
    from slideseg.tasks.base import WorkerTime

PARTIAL_EXIT = 1


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """Shards of one slide's class map."""

    total: int = 0
    """In the result."""
    computed: int = 0
    """Computed by this run."""
    kept: int = 0
    """Finished by an earlier run and kept."""


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """Most bytes of RAM a process held."""

    driver: int = 0
    """The process that was started."""
    worker: int = 0
    """The largest worker; the driver itself where it is the only worker."""


@dataclass(frozen=True, slots=True)
class WorkerSeconds:
    """Where the workers' time went, added up over all shards; the three overlap within a worker."""

    read: float = 0.0
    """Reading the slide."""
    compute: float = 0.0
    """In the network."""
    write: float = 0.0
    """Writing shards."""


@dataclass(frozen=True, slots=True)
class StageSeconds:
    """Wall seconds of each stage of a slide, one after the other: together all of its time.

    Beside other slides some of it is waiting: the workers do what was begun first.
    """

    plan: float = 0.0
    """Until it was clear what is to be done, and the result was begun."""
    copy: float = 0.0
    """Copying a slide that can't be read in part."""
    segment: float = 0.0
    """Until its last shard was there."""
    pyramids: float = 0.0
    """Making the smaller levels, and the overview."""
    objects: float = 0.0
    """Finding, labelling and measuring objects."""
    commit: float = 0.0
    """Finishing the result."""


@dataclass(frozen=True, slots=True)
class SlideReport:
    """What became of one slide."""

    input: str
    """The slide."""
    output: str
    """Its result."""
    status: Literal["ok", "failed"]
    """Whether the result is complete."""
    seconds: float = 0.0
    """Wall time of this run."""
    pixels: int = 0
    """Pixels of the class map."""
    skipped_pixels: int = 0
    """Pixels without tissue, or where nothing was scanned: class 0."""
    damaged_tiles: tuple[BadTile, ...] = ()
    """Tiles that could not be decoded, with ``--on-bad-tile background``."""
    kept_pixels: int = 0
    """Pixels that an earlier run had finished."""
    reused_pixels: int = 0
    """Pixels in tiles of one colour, taken from an earlier such tile."""
    objects: int | None = None
    """How many objects the result has; None where they were not asked for."""
    across_seams: int | None = None
    """How many of them lie in several shards; None where they were not asked for."""
    model: str = ""
    """Which model segmented it, and what it is made for."""
    warnings: tuple[str, ...] = ()
    """What was said before the run began: `PredictPlan.notes`."""
    notes: tuple[str, ...] = ()
    """Which tiles were damaged; what the objects' table lacks, and why; which objects stayed, as nothing was said of others."""
    shards: ShardCounts = ShardCounts()
    """Shards in all, computed and kept."""
    peak_memory: PeakMemory = PeakMemory()
    """Most RAM used."""
    stage_seconds: StageSeconds = StageSeconds()
    """Where the wall time went."""
    worker_seconds: WorkerSeconds = WorkerSeconds()
    """Where the workers' time went."""
    error: str | None = None
    """Why it failed, in one line."""
    exit_code: int = 0
    """What the failure means to the shell."""

    def to_dict(self) -> dict[str, Any]:
        """Return the slide as ``--json`` prints it: all that was said of it is in its ``notes``."""
        said = {name: value for name, value in asdict(self).items() if name not in ("exit_code", "warnings")}
        return {**said, "notes": [*self.warnings, *self.notes]}


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a run."""

    slides: tuple[SlideReport, ...]
    """One a slide, in the order they were given."""
    seconds: float = 0.0
    """Wall time of the run."""
    workers: int = 1
    """Worker processes that they shared."""
    by_worker: tuple[WorkerTime, ...] = ()
    """How each of these spent its time, those that died too; none where the work was done in this process."""
    notes: tuple[str, ...] = ()
    """What could not be written of the report itself."""
    page: str | None = None
    """Where it can be looked at; None where no page was written."""

    @property
    def status(self) -> Literal["ok", "partial", "failed"]:
        """``ok`` if every slide is done, ``failed`` if none is."""
        done = sum(slide.status == "ok" for slide in self.slides)
        return "ok" if done == len(self.slides) else "partial" if done else "failed"

    @property
    def idle(self) -> float:
        """Which share of their time the workers had no task."""
        return round(idle_share(self.by_worker), 4)

    @property
    def error(self) -> str | None:
        """The first failure."""
        return next((slide.error for slide in self.slides if slide.error), None)

    @property
    def exit_code(self) -> int:
        """What the shell is told: what all slides have in common that are not done, as that another run is at them; else 1.

        Input that can't be used is one of several slides' own matter: the others were done.
        """
        codes = {slide.exit_code for slide in self.slides if slide.status != "ok"}
        if not codes:
            return 0
        is_one = len(self.slides) == 1 or codes == {ResultInUseError.exit_code}
        return codes.pop() if is_one else PARTIAL_EXIT

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        said = {"status": self.status, "error": self.error, "slides": [slide.to_dict() for slide in self.slides]}
        together = {"seconds": self.seconds, "workers": self.workers, "idle": self.idle, "notes": list(self.notes)}
        by_worker = [_rounded(worker) for worker in self.by_worker]
        return {**said, **together, "by_worker": by_worker} if len(self.slides) > 1 or by_worker else said


def _rounded(worker: WorkerTime) -> dict[str, Any]:
    seconds, busy = round(worker.seconds, 3), round(worker.busy, 3)
    return {"node": worker.node, "tasks": worker.tasks, "seconds": seconds, "busy": busy, "idle": round(worker.idle, 4)}
