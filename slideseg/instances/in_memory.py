"""The objects of a class map in memory: labels and table, as `slideseg objects` writes them of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow

from slideseg.instances.labelling.measure import Pixels, measure
from slideseg.instances.labelling.paint import label_image
from slideseg.instances.labelling.reach import Place
from slideseg.space.box import Box

if TYPE_CHECKING:
    import numpy as np

    from slideseg.instances.rows import RowForm
    from slideseg.model.objects import ObjectRules


SIDE = 2048
"""Of the parts that are labelled at a time; they change nothing but the memory it takes."""


class Instances(NamedTuple):
    """The objects of an image: ``labels, table = slideseg.segment(image, objects=True)``."""

    labels: np.ndarray
    """Instance ids (y, x), 0 is none."""
    table: pyarrow.Table
    """One row an object, in the order of the ids; ``table.to_pandas()`` is a data frame."""


def find_instances(class_map: np.ndarray, image: np.ndarray | None, rules: ObjectRules, form: RowForm) -> Instances:
    """Return the objects of a class map (y, x) and what is measured of them.

    Args:
        class_map: class ids.
        image: the image (y, x, c) that the channels of ``form`` are of.
        rules: what an object is.
        form: what is made of the measures.
    """
    labels = label_image(class_map, rules, SIDE)
    place = Place(Box.of_shape(class_map.shape), 0, class_map.shape)
    rows = form.rows(measure(labels, Pixels(class_map, None, image), place, form.classes))
    return Instances(labels, pyarrow.Table.from_batches([rows]))
