"""The layers that docs/notebooks.md makes, in napari itself, where it is installed."""

import matplotlib as mpl
import numpy as np
import pytest

from tests.notebooks_page import SHAPE, run_page

pytestmark = pytest.mark.filterwarnings("ignore")  # napari's own


@pytest.fixture(scope="module")
def viewer(tmp_path_factory):
    """napari's own viewer after all of the page has run, without its window."""
    napari = pytest.importorskip("napari", reason="napari is not installed: pip install 'napari>=0.6'")
    from napari.components import ViewerModel  # noqa: PLC0415 - only where it is installed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(napari, "Viewer", ViewerModel, raising=False)
        patch.setattr(napari, "run", lambda: None, raising=False)
        yield run_page(tmp_path_factory.mktemp("napari"), patch)["viewer"]
    mpl.pyplot.close("all")


def test_the_layers_lie_on_each_other(viewer):
    """In microns, on each other, the slide in colour."""
    assert [layer.name for layer in viewer.layers] == ["image", "segmentation", "objects"]
    assert viewer.layers["image"].rgb
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"micrometer"}
    assert {tuple(layer.axis_labels) for layer in viewer.layers} == {("y", "x")}
    for layer in viewer.layers:
        assert layer.multiscale
        assert np.allclose(layer.extent.world, [[-0.25, -0.25], np.array(SHAPE) * 0.5 - 0.25], atol=layer.scale[0])


def test_an_object_has_its_row(viewer):
    labels = viewer.layers["objects"]
    rows = labels.features.set_index("index")
    y, x = rows[["centroid_y_um", "centroid_x_um"]].loc[7] - 0.25  # from the corner of the first pixel to its centre
    labels.selected_label = labels.get_value((y, x), world=True)[1]
    assert labels.selected_label == 7
    assert f"; id: 7, class: {rows['class'].loc[7]}, " in labels.get_status((y, x), world=True)["value"]
