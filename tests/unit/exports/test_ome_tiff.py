"""OME-TIFF: every level is the store's, and other programs read it."""

import numpy as np
import openslide
import pytest
import tifffile

import slideseg
from slideseg.arrays.boxes import BoxReader, levels_of
from slideseg.arrays.plan import ArrayPlan
from slideseg.errors import ConfigError
from slideseg.exports.ome_tiff import write_ome_tiff
from slideseg.exports.run import export
from slideseg.space.box import Box
from slideseg.storage.store import open_store
from tests.made_results import make_result
from tests.unit.exports.conftest import SHAPE, left


@pytest.mark.parametrize("labels", ["segmentation", "objects"])
def test_every_level_of_the_tiff_is_the_stores(result, tmp_path, labels):
    path, _ = result
    export(path, "ome-tiff", tmp_path / "x.ome.tif", labels=labels)
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as tiff:
        assert tiff.is_ome
        assert len(tiff.pages) == 1
        assert len(tiff.pages[0].subifds) == len(tiff.series[0].levels) - 1 == 2
        assert tiff.pages[0].is_tiled
        for level, reader in zip(tiff.series[0].levels, levels_of(str(path), f"labels/{labels}"), strict=True):
            from_store = reader.read(Box.of_shape(reader.shape_yx))
            assert np.array_equal(level.asarray(), from_store)
        metadata = tiff.ome_metadata
    assert 'PhysicalSizeX="0.5"' in metadata
    assert ('<M K="class 2">stroma &amp; more #0000ff</M>' in metadata) == (labels == "segmentation")


def test_openslide_reads_the_tiff(result, class_map, tmp_path):
    export(result[0], "ome-tiff", tmp_path / "x.ome.tif")
    with openslide.OpenSlide(tmp_path / "x.ome.tif") as slide:
        assert slide.dimensions == SHAPE[::-1]
        pixels = np.asarray(slide.read_region((300, 200), 0, (400, 300)))
    assert np.array_equal(pixels[..., 0], class_map[200:500, 300:700])


def test_a_stack_becomes_a_tiff_of_planes(class_map, tmp_path):
    stack = np.stack([class_map[:600, :300], class_map[100:, :300], class_map[50:650, 300:600]])
    make_result(tmp_path / "x.zarr", stack, plane_axis="t", mpp=None)
    export(tmp_path / "x.zarr", "ome-tiff", tmp_path / "x.ome.tif")
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as tiff:
        assert tiff.series[0].axes == "TYX"
        assert np.array_equal(tiff.asarray(), stack)
        lower = levels_of(str(tmp_path / "x.zarr"), "labels/segmentation")[1]
        assert tiff.series[0].levels[1].shape == lower.plan.shape


def test_64_bit_ids_are_refused(tmp_path):
    plan = ArrayPlan("labels/objects/0", "yx", (10, 10), 1024, "uint64")
    with pytest.raises(ConfigError, match=r"no such pixels .*uint64.*geojson"):
        write_ome_tiff(tmp_path / "x.tif", [BoxReader(open_store(tmp_path), plan)], None, {}, lambda _: None)
    assert left(tmp_path) == []


def test_pixels_have_two_sides_and_planes_a_distance(class_map, tmp_path):
    stack = np.stack([class_map[:600, :300], class_map[100:, :300]])
    make_result(tmp_path / "x.zarr", stack, plane_axis="z", mpp=(0.5, 0.25), slide={"z_step": 2.0})
    export(tmp_path / "x.zarr", "ome-tiff", tmp_path / "x.ome.tif")
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as tiff:
        for said in ('PhysicalSizeX="0.25"', 'PhysicalSizeY="0.5"', 'PhysicalSizeZ="2.0"', 'PhysicalSizeZUnit="µm"'):
            assert said in tiff.ome_metadata
        for n, level in enumerate(tiff.series[0].levels):
            per_cm = [a / b for a, b in (level.keyframe.tags[name].value for name in ("XResolution", "YResolution"))]
            assert per_cm == pytest.approx([1e4 / (0.25 * 2**n), 1e4 / (0.5 * 2**n)], rel=1e-4)
    with slideseg.open_slide(tmp_path / "x.ome.tif") as again:
        assert (again.mpp_yx, again.pixel.z) == ((0.5, 0.25), 2.0)
