"""A link that opens a result in neuroglancer, which reads it from where `slideseg view` serves it.

neuroglancer takes what it shows, its *state*, as JSON from behind the ``#!`` of its address.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from slideseg.arrays.described import described_by, ome_of
from slideseg.colors import rgb_of
from slideseg.result.layout import OBJECTS, SEGMENTATION
from slideseg.storage.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.result.result import Result

State = dict[str, Any]
"""Of neuroglancer, or that of one of its layers."""
PAGE = "https://neuroglancer-demo.appspot.com/"
METERS = 1e-6
"""Of a micron: neuroglancer has no microns."""
VIEW_SIDE = 700
"""Pixels of the screen along the slide's longer side, at first."""
CHANNEL = "c'"
"""What neuroglancer calls an axis of channels of which it shows one at a time."""


def neuroglancer_link(result: Result, address: str) -> str:
    """Return the address of neuroglancer with `neuroglancer_state`.

    Raises:
        ResultError: if the metadata of the result are damaged.
    """
    return f"{PAGE}#!{quote(json.dumps(neuroglancer_state(result, address)), safe='')}"


def neuroglancer_state(result: Result, address: str) -> State:
    """Return the state in which neuroglancer shows all of a result whose files are served below ``address``.

    Every channel of the image is a layer, in its colour; together they add up to the slide, and labels lie on it. Where there
    are objects, the class map is there but switched off.

    Raises:
        ResultError: if the metadata of the result are damaged.
    """
    url = address.rstrip("/")
    objects = [_labels(f"{url}/{OBJECTS}/", "objects")] if result.objects is not None else []
    segmentation = _labels(f"{url}/{SEGMENTATION}/", "segmentation") | {"visible": not objects, **_classes(result)}
    return {
        "title": result.record.slide.path.rstrip("/").rpartition("/")[2],
        **_whole(result),
        "crossSectionBackgroundColor": "#000000",
        "showAxisLines": False,
        "showDefaultAnnotations": False,
        "layout": "xy",
        "layers": [*_channels(result, f"{url}/"), segmentation, *objects],
    }


def _whole(result: Result) -> State:
    """Return the axes, x first, with the class map's pixels as their steps, its middle, and how much of it a pixel shows."""
    with described_by(SEGMENTATION):
        multiscale = ome_of(open_store(result.url, read_only=True), SEGMENTATION)["multiscales"][0]
        said = {one["type"]: one[one["type"]] for one in multiscale["datasets"][0]["coordinateTransformations"]}
        axes = [(axis["name"], axis.get("unit") == "micrometer") for axis in multiscale["axes"]]
        steps = {
            name: [step * METERS, "m"] if known else [step, ""] for (name, known), step in zip(axes, said["scale"], strict=True)
        }
        places = zip(said["translation"], said["scale"], result.segmentation.shape, strict=True)
        middle = [first / step + length / 2 for first, step, length in places]
    return {
        "dimensions": dict(reversed(steps.items())),
        "position": middle[::-1],
        "crossSectionScale": max(result.segmentation.shape[-2:]) / VIEW_SIDE,
    }


def _channels(result: Result, source: str) -> Iterator[State]:
    """Give the layers of the image; none where there is none."""
    if not result.image:
        return
    with described_by(""):
        channels = ome_of(open_store(result.url, read_only=True), "")["omero"]["channels"]
        shown = [(str(one["label"]), rgb_of(one["color"])) for one in channels]
    for number, (name, color) in enumerate(shown):
        parts = ", ".join(str(part / 255) for part in color)
        yield {
            "type": "image",
            "name": f"image {name}",
            "source": f"zarr3://{source}",
            "localDimensions": {CHANNEL: [1, ""]},
            "localPosition": [number],
            "shader": f"void main() {{ emitRGB(vec3({parts}) * toNormalized(getDataValue())); }}",
            "blend": "additive",
            "opacity": 1,
        }


def _labels(source: str, name: str) -> State:
    return {"type": "segmentation", "name": name, "source": f"zarr3://{source}", "selectedAlpha": 0.4}


def _classes(result: Result) -> State:
    """Return which labels of the class map are shown, and their colours."""
    shown = [known for known in result.classes if known.id]
    return {
        "segments": [str(known.id) for known in shown],
        "segmentColors": {str(known.id): known.color for known in shown},
    }
