"""Small finished results for tests, made without a network."""

from dataclasses import replace

import numpy as np
from skimage.measure import label

from slideseg.arrays.pyramid import write_pyramid
from slideseg.arrays.shards import create_array, write_shard
from slideseg.instances.measurements import MeasureWorker, TableJob
from slideseg.instances.rows import RowForm
from slideseg.instances.strips import RowsWorker, missing_strips, write_table
from slideseg.instances.workers import clear_work
from slideseg.model.info import ModelClass
from slideseg.model.objects import ObjectRules
from slideseg.result.commit import commit, commit_objects
from slideseg.result.create import create_result
from slideseg.result.layout import OBJECTS, ResultLayout
from slideseg.result.overview import write_overview
from slideseg.result.record import ObjectsRecord
from slideseg.result.shards import ShardStore
from slideseg.slide.array import ArraySlide
from slideseg.space.grid import ShardGrid
from slideseg.storage.store import open_store
from slideseg.testing.records import made_record, made_slide, sides_of
from slideseg.testing.slides import Opened

CLASSES = (
    ModelClass(0, "background", "#000000"),
    ModelClass(1, "nucleus", "#ff8000"),
    ModelClass(2, "stroma & more", "#0000ff"),
)


def blobs(shape_yx, seed=0):
    """Return a class map with about one blob of 8 to 20 pixels in every 32 x 32, of both classes."""
    random = np.random.default_rng(seed)
    image = np.zeros(shape_yx, np.uint8)
    for _ in range(shape_yx[0] * shape_yx[1] // 1024):
        centre, radius = random.random(2) * shape_yx, 4 + 6 * random.random()
        low, high = np.maximum(centre - radius, 0).astype(int), np.minimum(centre + radius + 2, shape_yx).astype(int)
        around = (slice(low[0], high[0]), slice(low[1], high[1]))
        y, x = np.ogrid[around]
        image[around][(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2] = random.integers(1, 3)
    return image


def make_result(
    url,
    class_map,
    *,
    side=256,
    mpp=0.5,
    classes=CLASSES,
    image=None,
    objects=False,
    table=False,
    finish=True,
    plane_axis=None,
    slide=None,
    factor=1.0,
):
    """Write a result with ``class_map`` (y, x), or (planes, y, x) with a ``plane_axis``; return the instances.

    With ``objects`` it has instances of class 1, and with ``table`` the table of these.
    ``mpp`` are the microns of its pixels, of the slide's where ``slide`` says those; ``factor`` is how much larger they are.
    """
    planes = class_map if plane_axis else class_map[None]
    source = made_slide(**{"path": "a slide.tif", "shape": (*class_map.shape, 3), **(slide or {})})
    factors = sides_of(factor)
    if source.mpp_yx is None and mpp is not None:
        own = [side / scale for side, scale in zip(sides_of(mpp), source.scale_at(factors), strict=True)]
        source = replace(source, mpp_yx=tuple(own))
    record = replace(made_record(slide=source, classes=classes, factors=factors, pixels=class_map.size), seconds=1.5)
    grid = ShardGrid(planes.shape[1:], len(planes), side)
    layout = ResultLayout(grid, plane_axis, classes, 0, record.coordinates)
    create_result(str(url), layout, record, overwrite=False)
    shards = ShardStore(str(url), layout)
    for shard in layout.grid:
        shards.write(shard, planes[shard.plane][shard.write_box.slices])
    if not finish:
        return None
    write_pyramid(str(url), layout.segmentation(), "mode", layout.levels)
    if image is not None:
        write_overview(str(url), Opened(ArraySlide(image)), layout)
    commit(str(url), layout, record)
    ids = write_objects(str(url), layout, planes) if objects else None
    if table:
        write_objects_table(str(url), layout, record)
    return ids


def write_objects(url, layout, planes):
    """Write the instances of class 1, as ids from 1."""
    ids = np.stack([label(plane == 1, connectivity=1).astype(np.uint32) for plane in planes])
    store, plan = open_store(url), layout.labels(OBJECTS, "uint32")
    record = ObjectsRecord(ObjectRules((1,)), int(ids.max()), 0, ())
    create_array(store, plan, {"slideseg": record.to_json()})
    for shard in plan.grid:
        write_shard(store, plan, shard.index, ids[shard.plane][shard.write_box.slices])
    write_pyramid(url, plan, "mode", layout.levels)
    commit_objects(store, layout)
    return ids if layout.plane_axis else ids[0]


def write_objects_table(url, layout, record):
    """Write the table of the instances."""
    job = TableJob(
        url=url,
        labels=layout.labels(OBJECTS, "uint32"),
        class_map=layout.segmentation(),
        probabilities=None,
        form=RowForm(
            classes=(1,),
            names=tuple(known.name for known in layout.classes),
            scale=record.level_0_scale,
            mpp_yx=record.coordinates.mpp_yx,
        ),
    )
    worker = MeasureWorker(job)
    for index in job.missing():
        worker(index)
    for number in missing_strips(job):
        RowsWorker(job)(number)
    write_table(job)
    clear_work(open_store(url))
