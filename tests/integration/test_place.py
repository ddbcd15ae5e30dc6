"""Objects lie where they are: in microns, in pixels and where QuPath shows them, in any container and at any level."""

import json
from contextlib import closing

import numpy as np
import pytest
import shapely
import zarr
from matplotlib import pyplot as plt
from PIL import Image
from skimage.measure import regionprops

import slideseg
from slideseg.space.box import Box
from slideseg.testing.models import threshold_model
from slideseg.training.data.dataset import open_data
from slideseg.training.recipe.data import DataConfig
from slideseg.viewer.shown import Shown
from tests import containers
from tests.places import Truth, bright, by_openslide, by_tifffile, centres_of, dark, differences, farthest, found_in

HALF = 0.5
"""Pixels of level 0 that a centre may be off."""
IMAGE = containers.discs()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models without a resolution that find what is dark, and what is bright."""
    folder = tmp_path_factory.mktemp("models")
    threshold_model(folder / "dark.safetensors")
    threshold_model(folder / "bright.safetensors", bright=True)
    return {"dark": folder / "dark.safetensors", "bright": folder / "bright.safetensors"}


def predict(path, model, output, **options):
    report = slideseg.predict(path, output=output, model=model, objects=True, tissue="none", workers=1, image="none", **options)
    assert report.status == "ok", report.error
    return output


def truth_of(name, container, level):
    if name in ("ome-tiff", "qptiff"):
        return by_tifffile(container.path, level, dark, container.mpp_yx)
    return by_openslide(container.path, level, dark)


@pytest.mark.parametrize("name", containers.MAKERS)
def test_one_picture_in_any_container_at_two_levels(name, models, tmp_path):
    """Against the pixels as others read them, and against the picture itself: in the others it has the same places."""
    made = containers.MAKERS[name](tmp_path, IMAGE)
    picture = centres_of(Truth(dark(IMAGE[..., 0]), (1.0, 1.0), made.mpp_yx, (0, 0)))
    for level in (0, 1):
        truth = truth_of(name, made, level)
        assert truth.corner_yx == made.bounds_yx
        assert truth.mpp_yx == pytest.approx(made.mpp_yx)
        result = predict(made.path, models["dark"], tmp_path / f"{level}.zarr", level=level)
        off = differences(result, truth, tmp_path)
        assert max(off.values()) < 1e-2, off
        if name != "scn":  # which holds a piece of the picture twice
            assert farthest(found_in(result) - made.corner_yx, picture) < HALF


@pytest.mark.parametrize("mpp", [0.5, 0.8])
def test_pixels_that_are_not_square_are_made_square_in_their_places(mpp, models, tmp_path):
    """At the model's resolution: the class map's pixels are square, the slide's are not."""
    made = containers.ome_tiff(tmp_path, IMAGE)
    truth = by_tifffile(made.path, 0, dark, made.mpp_yx)
    result = slideseg.open_result(predict(made.path, models["dark"], tmp_path / "x.zarr", mpp=mpp))
    assert result.mpp_yx == pytest.approx((mpp, mpp))
    assert result.level_0_scale == pytest.approx((mpp / 0.25, mpp / 0.5))
    assert farthest(found_in(tmp_path / "x.zarr", "um"), centres_of(truth) * made.mpp_yx) < mpp / 2


@pytest.mark.parametrize("mpp", [None, 0.5])
def test_a_reported_slide_whose_pixels_are_not_square(mpp, models, data, tmp_path):
    """Twice as tall as wide: areas and axes are those of the objects on the glass."""
    path = data / "reported" / "c02_aniso_tags.tif"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    result = slideseg.open_result(predict(path, models["dark"], tmp_path / "x.zarr", mpp=mpp))
    assert result.mpp_yx == pytest.approx((0.5, 0.25) if mpp is None else (0.5, 0.5))
    table, want = result.table, regionprops(np.asarray(result.objects), spacing=result.mpp_yx)
    assert len(want) > 50
    for name, there in (("area_um2", "area"), ("major_axis_um", "axis_major_length"), ("eccentricity", "eccentricity")):
        np.testing.assert_allclose(table[name], [getattr(one, there) for one in want], atol=1e-6, err_msg=name)
    truth = by_tifffile(path, 0, dark, (0.5, 0.25))
    assert sum(table["area_um2"].to_pylist()) == pytest.approx(truth.found.sum() * 0.125, rel=0.001 if mpp is None else 0.03)
    if mpp is None:
        off = differences(tmp_path / "x.zarr", truth, tmp_path)
        assert max(off.values()) < 1e-2, off


def test_outlines_of_a_reported_slide_lie_in_qupaths_picture(models, data, tmp_path):
    """A MIRAX canvas of 1024 x 1024, of which 256 x 384 were scanned."""
    path = data / "reported" / "c30_bright.mrxs"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    result = predict(path, models["dark"], tmp_path / "x.zarr", level=0)
    for frame, corner in ((None, (0, 0)), ("slide", (384, 256))):
        slideseg.export(result, "geojson", tmp_path / "x.geojson", frame=frame, overwrite=True)
        features = json.loads((tmp_path / "x.geojson").read_text())["features"]
        bounds = shapely.MultiPolygon([shapely.geometry.shape(one["geometry"]) for one in features]).bounds
        assert bounds == (1 + corner[0], corner[1], 256 + corner[0], 384 + corner[1])


def test_a_microscopes_mosaic(models, tmp_path):
    """A CZI file, whose pixels are not compressed and not square, its first one off the stage's origin."""
    pytest.importorskip("pylibCZIrw.czi", reason="the extra slideseg[microscopes] is not installed")
    made = containers.czi(tmp_path, IMAGE)
    truth = Truth(dark(IMAGE[..., 0]), (1.0, 1.0), made.mpp_yx, (0, 0))
    off = differences(predict(made.path, models["dark"], tmp_path / "x.zarr"), truth, tmp_path)
    assert max(off.values()) < 1e-2, off
    coarse = predict(made.path, models["dark"], tmp_path / "y.zarr", mpp=0.5)
    assert farthest(found_in(coarse), centres_of(truth)) < HALF


@pytest.mark.parametrize("name", ["mirax", "scn"])
@pytest.mark.parametrize("frame", ["bounds", "slide", "bounds, but not said", "slide, but not said"])
def test_outlines_teach_where_they_were_found(name, frame, models, tmp_path):
    """Of a slide with bounds, in either frame: by what our files say of it, and by the recipe where a file says nothing."""
    made = containers.MAKERS[name](tmp_path, IMAGE)
    result = predict(made.path, models["dark"], tmp_path / "x.zarr", level=0)
    wanted, _, silent = frame.partition(", ")
    slideseg.export(result, "geojson", tmp_path / "x.geojson", frame=wanted)
    source = {"images": str(made.path), "labels": str(tmp_path / "x.geojson")}
    (tmp_path / "other").mkdir()
    other = {"images": str(containers.svs(tmp_path / "other", IMAGE).path.rename(tmp_path / "other.svs"))}
    if silent:
        drawn = json.loads((tmp_path / "x.geojson").read_text())
        del drawn["slideseg"]
        (tmp_path / "x.geojson").write_text(json.dumps(drawn))
        source |= {"frame": "slide"} if wanted == "slide" else {}
    drawn = {"type": "FeatureCollection", "features": []}
    (tmp_path / "other.geojson").write_text(json.dumps(drawn))
    sources = [source, {**other, "labels": str(tmp_path / "other.geojson")}]
    config = DataConfig.model_validate({"sources": sources, "split": {"validation": ["x"]}})
    data = open_data(config, ("background", "dark"), 3)
    window = data.validation[0].read(Box.of_shape(data.validation[0].shape))
    assert np.array_equal(window.classes, np.asarray(slideseg.open_result(result).segmentation))
    data.close()


@pytest.mark.parametrize("name", ["mirax", "scn"])
def test_what_is_shown_and_compared_is_the_whole_slide(name, models, tmp_path):
    """A slide with bounds is viewed, drawn and evaluated as any other, at level 0 and at another one."""
    made = containers.MAKERS[name](tmp_path, IMAGE)
    found = by_openslide(made.path, 0, dark).found
    for level in (0, 1):
        result = predict(made.path, models["dark"], tmp_path / f"{level}.zarr", level=level)
        scores = slideseg.evaluate(result, found.astype(np.uint8)).to_dict()
        assert scores["metrics"]["semantic"]["dice"] > (0.95 if level else 0.9999)
        opened = slideseg.open_result(result)
        with closing(Shown(opened)) as shown:
            y, x = np.argwhere(found)[len(np.argwhere(found)) // 2] // 2**level
            assert shown.at(int(y), int(x), 0)["class"] == 1
            assert shown.facts()["scale"] == {"y": 2**level, "x": 2**level}
        figure = slideseg.plot(opened, size=128)
        assert figure.get_xlim() == (0, opened.segmentation.shape[1])
        plt.close(figure.figure)


def stack_zarr(path):
    """Write a stack (z, c, y, x) as an OME-Zarr that lies somewhere on a stage, planes 2 microns apart; return its pixels."""
    image = np.stack([containers.discs((200, 300), seed)[..., 0] for seed in range(3)])[:, None]
    axes = [{"name": "z", "type": "space", "unit": "micrometer"}, {"name": "c", "type": "channel"}]
    axes += [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "yx"]
    datasets = []
    group = zarr.create_group(path, zarr_format=3)
    for number in (0, 1):
        step = 2**number
        group.create_array(f"{number}", data=image[..., ::step, ::step], chunks=(1, 1, 64, 64))
        scale = [2.0, 1.0, 500.0 * step, 250.0 * step]
        translation = [30.0, 0.0, 4000.0 + 250 * (step - 1), -1000.0 + 125 * (step - 1)]
        place = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": translation}]
        datasets.append({"path": f"{number}", "coordinateTransformations": place})
    multiscale = {"name": "stack", "axes": axes, "datasets": datasets}
    omero = {"channels": [{"label": "DAPI", "color": "0000FF", "window": {"min": 0, "max": 255, "start": 0, "end": 255}}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale], "omero": omero}
    return image[:, 0]


def placed(path, group=""):
    """Return scale and translation of level 0 of an OME-Zarr by its axes, in microns, and its channels."""
    ome = zarr.open_group(path, path=group, mode="r").attrs["ome"]
    multiscale = ome["multiscales"][0]
    scale, translation = multiscale["datasets"][0]["coordinateTransformations"]
    units = {"micrometer": 1.0, "nanometer": 1e-3, None: 1.0}
    known = [(axis["name"], units[axis.get("unit")]) for axis in multiscale["axes"]]
    by_axis = {
        name: (a * unit, b * unit) for (name, unit), a, b in zip(known, scale["scale"], translation["translation"], strict=True)
    }
    return by_axis, [(one["label"], one["color"]) for one in ome.get("omero", {}).get("channels", [])]


@pytest.mark.parametrize("options", [{}, {"level": 1}, {"mpp": 0.75}])
def test_a_result_lies_where_its_slide_lies(models, tmp_path, options):
    """In napari, by the metadata alone: the outer corner of both is the same, and so are planes and channels."""
    image = stack_zarr(tmp_path / "s.zarr")
    slideseg.predict(
        tmp_path / "s.zarr", output=tmp_path / "x.zarr", model=models["dark"], objects=True, tissue="none", workers=1, **options
    )
    source, channels = placed(tmp_path / "s.zarr")
    for group in ("", "labels/segmentation", "labels/objects"):
        found, _ = placed(tmp_path / "x.zarr", group)
        assert found["z"] == source["z"] == (2.0, 30.0)
        for axis in "yx":
            corners = [translation - scale / 2 for scale, translation in (found[axis], source[axis])]
            assert corners[0] == pytest.approx(corners[1])
    assert placed(tmp_path / "x.zarr")[1] == channels == [("DAPI", "0000FF")]
    result = slideseg.open_result(tmp_path / "x.zarr")
    assert "mean_DAPI" in result.table.column_names
    if not options:
        assert np.array_equal(np.asarray(result.segmentation), image < 128)
        assert result.mpp_yx == pytest.approx((0.5, 0.25))


def test_a_converted_slide_lies_where_it_lay(tmp_path):
    stack_zarr(tmp_path / "s.zarr")
    slideseg.convert(tmp_path / "s.zarr", tmp_path / "c.zarr")
    (source, channels), (found, again) = placed(tmp_path / "s.zarr"), placed(tmp_path / "c.zarr")
    assert again == channels
    assert {axis: found[axis] for axis in "zyx"} == {axis: pytest.approx(source[axis]) for axis in "zyx"}
    with slideseg.open_slide(tmp_path / "c.zarr") as one, slideseg.open_slide(tmp_path / "s.zarr") as other:
        assert (one.pixel.yx, one.pixel.z, one.pixel.z_first) == (other.pixel.yx, 2.0, 30.0)
        assert one.origin == pytest.approx(other.origin)
        assert one.origin == pytest.approx((4.0, -1.0))
        assert one.channels == other.channels


def test_the_means_of_a_slide_that_is_copied_first_are_those_of_its_selected_channel(models, tmp_path):
    """A picture can't be read in part; its copy holds what was selected alone."""
    image = containers.discs((200, 300))
    Image.fromarray(image).save(tmp_path / "s.png")
    with slideseg.open_slide(tmp_path / "s.png", channel="2") as slide:
        assert not slide.direct
    output = predict(tmp_path / "s.png", models["dark"], tmp_path / "x.zarr", channel=("2",))
    result = slideseg.open_result(output)
    assert np.array_equal(np.asarray(result.segmentation), image[..., 2] < 128)
    assert set(result.table["mean_2"].to_pylist()) == {120.0}


def test_a_stated_size_of_pixels_leaves_a_place_in_microns_where_it_is(tmp_path):
    stack_zarr(tmp_path / "s.zarr")
    with slideseg.open_slide(tmp_path / "s.zarr", mpp=(1.0, 1.0)) as slide:
        assert (slide.mpp_yx, slide.pixel.z) == ((1.0, 1.0), 2.0)
        assert slide.origin == pytest.approx((4.0, -1.0))


REAL = {
    "svs": ("wsi/aperio/CMU-1-Small-Region.svs", "dark", 1),
    "ndpi": ("wsi/ndpi/test3-TRITC-2-560.ndpi", "bright", 2),
    "mirax": ("reported/c30_bright.mrxs", "dark", 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_slides(name, models, data, tmp_path):
    where, kind, levels = REAL[name]
    if not (data / where).exists():
        pytest.skip(f"no {where}")
    for level in range(levels):
        truth = by_openslide(data / where, level, dark if kind == "dark" else bright)
        result = predict(data / where, models[kind], tmp_path / f"{level}.zarr", level=level)
        off = differences(result, truth, tmp_path)
        assert max(off.values()) < 1e-2, off
