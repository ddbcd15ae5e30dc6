"""What stands beside the recipes: pictures without nuclei, what nothing may be learnt from, and how a model is bundled."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch
import yaml
from PIL import Image
from safetensors import safe_open

from slideseg.model.bundled import bundled_models
from slideseg.model.load import load_model
from slideseg.space.box import Box
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

CONFIGS = ROOT / "configs"
SLIDE = "aperio/CMU-1-Small-Region.svs"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"configs_{name}", CONFIGS / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


nothing, bundle = script("nothing"), script("bundle")


def listed(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_is_counted_is_not_learnt_from() -> None:
    """No place that a model learns from overlaps one in which false finds are counted."""
    counted = yaml.safe_load((ROOT / "benchmarks" / "no_nuclei.yaml").read_text(encoding="utf-8"))
    held_back = [Box(*place["box"]) for place in counted if place["slide"] == SLIDE]
    learnt = [Box(*(int(row[edge]) for edge in ("y0", "x0", "y1", "x1"))) for row in listed(CONFIGS / "nothing.csv")]
    assert len(held_back) > 10
    assert len(learnt) > 10
    assert not [(one, other) for one in learnt for other in held_back if one.intersect(other).area > 0]


def test_recipes_hold_back_the_patients_that_models_are_judged_by() -> None:
    recipe = yaml.safe_load((CONFIGS / "nuclei.yaml").read_text(encoding="utf-8"))
    assert recipe["data"]["sources"][0]["split"] == {"column": "patient", "validation": ["09", "10", "11"]}
    assert "monuseg" not in str(recipe["data"])


@pytest.fixture
def fluorescence(tmp_path: Path) -> Path:
    """A field with a nucleus in a corner, one full of nuclei, a black one, and one that is not to be learnt from."""
    folder = tmp_path / "fluo"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    nuclei = {name: np.zeros((160, 160), np.uint16) for name in ("corner", "full", "black", "other")}
    nuclei["corner"][4:20, 4:20] = 1
    nuclei["full"][::8] = np.arange(1, 21, dtype=np.uint16)[:, None]
    for name, labels in nuclei.items():
        image = np.where(labels > 0, 180, 20).astype(np.uint8) * (name != "black")
        Image.fromarray(image).save(folder / "images" / f"{name}.png")
        tifffile.imwrite(folder / "labels" / f"{name}.tif", labels)
    rows = [f"{name},{'val' if name == 'other' else 'train'},fluorescence" for name in nuclei]
    (folder / "index.csv").write_text("\n".join(["id,split,kind", *rows]))
    return folder


def test_dark_fields_hold_no_nucleus_or_all_of_their_own(fluorescence: Path) -> None:
    made = list(nothing.dark_fields(fluorescence))
    kinds = [(picture.name.partition("-")[2], picture.kind) for picture in made]
    assert kinds[:3] == [("field", "fluorescence_nothing"), ("hidden", "fluorescence_nothing"), ("worn", "fluorescence_worn")]
    assert len(made) == nothing.COPIES * (3 + 2 + 2)  # the corner has all three; full of nuclei is no field; black is not worn
    for picture in made:
        assert picture.image.shape == (*picture.nuclei.shape, 3)
        assert picture.image.dtype == np.uint8
        assert picture.nuclei.any() == (picture.kind == "fluorescence_worn")
    field = made[0]
    assert min(field.image.shape[:2]) >= nothing.LEAST
    assert field.image.mean() < 120, "no nucleus is in it, brightened five times at most"
    assert all(picture.image.max() < 60 for picture in made if picture.name.endswith("hidden"))


def test_dark_fields_are_the_same_each_time(fluorescence: Path) -> None:
    first, second = (list(nothing.dark_fields(fluorescence)) for _ in range(2))
    assert all(np.array_equal(one.image, other.image) for one, other in zip(first, second, strict=True))


def test_what_is_written_is_a_source_of_a_recipe(fluorescence: Path, tmp_path: Path) -> None:
    nothing.write(tmp_path / "dark", nothing.dark_fields(fluorescence))
    rows = listed(tmp_path / "dark" / "index.csv")
    assert len(rows) == nothing.COPIES * 7
    for row in rows:
        assert row["split"] == "train"
        labels = tifffile.imread(tmp_path / "dark" / "labels" / f"{row['id']}.tif")
        with Image.open(tmp_path / "dark" / "images" / f"{row['id']}.png") as image:
            assert image.size == labels.shape[::-1]


def test_places_are_those_of_the_slide_twice_as_large(data: Path) -> None:
    made = list(nothing.places(data / "wsi" / SLIDE))
    rows = listed(CONFIGS / "nothing.csv")
    assert len(made) == len(rows)
    for picture, row in zip(made, rows, strict=True):
        y0, x0, y1, x1 = (int(row[edge]) for edge in ("y0", "x0", "y1", "x1"))
        assert picture.image.shape == (2 * (y1 - y0), 2 * (x1 - x0), 3)
        assert not picture.nuclei.any()


def test_a_bundled_model_is_half_as_large_and_described_by_its_recipe(tmp_path: Path) -> None:
    source = bundled_models()["nuclei"]
    recipe = yaml.safe_load((CONFIGS / "nuclei.yaml").read_text(encoding="utf-8"))
    recipe["objects"]["min_area"] = 77
    recipe["about"]["licence"] = "another"
    target = tmp_path / "nuclei.safetensors"
    bundle.bundle(recipe, source, ["once more"], target)
    assert list(tmp_path.iterdir()) == [target]
    with safe_open(target, "pt") as file, safe_open(source, "pt") as before:
        assert file.keys() == before.keys()
        for name in file.keys():  # noqa: SIM118 - it is no dict
            tensor = file.get_tensor(name)
            assert tensor.dtype == (torch.float16 if tensor.ndim == 4 else torch.float32)
            torch.testing.assert_close(tensor, before.get_tensor(name).to(tensor.dtype))
        said, old = (json.loads(one.metadata()["slideseg"]) for one in (file, before))
    assert said["training"]["runs"] == [*old["training"]["runs"], {"run": "once more"}]
    assert said["training"]["licence"] == "another"
    assert load_model(target).info.objects.min_area == 77


@pytest.mark.parametrize("name", ["nuclei", "nuclei-fluo", "nuclei-types"])
def test_the_bundled_models_tell_the_figures_that_were_measured(name: str) -> None:
    with safe_open(bundled_models()[name], "pt") as file:
        metrics = json.loads(file.metadata()["slideseg"])["training"]["metrics"]
    assert metrics
    assert metrics.items() <= bundle.figures_of(name).items()
