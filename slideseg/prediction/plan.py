"""The plan of one slide's run: what will be computed and written, and what it needs. A value that prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from slideseg.model.network.ranges import Ranges
from slideseg.model.reach.frozen import Statistics
from slideseg.model.together.use import Use
from slideseg.model.values import range_in_words
from slideseg.model.windows.described import NetworkInWindows
from slideseg.prediction.choices.suits import described
from slideseg.prediction.job import ModelInWindows, ModelsTogether
from slideseg.result.layout import ResultLayout
from slideseg.result.record import ModelRecord, RunIdentity, RunRecord, SettingsRecord, SlideRecord, TilingRecord
from slideseg.slide.pixel_size.claims import in_words as mpp_in_words
from slideseg.space.grid import tiles_of
from slideseg.version import __version__
from slideseg.words import duration, in_words, lines, many, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.model.info import ModelInfo
    from slideseg.model.objects import ObjectRules
    from slideseg.prediction.choices.tissue import Tissue
    from slideseg.prediction.job import Job
    from slideseg.result.coordinates import Coordinates
    from slideseg.result.create import There

MIB, GIB, MEGA = 2**20, 2**30, 1e6


@dataclass(frozen=True, slots=True)
class PredictPlan:
    """One slide's run, decided to the last number."""

    input: str
    """The slide, as it was typed."""
    output: str
    """The result store, as it was typed."""
    job: Job
    """What every worker gets."""
    model: ModelInfo
    """The model's description."""
    slide: SlideRecord
    """Which slide it is."""
    axes: str
    """Axes of the slide."""
    tissue: Tissue
    """Which parts are segmented, and how much tissue is in them."""
    image: str
    """How much of the slide the result carries: ``none``, ``overview`` or ``full``."""
    objects: ObjectRules | None
    """What an object is; None if none are written."""
    workers: int
    """Worker processes."""
    address: str | None
    """Ray cluster, None for this machine."""
    chunk_first: bool
    """Whether the slide is first copied into a temporary chunked array."""
    worker_memory: int
    """Bytes of RAM a worker is projected to need at its peak."""
    disk: int
    """Bytes of disk the result is projected to need at most."""
    notes: tuple[str, ...] = ()
    """What its user should know before it runs, a sentence each."""
    seconds: float | None = None
    """Time that the workers are projected to need, if each is as fast as this machine; None if that was not tried."""
    found: There = "new"
    """What is there of the result."""
    kept: frozenset[int] = frozenset()
    """Shards that are there, by number."""

    @property
    def coordinates(self) -> Coordinates:
        """Where the working pixels lie."""
        return self.slide.coordinates_at(self.job.source.factors)

    @property
    def mpp(self) -> float | None:
        """Microns per working pixel: the side of a square one of the same area."""
        return self.coordinates.mpp

    @property
    def layout(self) -> ResultLayout:
        """The arrays of the result."""
        return ResultLayout(
            grid=self.job.grid,
            plane_axis=self.axes[0] if len(self.axes) == len("zyxc") else None,  # type: ignore[arg-type]
            classes=self.model.classes,
            probabilities=self.model.network.out_channels if self.job.tiling.probabilities else 0,
            coordinates=self.coordinates,
        )

    @property
    def record(self) -> RunRecord:
        """What the unfinished result says about itself."""
        network = self.model.network
        return RunRecord(
            version=__version__,
            status="running",
            slide=self.slide,
            model=model_record(self.model, self.job.model.sha256),
            settings=self.settings,
            tiling=TilingRecord(network.stride, network.halo, self.tile, network.exact, window=self.window),
            pixels=self.pixels,
            skipped_pixels=self.skipped_pixels,
            tissue_pixels=self.tissue.pixels,
            notes=self.notes,
            run=self.identity,
        )

    @property
    def identity(self) -> RunIdentity:
        """Everything that decides the bytes of the result."""
        tiling, tissue = self.job.tiling, self.job.tissue
        return RunIdentity(
            slide=self.slide.fingerprint,
            level=self.job.source.level,
            factors=self.job.source.factors,
            selection=self.job.source.selection,
            model=self.job.model.sha256,
            precision=tiling.precision,
            device=tiling.device,
            core=None if self.model.network.same_bits else tiling.core,
            window=self.window,
            shard=self.job.grid.side,
            tissue=None if tissue is None else tissue.digest(),
            probabilities=tiling.probabilities,
            image=self.image,
            range=tiling.range,
            feature_ranges=tiling.fitted.digest() if isinstance(tiling.fitted, Ranges) else None,
            statistics=tiling.fitted.digest() if isinstance(tiling.fitted, Statistics) else None,
        )

    @property
    def settings(self) -> SettingsRecord:
        """All settings, resolved."""
        tiling = self.job.tiling
        return SettingsRecord(
            workers=self.workers,
            address=self.address,
            level=self.job.source.level,
            mpp=self.mpp,
            tissue=self.tissue.said,
            tile=self.tile,
            batch=tiling.batch,
            device=tiling.device,
            precision=tiling.precision,
            objects=self.objects,
            save_probabilities=tiling.probabilities,
            image=self.image,
            range=tiling.range,
            tta=self.use.tta,
            smooth=self.use.smooth,
            freeze_statistics=isinstance(tiling.fitted, Statistics),
        )

    @property
    def use(self) -> Use:
        """In which views the models see the slide, and how their probabilities are smoothed."""
        model = self.job.model.whole if isinstance(self.job.model, ModelInWindows) else self.job.model
        return model.use if isinstance(model, ModelsTogether) else Use()

    @property
    def window(self) -> int | None:
        """Pixels a side of the windows that the model is run in; None if it can be tiled exactly."""
        network = self.model.network
        return network.window if isinstance(network, NetworkInWindows) else None

    @property
    def tile(self) -> int:
        """Side of the largest network input in pixels."""
        return self.job.tiling.core + 2 * self.model.network.margin

    @property
    def pixels(self) -> int:
        """Pixels of the class map."""
        rows, columns = self.job.grid.shape_yx
        return self.job.grid.planes * rows * columns

    @property
    def skipped_pixels(self) -> int:
        """Pixels without tissue, which are not computed."""
        if self.job.tissue is None:
            return 0
        return sum(self.job.tissue.empty_pixels(shard.write_box) for shard in self.job.grid)

    @property
    def computed_pixels(self) -> int:
        """Pixels that the run is to compute: with tissue, and not there yet."""
        tissue = self.job.tissue
        left = [shard.write_box for shard in self.job.grid if shard.index not in self.kept]
        return sum(box.area - (0 if tissue is None else tissue.empty_pixels(box)) for box in left)

    @property
    def tiles(self) -> int:
        """Forward passes of one tile at most (tiles of one colour are not computed again)."""
        network, core = self.model.network, self.job.tiling.core
        boxes = (box for shard in self.job.grid for box in self.job.pieces(shard, network))
        return sum(1 for box in boxes for _ in tiles_of(box, core, network.stride, 0))

    def describe(self) -> dict[str, Any]:
        """Return the plan as ``--dry-run --json`` prints it."""
        rows, columns = self.job.grid.shape_yx
        network, made_for = self.model.network, self.model.made_for
        return {
            "output": self.output,
            "slide": {**self.slide.to_json(), "axes": self.axes},
            "model": {"name": self.model.name, "sha256": self.job.model.sha256, "made_for": made_for and made_for.to_json()},
            "mpp_yx": self.coordinates.mpp_yx,
            "working_shape": [self.job.grid.planes, rows, columns] if self.job.grid.planes > 1 else [rows, columns],
            **asdict(self.settings),
            "core": self.job.tiling.core,
            "stride": network.stride,
            "halo": network.halo,
            "exact": network.exact,
            "window": self.window,
            "found": self.found,
            "shards": len(self.job.grid),
            "shards_kept": len(self.kept),
            "shard": self.job.grid.side,
            "tiles": self.tiles,
            "pixels": self.pixels,
            "skipped_pixels": self.skipped_pixels,
            "tissue_pixels": self.tissue.pixels,
            "chunk_first": self.chunk_first,
            "memory_per_worker": self.worker_memory,
            "disk": self.disk,
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        """Return the plan as ``--dry-run`` prints it."""
        return "\n".join(lines(dict(_in_words(self))))


def _in_words(plan: PredictPlan) -> Iterator[tuple[str, str]]:
    rows, columns = plan.job.grid.shape_yx
    slide, tiling, grid = plan.slide, plan.job.tiling, plan.job.grid
    planes = f"{grid.planes} planes of " if grid.planes > 1 else ""
    own = f"{mpp_in_words(slide.mpp_yx)} a pixel ({slide.mpp_source})"
    yield "output", f"{plan.output}{_found(plan)}"
    yield "slide", f"{slide.path}, {in_words(slide.shape)} ({plan.axes}), {own}"
    yield "model", described(plan.model)
    at = f"{planes}{rows} x {columns} pixels of {mpp_in_words(plan.coordinates.mpp_yx)}, from level {slide.level}"
    yield "works at", f"{at}: {number(plan.pixels / MEGA)} Mpx"
    yield "values", "" if tiling.range is None else f"{range_in_words(tiling.range)} are black to white"
    yield "tissue", _tissue(plan)
    yield "tiles", f"{plan.tiles:,} of {plan.tile} x {plan.tile}, halo {plan.model.network.halo} included; {_exact(plan)}"
    yield (
        "shards",
        f"{many(len(grid), 'file')} of {grid.side} x {grid.side} pixels; those that are done outlast a stop",
    )
    names = {known.id: known.name for known in plan.model.classes}
    yield "objects", "not asked for" if plan.objects is None else plan.objects.in_words(names)
    yield "also", _also(plan)
    at_once = f"{tiling.device}, {tiling.precision}, {many(tiling.batch, 'tile')} at a time"
    yield "workers", f"{plan.workers}, {_place(plan)}; each {at_once}"
    yield "RAM", f"{room(plan.worker_memory)} a worker"
    yield "disk", f"{room(plan.disk)}{', and a copy of the slide meanwhile' if plan.chunk_first else ''}"
    yield "time", "" if plan.seconds is None else f"about {duration(plan.seconds)}"


def _found(plan: PredictPlan) -> str:
    """Return what is said of a result that is there."""
    begun = f": begun before, {len(plan.kept):,} of {many(len(plan.job.grid), 'shard')} there"
    said = {"new": "", "replaced": ", which is replaced", "resumed": begun, "complete": ": it is there and complete"}
    return said[plan.found]


def _tissue(plan: PredictPlan) -> str:
    """Return which parts are segmented."""
    skipped = f"{100 * plan.skipped_pixels / max(1, plan.pixels):.0f} % of the pixels are skipped"
    match plan.tissue.said:
        case "none":
            return "not looked for: all is segmented"
        case "auto":
            known = plan.tissue.pixels
            found = "" if known is None else f" on {100 * known / max(1, plan.pixels):.0f} %"
            return f"looked for, and found{found}: {skipped}" if plan.job.tissue is not None else "looked for: all is segmented"
        case mask:
            return f"as {mask} says: {skipped}"


def _exact(plan: PredictPlan) -> str:
    if plan.window is None:
        return "exact: as if the whole image were one"
    return f"not exact: in windows of {plan.window} pixels that are blended"


def _also(plan: PredictPlan) -> str:
    kept = ["probabilities"] if plan.job.tiling.probabilities else []
    image = {"none": [], "overview": ["an overview of the image"], "full": ["the whole image"]}[plan.image]
    return " and ".join([*image, *kept])


def _place(plan: PredictPlan) -> str:
    return "on this machine" if plan.address is None else f"on the cluster at {plan.address}"


def room(size: float) -> str:
    """Return a number of bytes as people say it.

    >>> room(3 * 2**20), room(1.5 * 2**30)
    ('3 MiB', '1.5 GiB')
    """
    return f"{number(size / GIB)} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"


def model_record(info: ModelInfo, sha256: str) -> ModelRecord:
    """Return what a result says of the model that made it, whose file has a hash."""
    return ModelRecord(info.name, sha256, info.input.mpp, info.classes, info.objects, info.made_for, info.learnt)
