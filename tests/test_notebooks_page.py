"""The Python on docs/notebooks.md runs, in order, on a made result, and gives what the page says."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from tests.made_results import blobs
from tests.notebooks_page import SHAPE, run_page

OF_BOTH = {"data", "scale", "translate", "name", "opacity", "visible", "multiscale", "metadata", "units", "axis_labels"}
PARAMETERS = {"add_image": OF_BOTH | {"rgb", "channel_axis"}, "add_labels": OF_BOTH | {"colormap", "features"}}
"""What napari documents for its layers."""


class FakeViewer:
    """A stand-in for ``napari.Viewer`` that keeps what its layers are given."""

    def __init__(self) -> None:
        self.layers: dict[str, dict[str, Any]] = {}
        self.scale_bar = types.SimpleNamespace(visible=False)

    def add_image(self, data: Any, **options: Any) -> None:
        self._add("add_image", {"data": data, **options})

    def add_labels(self, data: Any, **options: Any) -> None:
        self._add("add_labels", {"data": data, **options})

    def _add(self, method: str, given: dict[str, Any]) -> None:
        assert set(given) <= PARAMETERS[method]
        self.layers[given["name"]] = given


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """What the page's names are once all of its Python has run."""
    napari, utils = types.ModuleType("napari"), types.ModuleType("napari.utils")
    napari.Viewer, napari.run, napari.utils = FakeViewer, lambda: None, utils
    utils.DirectLabelColormap = lambda color_dict: color_dict
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "napari", napari)
        patch.setitem(sys.modules, "napari.utils", utils)
        yield run_page(tmp_path_factory.mktemp("notebooks"), patch)
    mpl.pyplot.close("all")


def test_the_result_shows_itself(page):
    assert "data:image/png;base64" in page["result"]._repr_html_()
    assert page["result"].classes[1].name == "nucleus"


def test_arrays_are_the_class_map(page):
    class_map = blobs(SHAPE)
    assert page["share"] == pytest.approx((class_map == 1).mean())
    assert np.array_equal(page["classes"], class_map[:256, :256])
    assert np.array_equal(page["lazy"].compute(), class_map)
    assert page["names"] == {0: "background", 1: "nucleus", 2: "stroma & more"}


def test_the_table_and_one_object(page):
    assert len(page["nuclei"]) == len(page["areas"]) > 100
    assert page["mask"].sum() == page["largest"]["pixels"]
    assert page["mask"].any(axis=0).all()


def test_centres_lie_on_their_objects_in_the_figure(page):
    (points,) = page["axes"].lines
    x, y = (values.astype(int) for values in points.get_data())
    under = page["result"].objects.compute()[y, x]
    assert (under == page["nuclei"]["id"]).mean() > 0.95  # the centre of a bent one may lie beside it
    assert Path("overlay.png").stat().st_size > 10_000


def edges_of(layer: dict[str, Any]) -> np.ndarray:
    """Return the outer edges (first y and x, last y and x) that napari gives a layer: places are those of pixels' centres."""
    scale, first = np.array(layer["scale"]), np.array(layer["translate"])
    return np.concatenate([first, first + scale * layer["data"][0].shape[:2]]) - np.tile(scale / 2, 2)


def test_the_layers_of_napari_lie_on_each_other(page):
    layers = page["viewer"].layers
    assert list(layers) == ["image", "segmentation", "objects"]
    edges = [edges_of(layer) for layer in layers.values()]
    assert np.allclose(edges, edges[0])
    assert np.allclose(edges[0], np.array([0, 0, *SHAPE]) * 0.5 - 0.25)
    for layer in layers.values():
        assert len(layer["scale"]) == len(layer["translate"]) == 2
        assert (layer["axis_labels"], layer["units"]) == (["y", "x"], ["micrometer", "micrometer"])
        sizes = [one.shape[0] for one in layer["data"]]
        assert sizes == sorted(sizes, reverse=True)
    assert layers["image"]["data"][0].shape[-1] == 3
    assert page["viewer"].scale_bar.visible


def test_the_layers_have_colours_and_rows(page):
    layers = page["viewer"].layers
    assert layers["segmentation"]["colormap"] == {1: "#ff8000", 2: "#0000ff", 0: "transparent", None: "transparent"}
    features = layers["objects"]["features"]
    assert list(features["index"]) == list(features["id"]) == list(range(1, len(features) + 1))
