"""What neuroglancer is told of a result; by its own package too, where that is installed."""

import json
from urllib.parse import unquote

import numpy as np
import pytest
import zarr

import slideseg
from slideseg.errors import ResultError
from slideseg.viewer.neuroglancer import PAGE, neuroglancer_link, neuroglancer_state
from tests.made_results import blobs, make_result

ADDRESS = "http://127.0.0.1:8000/TOKEN/data/"
SHAPE = (96, 128)


@pytest.fixture(scope="module")
def colour(tmp_path_factory):
    """A result with a colour slide and objects."""
    url = tmp_path_factory.mktemp("neuroglancer") / "x.zarr"
    make_result(url, blobs(SHAPE), image=np.zeros((*SHAPE, 3), np.uint8), objects=True)
    return slideseg.open_result(url)


def layers_of(result):
    return {layer["name"]: layer for layer in neuroglancer_state(result, ADDRESS)["layers"]}


def test_the_slide_in_colour_and_labels_on_it(colour):
    layers = layers_of(colour)
    assert list(layers) == ["image red", "image green", "image blue", "segmentation", "objects"]
    for number, name in enumerate(("red", "green", "blue")):
        layer = layers[f"image {name}"]
        assert layer["source"] == "zarr3://http://127.0.0.1:8000/TOKEN/data/"
        assert (layer["localPosition"], layer["blend"]) == ([number], "additive")
        color = ", ".join("1.0" if one == number else "0.0" for one in range(3))
        assert f"vec3({color}) * toNormalized(getDataValue())" in layer["shader"]
    for name in ("segmentation", "objects"):
        assert layers[name]["type"] == "segmentation"
        assert layers[name]["source"] == f"zarr3://http://127.0.0.1:8000/TOKEN/data/labels/{name}/"
    assert layers["segmentation"]["segmentColors"] == {"1": "#ff8000", "2": "#0000ff"}
    assert layers["segmentation"]["segments"] == ["1", "2"]
    assert not layers["segmentation"]["visible"]


def test_its_view_is_the_whole_slide_in_microns(colour):
    state = neuroglancer_state(colour, ADDRESS)
    assert state["title"] == "a slide.tif"
    assert list(state["dimensions"]) == ["x", "y"]
    assert state["dimensions"]["x"] == [pytest.approx(0.5e-6), "m"]
    assert state["position"] == [64, 48]
    assert 128 / 800 <= state["crossSectionScale"] <= 128 / 600


def test_without_image_objects_or_microns(tmp_path):
    make_result(tmp_path / "x.zarr", blobs(SHAPE), mpp=None)
    result = slideseg.open_result(tmp_path / "x.zarr")
    assert list(layers_of(result)) == ["segmentation"]
    assert layers_of(result)["segmentation"]["visible"]
    assert neuroglancer_state(result, ADDRESS)["dimensions"] == {"x": [1.0, ""], "y": [1.0, ""]}


def test_a_stack_has_a_third_axis(tmp_path):
    make_result(tmp_path / "x.zarr", np.stack([blobs(SHAPE)] * 4), plane_axis="z")
    state = neuroglancer_state(slideseg.open_result(tmp_path / "x.zarr"), ADDRESS)
    assert list(state["dimensions"]) == ["x", "y", "z"]
    assert state["dimensions"]["z"] == [1.0, ""]
    assert state["position"] == [64, 48, 2]


def test_other_channels_have_their_own_colours(tmp_path):
    image = np.random.default_rng(0).integers(0, 9000, (*SHAPE, 2)).astype(np.uint16)
    make_result(tmp_path / "x.zarr", blobs(SHAPE), image=image)
    layers = layers_of(slideseg.open_result(tmp_path / "x.zarr"))
    assert list(layers) == ["image channel 0", "image channel 1", "segmentation"]
    assert "vec3(1.0, 1.0, 1.0)" in layers["image channel 0"]["shader"]
    assert "vec3(0.0, 1.0, 0.0)" in layers["image channel 1"]["shader"]


def test_damaged_metadata_are_one_line(tmp_path):
    make_result(tmp_path / "x.zarr", blobs(SHAPE), image=np.zeros((*SHAPE, 3), np.uint8))
    result = slideseg.open_result(tmp_path / "x.zarr")
    root = zarr.open_group(str(tmp_path / "x.zarr"), mode="r+")
    root.attrs["ome"] = {**root.attrs["ome"], "omero": {"channels": [{"label": "red", "color": "reddish"}]}}
    with pytest.raises(ResultError, match=r"^zarr.json is damaged"):
        neuroglancer_state(result, ADDRESS)


def test_the_link_holds_the_state(colour):
    page, _, state = neuroglancer_link(colour, ADDRESS).partition("#!")
    assert page == PAGE
    assert json.loads(unquote(state)) == neuroglancer_state(colour, ADDRESS)
    assert not set(state) & set(' "<>{}/')


@pytest.mark.filterwarnings("ignore")
def test_neuroglancer_s_own_package_understands_it(colour):
    neuroglancer = pytest.importorskip("neuroglancer", reason="neuroglancer is not installed: pip install neuroglancer")
    said = neuroglancer_state(colour, ADDRESS)
    state = neuroglancer.ViewerState(said)
    assert tuple(state.dimensions.names) == ("x", "y")
    assert tuple(state.dimensions.units) == ("m", "m")
    assert np.allclose(state.dimensions.scales, 0.5e-6)
    assert np.allclose(state.position, [64, 48])
    assert state.cross_section_scale == said["crossSectionScale"]
    assert (state.layout.type, state.show_axis_lines, state.show_default_annotations) == ("xy", False, False)
    shown = [(layer.name, type(layer.layer).__name__, layer.visible) for layer in state.layers]
    channels = [(f"image {name}", "ImageLayer", True) for name in ("red", "green", "blue")]
    assert shown == [*channels, ("segmentation", "SegmentationLayer", False), ("objects", "SegmentationLayer", True)]
    assert [layer.layer.source[0].url for layer in state.layers] == [layer["source"] for layer in said["layers"]]
    assert [list(layer.layer.local_position) for layer in list(state.layers)[:3]] == [[0], [1], [2]]
    assert [layer.layer.blend for layer in list(state.layers)[:3]] == ["additive"] * 3
    assert dict(state.layers["segmentation"].layer.segment_colors) == {1: "#ff8000", 2: "#0000ff"}
    assert sorted(state.layers["segmentation"].layer.segments) == [1, 2]
