"""The plan: what will be computed and written, and what it needs. All that can be refused is refused here, before any work."""

from __future__ import annotations

import functools
import os
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from slideseg.errors import ConfigError, ModelError, SlideError, explain
from slideseg.instances.options import rules_for
from slideseg.model.bundled import bundled_models, find_model
from slideseg.model.file import load_model_file
from slideseg.model.values import FULL_SCALE
from slideseg.prediction.choices.budget import check_disk, disk_needed, fit_tile
from slideseg.prediction.choices.devices import choose_device, choose_precision, choose_workers, threads_of
from slideseg.prediction.choices.resolution import choose_source, working_shape
from slideseg.prediction.choices.suits import described, unlike
from slideseg.prediction.choices.tissue import Tissue, find_tissue
from slideseg.prediction.job import Job, ModelFile, Tiling
from slideseg.prediction.values import choose_range
from slideseg.result.layout import ResultLayout
from slideseg.result.record import ModelRecord, RunIdentity, RunRecord, SettingsRecord, SlideRecord, TilingRecord
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.guard.slide import open_in_run
from slideseg.slide.listing.sets import files_of
from slideseg.slide.pixel_size.claims import in_words as mpp_in_words
from slideseg.slide.rows.copy import is_readable
from slideseg.space.grid import ShardGrid, shard_side, tiles_of
from slideseg.storage.place import absolute, check_kept, locate
from slideseg.version import __version__
from slideseg.words import in_words, lines, number

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.model.info import ModelInfo
    from slideseg.model.objects import ObjectRules
    from slideseg.prediction.options import PredictOptions
    from slideseg.result.coordinates import Coordinates
    from slideseg.slide.base import Slide

MIB = 2**20
MOST_NOTES = 4
"""More notes of a file are not printed before a run."""


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
            probabilities=self.model.config.out_channels if self.job.tiling.probabilities else 0,
            coordinates=self.coordinates,
            name=self.slide.path.rstrip("/").rpartition("/")[2],
        )

    @property
    def record(self) -> RunRecord:
        """What the unfinished result says about itself."""
        config = self.model.config
        return RunRecord(
            version=__version__,
            status="running",
            slide=self.slide,
            model=_model_record(self.model, self.job.model.sha256),
            settings=self.settings,
            tiling=TilingRecord(config.stride, config.halo, self.tile, config.exact),
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
            core=None if self.model.config.exact else tiling.core,
            shard=self.job.grid.side,
            tissue=None if tissue is None else tissue.digest(),
            probabilities=tiling.probabilities,
            image=self.image,
            range=tiling.range,
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
        )

    @property
    def tile(self) -> int:
        """Side of the largest network input in pixels."""
        return self.job.tiling.core + 2 * self.model.config.margin

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
    def tiles(self) -> int:
        """Forward passes of one tile at most (tiles of one colour are not computed again)."""
        boxes = (s.write_box if self.job.tissue is None else self.job.tissue.bounding_box(s.write_box) for s in self.job.grid)
        stride = self.model.config.stride
        return sum(1 for box in boxes if box is not None for _ in tiles_of(box, self.job.tiling.core, stride, 0))

    def describe(self) -> dict[str, Any]:
        """Return the plan as ``--dry-run --json`` prints it."""
        rows, columns = self.job.grid.shape_yx
        config, made_for = self.model.config, self.model.made_for
        return {
            "output": self.output,
            "slide": {**self.slide.to_json(), "axes": self.axes},
            "model": {"name": self.model.name, "sha256": self.job.model.sha256, "made_for": made_for and made_for.to_json()},
            "mpp_yx": self.coordinates.mpp_yx,
            "working_shape": [self.job.grid.planes, rows, columns] if self.job.grid.planes > 1 else [rows, columns],
            **asdict(self.settings),
            "core": self.job.tiling.core,
            "stride": config.stride,
            "halo": config.halo,
            "exact": config.exact,
            "shards": len(self.job.grid),
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
        facts = self.describe()
        size = f"{in_words(self.slide.shape)} ({self.axes})"
        own = f"{mpp_in_words(self.slide.mpp_yx)} a pixel ({self.slide.mpp_source})"
        facts |= {
            "slide": f"{self.slide.path}, {size}, {own}",
            "model": described(self.model),
            "mpp": mpp_in_words(self.coordinates.mpp_yx),
            "memory_per_worker": f"{self.worker_memory / MIB:.0f} MiB",
            "disk": f"{self.disk / MIB:.0f} MiB",
            "seconds": None if self.seconds is None else f"about {self.seconds} s",
            "range": None if self.job.tiling.range is None else " to ".join(map(number, self.job.tiling.range)),
        }
        shown = {name.replace("_", " "): value for name, value in facts.items() if name not in ("mpp_yx", "notes")}
        return "\n".join(lines(shown))


def make_plan(input_path: str, output: str, options: PredictOptions) -> PredictPlan:
    """Decide everything about one slide's run.

    Raises:
        SlideError: if the slide can't be used.
        ModelError: if the model can't be used, or not on this slide.
        ConfigError: if the options contradict each other, the slide or the machine.
    """
    options.check()
    check_kept(_read_for(input_path, options), output, "what it is made from")
    model, info = _model(options)
    device = choose_device(options)
    with closing(open_in_run(absolute(input_path), options.selection)) as slide:
        _check_fit(slide, info)
        source, notes = choose_source(slide, info, options)
        source = replace(source, fingerprint=fingerprint(slide.path))
        about = SlideRecord.of(slide, str(source.fingerprint), source.level)
        shape_yx = working_shape(slide, source)
        grid = ShardGrid(shape_yx, planes_of(slide), shard_side(shape_yx))
        limits, doubts = choose_range(slide, source.level, info, options.range)
        tissue = find_tissue(slide, shape_yx, options.tissue, None if limits is None else limits[1])
        workers = choose_workers(options, device, len(grid))
        core, batch, memory = fit_tile(slide, info, grid, options, workers)
        tiling = Tiling(core, batch, device, choose_precision(options, device), options.save_probabilities, limits)
        gaps = slide.background is not None
        made = PredictPlan(
            input=input_path,
            output=output,
            job=Job(source, model, absolute(output), grid, tiling, tissue.blocks, threads_of(options, workers), gaps),
            model=info,
            slide=about,
            axes=slide.axes,
            tissue=tissue,
            image=options.image,
            objects=_objects(_model_record(info, model.sha256), about.coordinates_at(source.factors).mpp, options),
            workers=workers,
            address=options.address,
            chunk_first=not is_readable(slide, source.level),
            worker_memory=memory,
            disk=disk_needed(slide, grid, info, options),
            notes=(*_of_file(slide), *notes, *_doubts(slide, info), *doubts, *unlike(info, tissue.look), *tissue.notes),
        )
    _check_copy(made)
    check_disk(made.job.output, made.disk)
    return made


def _read_for(input_path: str, options: PredictOptions) -> list[str]:
    """Return the files of the slide, the tissue mask's and the model's."""
    slide = [input_path] if "://" in input_path else files_of(input_path)
    masks = [] if options.tissue in ("", "none", "auto") else [options.tissue]
    return [*slide, *masks, str(find_model(options.model))]


def _check_copy(plan: PredictPlan) -> None:
    """Refuse a run on a cluster whose copy of the slide would be on one machine."""
    if plan.chunk_first and plan.address is not None and locate(plan.output).bucket is not None:
        what = f"{plan.input} can only be read from a copy, which the workers of a cluster share beside the result"
        try_ = "a tiled TIFF, or slideseg convert"
        raise ConfigError(explain(what, got=plan.output, want="a folder", try_=try_))


def _model(options: PredictOptions) -> tuple[ModelFile, ModelInfo]:
    """Return the model as the workers find it, and what its file says about itself."""
    name, path = os.fspath(options.model), find_model(options.model)
    found = path.stat()
    info, sha256 = _checked(path, (found.st_ino, found.st_mtime_ns, found.st_size))
    return ModelFile(name if name in bundled_models() else absolute(str(path)), sha256), info


@functools.lru_cache(maxsize=4)
def _checked(path: Path, _: tuple[int, ...]) -> tuple[ModelInfo, str]:
    """Return what a model file says about itself, and its hash, once all its weights are seen to be fit for use.

    The same file, as its stamp says, is read once for all slides.
    """
    model = load_model_file(path)
    return model.info, model.sha256


def _model_record(info: ModelInfo, sha256: str) -> ModelRecord:
    return ModelRecord(info.name, sha256, info.input.mpp, info.classes, info.objects, info.made_for)


def _objects(model: ModelRecord, mpp: float | None, options: PredictOptions) -> ObjectRules | None:
    """Return what an object is; None if none are wanted."""
    return rules_for(model.classes, mpp, options, model.rules_at(mpp)) if options.objects else None


def _of_file(slide: Slide) -> tuple[str, ...]:
    """Return what was decided about the slide's file that is out of the ordinary, a few of it where that is much."""
    notes = slide.notes
    more = len(notes) - MOST_NOTES
    return notes if more <= 1 else (*notes[:MOST_NOTES], f"and {more} notes more of this file: try slideseg info")


def _doubts(slide: Slide, info: ModelInfo) -> tuple[str, ...]:
    """Return what may not be what its user meant: other slides in the same file, channels that are no colours."""
    others = [str(image.number) for image in slide.images if image.role == "slide" and not image.used]
    names = [channel.name for channel in slide.channels if channel.name]
    doubts = []
    if others:
        doubts.append(f"the file has other slides too, which are left out: try --series {', '.join(others)}")
    if not slide.is_rgb and channels_of(slide) == info.input.channels == len(names) == len("RGB"):
        doubts.append(f"its channels {', '.join(names)} are taken for red, green and blue: try --channel {names[0]}")
    return tuple(doubts)


def _check_fit(slide: Slide, info: ModelInfo) -> None:
    if not info.input.takes(channels_of(slide)):
        raise ModelError(
            explain(
                f"{slide.path} does not fit model {info.name}",
                got=f"{channels_of(slide)} channel(s)",
                want=info.input.channels,
                try_=f"--channel, to take {info.input.channels} of them, or another --model",
            )
        )
    if slide.dtype.name not in FULL_SCALE:
        raise SlideError(explain(f"{slide.path} has an unsupported dtype", got=slide.dtype, want=", ".join(FULL_SCALE)))
