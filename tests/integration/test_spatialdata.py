"""The lines of docs/export.md that make a SpatialData object of a result, where that library is installed."""

import re
from pathlib import Path

import numpy as np
import pytest

import slideseg
from tests.made_results import blobs, make_result

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
SHAPE = (300, 450)

pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own


def lines():
    """Return the lines of the page."""
    (code,) = [code for code in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if "import SpatialData" in code]
    return code


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """What the lines make of a result whose image has pixels half as large as the class map's, which are 2 of the slide's."""
    pytest.importorskip("spatialdata", reason="spatialdata is not installed: pip install spatialdata")
    folder = tmp_path_factory.mktemp("spatialdata")
    class_map = blobs(SHAPE)
    image = np.repeat(np.repeat(np.where(class_map, 255, 0).astype(np.uint8), 2, 0), 2, 1)
    shape = tuple(2 * side for side in SHAPE)
    make_result(folder / "biopsy.zarr", class_map, image=np.stack([image] * 3, -1), slide={"shape": (*shape, 3)}, factor=2.0)
    slideseg.objects(folder / "biopsy.zarr")
    slideseg.export(folder / "biopsy.zarr", "anndata", folder / "biopsy.h5ad")
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(lines(), names)
    return names["slide"]


def test_slide_and_objects_lie_on_each_other(slide):
    from spatialdata import get_extent  # noqa: PLC0415 - only where it is installed

    for name in ("image", "objects"):
        extent = get_extent(slide[name])
        assert np.allclose([extent["y"], extent["x"]], [[0, 2 * side] for side in SHAPE])
    assert slide["image"].shape == (3, *(2 * side for side in SHAPE))
    assert slide["objects"].shape == SHAPE


def test_rows_lie_on_their_objects(slide):
    from spatialdata import get_centroids, get_element_annotators, get_values  # noqa: PLC0415

    assert get_element_annotators(slide, "objects") == {"table"}
    areas = get_values("pixels", sdata=slide, element_name="objects", table_name="table")["pixels"]
    ids, pixels = np.unique(slide["objects"].to_numpy(), return_counts=True)
    assert areas.to_dict() == dict(zip(ids[1:], pixels[1:], strict=True))
    centres = get_centroids(slide["objects"], coordinate_system="global").compute().loc[ids[1:]]
    assert np.allclose(centres[["x", "y"]], slide["table"].obsm["spatial"])
