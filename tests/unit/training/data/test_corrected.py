"""What somebody corrected in a result, as the classes of its objects to learn from."""

import numpy as np
import pytest

import slideseg
from slideseg.errors import DataError
from slideseg.result.edits import edits_path, write_edits
from slideseg.space.box import Box
from slideseg.testing.records import made_classes
from slideseg.training.data.corrected import read_corrected
from slideseg.training.data.dataset import open_data
from slideseg.training.data.sources import fingerprints
from slideseg.training.recipe.reading import parse_config
from tests.made_results import make_result

RECIPE = ("background", "Lymphocyte", "tumour")


@pytest.fixture
def corrected(tmp_path):
    """A result of 16 objects, of both classes by turns, in which object 1 was removed and object 2 is of the other class."""
    y, x = np.mgrid[:200, :200]
    discs = ((y % 50 - 25) ** 2 + (x % 50 - 25) ** 2) <= 100
    class_map = np.where(discs, 1 + (x // 50 + y // 50) % 2, 0).astype(np.uint8)
    make_result(tmp_path / "x.zarr", class_map, classes=made_classes("background", "tumour", "lymphocyte"))
    slideseg.objects(tmp_path / "x.zarr")
    np.save(tmp_path / "x.npy", np.full((200, 200, 3), 200, np.uint8))
    result = slideseg.open_result(tmp_path / "x.zarr")
    write_edits(result, {1: None, 2: "tumour"})
    return result, edits_path(result)


def test_objects_have_the_classes_that_they_were_given(corrected):
    result, path = corrected
    names = [None, *result.table["class_name"].to_pylist()]
    assert (names[1], names[2]) == ("tumour", "lymphocyte")
    found = read_corrected(str(path), RECIPE)
    wanted = [0, 0, 2, *({"tumour": 2, "lymphocyte": 1}[name] for name in names[3:])]
    assert found.class_ids.tolist() == wanted
    assert found.labels.tolist() == list(range(17))
    assert not found.may_ignore


def test_a_recipe_learns_from_them(corrected, tmp_path):
    result, path = corrected
    np.save(tmp_path / "y.npy", np.full((64, 64, 3), 200, np.uint8))
    np.save(tmp_path / "labels.npy", np.ones((64, 64), np.uint8))
    learn = {"images": "x.npy", "labels": "x.zarr/labels/objects", "instance_classes": "x.edits.json"}
    judge = {"images": "y.npy", "labels": "labels.npy"}
    sources = [
        {name: str(tmp_path / file) for name, file in one.items()} | {"labels_are": "instances"} for one in (learn, judge)
    ]
    split = [{"split": "train"}, {"split": "validation"}]
    data = {"sources": [source | part for source, part in zip(sources, split, strict=True)]}
    config = parse_config({"name": "x", "data": data, "classes": list(RECIPE[1:]), "loss": {"cross_entropy": 1}}, "x.yaml")
    assert str(path) in fingerprints(config.data.sources)
    data = open_data(config.data, RECIPE, 3)
    try:
        (item,) = data.train
        window = item.read(Box(0, 0, 200, 200))
    finally:
        data.close()
    objects = result.objects.compute()
    assert set(window.classes[objects == 1]) == {0}
    assert set(window.classes[objects == 2]) == {2}
    assert (window.instances > 0).sum() == (objects > 1).sum()


def test_what_can_not_be_used_is_one_line(corrected, tmp_path):
    result, path = corrected
    with pytest.raises(DataError, match=r"no such list of edits .got .*y.edits.json, want what slideseg view --edit writes"):
        read_corrected(str(tmp_path / "y.edits.json"), RECIPE)
    with pytest.raises(DataError, match=r"is of an unknown class .got tumour, want background or lymphocyte"):
        read_corrected(str(path), ("background", "lymphocyte"))
    slideseg.objects(result.url, classes=("tumour",), overwrite=True)
    with pytest.raises(DataError, match=r"can't be used .got .*belongs to other objects"):
        read_corrected(str(path), RECIPE)
    path.rename(tmp_path / "lost.edits.json")
    with pytest.raises(DataError, match=r"can't be used .got no such result"):
        read_corrected(str(tmp_path / "lost.edits.json"), RECIPE)
