"""The plan: what will be computed and written, and what it needs. All that can be refused is refused here, before any work."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from slideseg.errors import ConfigError, ModelError, SlideError, explain
from slideseg.instances.options import ASKED, ObjectOptions, model_objects, rules_of
from slideseg.machine import usable_cores
from slideseg.model.bundled import bundled_models, find_model
from slideseg.model.info import FULL_SCALE, ModelInfo, read_info
from slideseg.prediction.budget import check_disk, disk_needed, fit_tile
from slideseg.prediction.job import Job, Precision, Source
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.open import open_slide
from slideseg.slide.resampled import choose_level
from slideseg.slide.tissue import TissueMap, can_detect, detect_tissue, map_of_mask_slide
from slideseg.space.grid import ShardGrid, shard_side, tiles_of
from slideseg.storage.place import absolute

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.instances.labelling.rules import Rules
    from slideseg.slide.base import Slide

AUTO_TISSUE_SIDE = 4096
"""RGB slides with a longer side get tissue detection by default."""
FORMAT = "slideseg-result/1"


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """What the user asked for; the names and meanings of ``slideseg predict``'s options."""

    model: str = "nuclei"
    workers: int | Literal["auto"] = "auto"
    address: str | None = None
    level: int | None = None
    mpp: float | None = None
    tissue: str = ""
    """``auto``, ``none`` or a mask's path; empty: auto for large RGB slides, else none."""
    tile: int | Literal["auto"] = "auto"
    batch: int | Literal["auto"] = "auto"
    memory: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    objects: bool = False
    """Whether objects and their table are written too."""
    split: float | None = None
    """Microns around an object's middle in which it has no other; None: as the model's recipe says, as in what follows."""
    min_area: float | None = None
    """Square microns of the smallest object that stays."""
    fill_holes: float | None = None
    """Square microns of the largest hole in an object that is filled."""
    save_probabilities: bool = False
    image: str = "overview"
    overwrite: bool = False


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
    slide: dict[str, Any]
    """``path``, ``fingerprint``, ``shape``, ``mpp`` and ``level`` of the slide."""
    axes: str
    """Axes of the slide."""
    mpp: float | None
    """Microns per working pixel."""
    tissue: str
    """``none``, ``auto`` or the mask's path."""
    image: str
    """How much of the slide the result carries: ``none``, ``overview`` or ``full``."""
    objects: Rules | None
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

    @property
    def run(self) -> dict[str, Any]:
        """Everything that decides the bytes of the result: two runs with the same can resume each other."""
        config = self.model.config
        return {
            "format": FORMAT,
            "slide": self.slide["fingerprint"],
            "level": self.job.source.level,
            "factor": self.job.source.factor,
            "model": self.job.model_sha256,
            "precision": self.job.precision,
            "device": self.job.device,
            "core": None if config.exact else self.job.core,
            "shard": self.job.grid.side,
            "tissue": None if self.job.tissue is None else self.job.tissue.digest(),
            "probabilities": self.job.probabilities,
            "image": self.image,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """All settings, resolved."""
        return {
            "workers": self.workers,
            "address": self.address,
            "level": self.job.source.level,
            "mpp": self.mpp,
            "tissue": self.tissue,
            "tile": self.tile,
            "batch": self.job.batch,
            "device": self.job.device,
            "precision": self.job.precision,
            "objects": None if self.objects is None else asdict(self.objects),
            "save_probabilities": self.job.probabilities,
            "image": self.image,
        }

    @property
    def tile(self) -> int:
        """Side of the largest network input in pixels."""
        return self.job.core + 2 * self.model.config.margin

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
        return sum(1 for box in boxes if box is not None for _ in tiles_of(box, self.job.core, stride, 0))

    def with_source(self, path: str) -> PredictPlan:
        """Return the plan with the slide read from another place, such as its temporary chunked copy."""
        return replace(self, job=replace(self.job, source=replace(self.job.source, path=path)))

    def describe(self) -> dict[str, Any]:
        """Return the plan as ``--dry-run`` prints it."""
        rows, columns = self.job.grid.shape_yx
        return {
            "slide": {**self.slide, "axes": self.axes},
            "model": {"name": self.model.name, "sha256": self.job.model_sha256},
            "working_shape": [self.job.grid.planes, rows, columns] if self.job.grid.planes > 1 else [rows, columns],
            **self.settings,
            "core": self.job.core,
            "stride": self.model.config.stride,
            "halo": self.model.config.halo,
            "exact": self.model.config.exact,
            "shards": len(self.job.grid),
            "shard": self.job.grid.side,
            "tiles": self.tiles,
            "pixels": self.pixels,
            "skipped_pixels": self.skipped_pixels,
            "chunk_first": self.chunk_first,
            "memory_per_worker": self.worker_memory,
            "disk": self.disk,
        }


def make_plan(input_path: str, output: str, options: PredictOptions) -> PredictPlan:
    """Decide everything about one slide's run.

    Raises:
        SlideError: if the slide can't be used.
        ModelError: if the model can't be used, or not on this slide.
        ConfigError: if the options contradict each other, the slide or the machine.
    """
    model, model_path = _model(options)
    info = read_info(model_path)
    with closing(open_slide(absolute(input_path))) as slide:
        _check_fit(slide, info)
        source, mpp = _choose_source(slide, info, options)
        tissue_name, tissue = _tissue_map(slide, _working_shape(slide, source), options)
        job, workers, memory = _job(slide, info, source, options)
        plan = PredictPlan(
            input=input_path,
            output=output,
            job=replace(
                job,
                model=model,
                model_sha256=hashlib.sha256(model_path.read_bytes()).hexdigest(),
                output=absolute(output),
                tissue=tissue,
            ),
            model=info,
            slide={
                "path": slide.path,
                "fingerprint": fingerprint(slide.path),
                "shape": list(slide.shape),
                "mpp": slide.mpp,
                "level": source.level,
            },
            axes=slide.axes,
            mpp=mpp,
            tissue=tissue_name,
            image=options.image,
            objects=_objects(info, mpp, options),
            workers=workers,
            address=options.address,
            chunk_first=not slide.direct and source.level == 0,
            worker_memory=memory,
            disk=disk_needed(slide, job.grid, info, options),
        )
    check_disk(plan.job.output, plan.disk)
    return plan


def _model(options: PredictOptions) -> tuple[str, Path]:
    """Return the model's name for the workers, who have the bundled ones in a place of their own, and its file here."""
    name, path = os.fspath(options.model), find_model(options.model)
    return (name if name in bundled_models() else absolute(str(path))), path


def _job(slide: Slide, info: ModelInfo, source: Source, options: PredictOptions) -> tuple[Job, int, int]:
    """Return what the workers do (but for model, output and tissue), how many there are, and the RAM in bytes one may need."""
    shape_yx = _working_shape(slide, source)
    grid = ShardGrid(shape_yx, planes_of(slide), shard_side(shape_yx))
    device = _device(options)
    workers = _workers(options, device, len(grid))
    core, batch, memory = fit_tile(slide, info, grid, options, workers)
    job = Job(
        source=source,
        model="",
        output="",
        grid=grid,
        core=core,
        batch=batch,
        tissue=None,
        device=device,
        precision=_precision(options),
        threads=_threads(options, workers),
        probabilities=options.save_probabilities,
    )
    return job, workers, memory


def _objects(info: ModelInfo, mpp: float | None, options: PredictOptions) -> Rules | None:
    """Return what an object is; None if none are wanted."""
    if options.objects:
        wanted = ObjectOptions(split=options.split, min_area=options.min_area, fill_holes=options.fill_holes)
        model = _model_record(info)
        return rules_of(model["classes"], mpp, wanted, model_objects(model, mpp))
    for name in ASKED:
        if getattr(options, name, None) is not None:
            raise ConfigError(explain(f"--{name.replace('_', '-')} is of objects, which are not asked for", try_="--objects"))
    return None


def _model_record(info: ModelInfo) -> dict[str, Any]:
    """Return what a result says of its model."""
    classes = [asdict(one) for one in info.classes]
    return {"name": info.name, "mpp": info.input.mpp, "classes": classes, "objects": asdict(info.objects)}


def _check_fit(slide: Slide, info: ModelInfo) -> None:
    if not info.input.takes(channels_of(slide)):
        raise ModelError(
            explain(
                f"{slide.path} does not fit model {info.name}",
                got=f"{channels_of(slide)} channel(s)",
                want=info.input.channels,
                try_="another --model",
            )
        )
    if slide.dtype.name not in FULL_SCALE:
        raise SlideError(explain(f"{slide.path} has an unsupported dtype", got=slide.dtype, want=", ".join(FULL_SCALE)))


def _choose_source(slide: Slide, info: ModelInfo, options: PredictOptions) -> tuple[Source, float | None]:
    """Return what is read, and the microns per working pixel."""
    if options.level is not None and options.mpp is not None:
        raise ConfigError(explain("--level and --mpp exclude each other", try_="one of them"))
    level, factor = 0, 1.0
    wanted = options.mpp if options.mpp is not None else info.input.mpp
    if options.level is not None:
        level = options.level
        if not 0 <= level < len(slide.levels):
            raise ConfigError(explain(f"{slide.path} has no level {level}", want=f"0 to {len(slide.levels) - 1}"))
    elif wanted is not None and (slide.mpp is not None or options.mpp is not None):
        level, factor = choose_level(slide, wanted)
    mpp = None if slide.mpp is None else slide.mpp * slide.levels[level].downsample * factor
    return Source(str(slide.path), level, factor), mpp


def _working_shape(slide: Slide, source: Source) -> tuple[int, int]:
    rows, columns = slide.levels[source.level].shape
    if source.factor == 1.0:
        return rows, columns
    return max(1, round(rows / source.factor)), max(1, round(columns / source.factor))


def _tissue_map(slide: Slide, shape_yx: tuple[int, int], options: PredictOptions) -> tuple[str, TissueMap | None]:
    wanted = options.tissue
    if not wanted:
        wanted = "auto" if can_detect(slide) and max(slide.levels[0].shape) > AUTO_TISSUE_SIDE else "none"
    if wanted == "none":
        return wanted, None
    if wanted == "auto":
        return wanted, detect_tissue(slide, shape_yx)
    with closing(open_slide(wanted)) as mask:
        return wanted, map_of_mask_slide(mask, shape_yx)


def _device(options: PredictOptions) -> str:
    available = torch.cuda.is_available()
    if options.device == "auto":
        return "cuda" if available else "cpu"
    if options.device == "cuda" and not available and options.address is None:
        raise ConfigError(explain("no GPU is usable here", got="--device cuda", try_="--device cpu"))
    return options.device


def _precision(options: PredictOptions) -> Precision:
    if options.precision == "int8":
        raise ConfigError(explain("int8 is not available yet", try_="--precision auto"))
    if options.precision != "auto":
        return options.precision  # type: ignore[return-value]
    return "bf16" if _device(options) == "cuda" and torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"


def _workers(options: PredictOptions, device: str, shards: int) -> int:
    if options.workers != "auto":
        if options.workers < 1:
            raise ConfigError(explain("there must be a worker", got=f"--workers {options.workers}", want="1 or more"))
        return options.workers
    units = torch.cuda.device_count() if device == "cuda" else usable_cores()
    return max(1, min(units, shards))


def _threads(options: PredictOptions, workers: int) -> int:
    """One thread a process with several workers (they would fight for the cores); what PyTorch would take for a single one."""
    return torch.get_num_threads() if workers == 1 and options.address is None else 1


def record_of(plan: PredictPlan, version: str) -> dict[str, Any]:
    """Return the ``slideseg`` attributes of an unfinished result."""
    config = plan.model.config
    return {
        "version": version,
        "status": "running",
        "slide": plan.slide,
        "model": {**_model_record(plan.model), "sha256": plan.job.model_sha256},
        "settings": plan.settings,
        "tiling": {"stride": config.stride, "halo": config.halo, "tile": plan.tile, "exact": config.exact},
        "pixels": plan.pixels,
        "skipped_pixels": plan.skipped_pixels,
        "run": json.loads(json.dumps(plan.run)),
    }
