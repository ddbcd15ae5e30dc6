"""Decide everything about one slide's run. All that can be refused is refused here, before any work."""

from __future__ import annotations

import functools
import math
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, ModelError, SlideError, explain
from slideseg.instances.options import rules_for
from slideseg.model.bundled import bundled_models, find_model
from slideseg.model.file import check_model_file
from slideseg.model.info import frozen, inexact
from slideseg.model.others.model import Model
from slideseg.model.together.model import check_ranges, info_together, use_of
from slideseg.model.values import FULL_SCALE, brightest
from slideseg.model.windows.described import WINDOW
from slideseg.model.windows.model import info_in_windows
from slideseg.prediction.choices.budget import check_disk, disk_needed, fit_tile
from slideseg.prediction.choices.calibration import fit_int8
from slideseg.prediction.choices.devices import choose_device, choose_precision, choose_workers, gpu_of, threads_of
from slideseg.prediction.choices.freezing import fit_statistics
from slideseg.prediction.choices.resolution import choose_source, working_shape
from slideseg.prediction.choices.suits import unlike
from slideseg.prediction.choices.tissue import find_tissue
from slideseg.prediction.job import Job, ModelFile, ModelInHand, ModelInWindows, ModelsTogether, Tiling
from slideseg.prediction.plan import PredictPlan, model_record
from slideseg.prediction.values import choose_range
from slideseg.result.record import ModelRecord, SlideRecord
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.guard.slide import open_in_run
from slideseg.slide.listing.sets import files_of
from slideseg.slide.rows.copy import is_readable
from slideseg.space.grid import ShardGrid, shard_side
from slideseg.storage.place import absolute, check_kept, locate

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.model.given import GivenModel
    from slideseg.model.info import ModelInfo
    from slideseg.model.objects import ObjectRules
    from slideseg.prediction.job import ModelSource, WholeModel
    from slideseg.prediction.options import PredictOptions
    from slideseg.slide.base import Slide
    from slideseg.slide.resampled import Source
    from slideseg.slide.tissue.blocks import TissueMap

MOST_NOTES = 4
"""More notes of a file are not printed before a run."""


def make_plan(input_path: str, output: str, options: PredictOptions) -> PredictPlan:
    """Decide everything about one slide's run.

    Raises:
        SlideError: if the slide can't be used.
        ModelError: if the model can't be used, or not on this slide.
        ConfigError: if the options contradict each other, the slide or the machine.
    """
    options.check()
    check_kept(_read_for(input_path, options), output, "what it is made from")
    whole, info = _models(options)
    model, info = _as_it_runs(whole, info, options)
    options = _with_channels(input_path, options, info)
    device = choose_device(options)
    with closing(open_in_run(absolute(input_path), options.selection)) as slide:
        _check_fit(slide, info)
        source, notes = choose_source(slide, info, options)
        source = replace(source, fingerprint=fingerprint(slide.path))
        about = SlideRecord.of(slide, str(source.fingerprint), source.level)
        shape_yx = working_shape(slide, source)
        grid = ShardGrid(shape_yx, planes_of(slide), shard_side(shape_yx))
        limits, doubts = choose_range(slide, source.level, info, options.range)
        tissue = find_tissue(slide, shape_yx, options.tissue, None if limits is None else brightest(limits[1]))
        pixels = grid.planes * math.prod(shape_yx) if tissue.pixels is None else tissue.pixels
        workers = choose_workers(options, device, len(grid), 2 * info.network.multiplications * pixels)
        precision = choose_precision(options, device)
        fit = fit_tile(slide, info, grid, options, workers, gpu_of(device, precision))
        tiling = Tiling(fit.core, fit.batch, device, precision, options.save_probabilities, limits)
        tiling, said = _fitted(source, grid, tissue.blocks, whole, tiling, freeze=options.freeze_statistics)
        threads, gaps = threads_of(options, workers), slide.background is not None
        made = PredictPlan(
            input=input_path,
            output=output,
            job=Job(source, model, absolute(output), grid, tiling, tissue.blocks, threads, gaps, fit.keeps_freed),
            model=info,
            slide=about,
            axes=slide.axes,
            tissue=tissue,
            image=options.image,
            objects=_objects(model_record(info, model.sha256), about.coordinates_at(source.factors).mpp, options),
            workers=workers,
            address=options.address,
            chunk_first=not is_readable(slide, source.level),
            worker_memory=fit.memory,
            disk=disk_needed(slide, grid, info, options),
            notes=(*_of_file(slide), *notes, *_doubts(slide, info), *doubts, *said, *unlike(info, tissue.look), *tissue.notes),
        )
    _check_copy(made)
    check_disk(made.job.output, made.disk)
    return made


def _with_channels(input_path: str, options: PredictOptions, info: ModelInfo) -> PredictOptions:
    """Return options that ask for the model's channels, where a slide has them by name and its user asks for none.

    Raises:
        ModelError: if the slide's channels have other names.
    """
    names = info.input.names
    if not names or options.selection.channels:
        return options
    with closing(open_in_run(absolute(input_path), options.selection)) as slide:
        there = [channel.name.strip() for channel in slide.channels if channel.name.strip()]
    if {name.casefold() for name in there}.issuperset(name.strip().casefold() for name in names):
        return replace(options, channel=names)
    if there:
        what, want = f"{input_path} has other channels than model {info.name} sees", ", ".join(names)
        raise ModelError(explain(what, got=", ".join(there), want=want, try_="--channel, to say which they are"))
    return options


def _as_it_runs(model: WholeModel, info: ModelInfo, options: PredictOptions) -> tuple[ModelSource, ModelInfo]:
    """Return a model, and what is said of it, as the options have it run.

    Raises:
        ModelError: if it can't be tiled exactly, and that is not asked for.
        ConfigError: if its windows would be too small.
    """
    if not (info.network.exact or options.inexact or options.freeze_statistics):
        cure = "--freeze-statistics, or " * info.network.curable
        raise ModelError(explain(inexact(info), try_=f"{cure}--inexact, which measures by how much tiles change it"))
    if options.freeze_statistics:
        return model, frozen(info)
    if info.network.exact:
        return model, info
    side = WINDOW if options.tile == "auto" else options.tile
    return ModelInWindows(model, side), info_in_windows(info, side)


def _fitted(
    source: Source, grid: ShardGrid, tissue: TissueMap | None, model: WholeModel, tiling: Tiling, *, freeze: bool
) -> tuple[Tiling, tuple[str, ...]]:
    """Return how the network is run, fitted to the slide where that is needed, and what is to be said of that."""
    if tiling.precision == "int8":
        fitted = fit_int8(source, grid, tissue, model, tiling)
        return replace(tiling, fitted=fitted.ranges), fitted.notes
    if freeze:
        statistics, notes = fit_statistics(source, grid, tissue, model, tiling)
        return replace(tiling, fitted=statistics), notes
    return tiling, ()


def _read_for(input_path: str, options: PredictOptions) -> list[str]:
    """Return the files of the slide, the tissue mask's and the model's."""
    slide = [input_path] if "://" in input_path else files_of(input_path)
    masks = [] if options.tissue in ("", "none", "auto") else [options.tissue]
    models = [str(find_model(given)) for given in options.models if isinstance(given, str)]
    return [*slide, *masks, *models]


def _check_copy(plan: PredictPlan) -> None:
    """Refuse a run on a cluster whose copy of the slide would be on one machine."""
    if plan.chunk_first and plan.address is not None and locate(plan.output).bucket is not None:
        what = f"{plan.input} can only be read from a copy, which the workers of a cluster share beside the result"
        try_ = "a tiled TIFF, or slideseg convert"
        raise ConfigError(explain(what, got=plan.output, want="a folder", try_=try_))


def _models(options: PredictOptions) -> tuple[WholeModel, ModelInfo]:
    """Return the models as the workers find them, and what is to be said of them together."""
    parts, infos = zip(*map(_model, options.models), strict=True)
    if options.range is None:
        check_ranges(infos)
    use = use_of(infos, options.tta, options.smooth)
    info = info_together(infos, use)
    return (parts[0], info) if info is infos[0] else (ModelsTogether(parts, info, use), info)


def _model(given: str | GivenModel) -> tuple[ModelFile | ModelInHand, ModelInfo]:
    """Return a model as the workers find it, and what it says about itself."""
    if isinstance(given, Model):
        return ModelInHand(given.info.name, given.sha256, given), given.info
    name = str(given)
    path = find_model(name)
    found = path.stat()
    info, sha256 = _checked(path, (found.st_ino, found.st_mtime_ns, found.st_size))
    return ModelFile(name if name in bundled_models() else absolute(str(path)), sha256), info


@functools.lru_cache(maxsize=4)
def _checked(path: Path, _: tuple[int, ...]) -> tuple[ModelInfo, str]:
    """Return what a model file says about itself, and its hash, once all its weights are seen to be fit for use.

    The same file, as its stamp says, is read once for all slides.
    """
    return check_model_file(path)


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
