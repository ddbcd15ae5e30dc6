"""The whole command on real slides equals one pass over the whole image, and its bytes don't depend on the workers."""

import pytest

from tests.integration.conftest import array_bytes, class_map, pixels_of, run_slideseg, whole_class_map

ALL = ("--tissue", "none", "--json")


@pytest.fixture(scope="module", params=[("CMU-1-Small-Region.svs", 0), ("tcga-cr-7395-01a-01-ts1.svs", 1)], ids=str)
def slide(request, data):
    name, level = request.param
    return data / "wsi" / "aperio" / name, level


@pytest.fixture(scope="module")
def reference(slide, rgb_model):
    return whole_class_map(rgb_model[1], pixels_of(slide[0], level=slide[1]))


@pytest.mark.ray
def test_tiles_and_workers_equal_the_whole_slide(slide, reference, rgb_model, tmp_path):
    words = ("predict", slide[0], "--level", slide[1], "-m", rgb_model[0], *ALL)
    runs = {"one": ("-w", 1), "two_small": ("-w", 2, "--tile", 384)}
    runs |= {"large": ("-w", 1, "--tile", 1024)} if slide[1] == 0 else {}
    for name, options in runs.items():
        outcome = run_slideseg(*words, "-o", tmp_path / f"{name}.zarr", *options)

        assert outcome.status == 0, outcome.err
        assert outcome.slide["shards"]["computed"] == outcome.slide["shards"]["total"] > 1
        assert (class_map(tmp_path / f"{name}.zarr") == reference).all()
    assert len(set(reference.ravel())) == 3
    wanted = array_bytes(tmp_path / "one.zarr")
    assert all(array_bytes(tmp_path / f"{name}.zarr") == wanted for name in runs)


@pytest.mark.ray
def test_a_stack_is_segmented_plane_by_plane(data, grey_model, tmp_path):
    stack = data / "isbi2012" / "test-volume.tif"
    for workers in (1, 2):
        outcome = run_slideseg(
            "predict",
            stack,
            "-o",
            tmp_path / f"{workers}.zarr",
            "-m",
            grey_model[0],
            "--level",
            0,
            *ALL,
            "-w",
            workers,
            "--save-probabilities",
        )

        assert outcome.status == 0, outcome.err
    got = class_map(tmp_path / "1.zarr")
    assert got.shape == (30, 512, 512)
    for plane in (0, 13, 29):
        assert (got[plane] == whole_class_map(grey_model[1], pixels_of(stack, plane))).all()
    assert array_bytes(tmp_path / "1.zarr") == array_bytes(tmp_path / "2.zarr")
