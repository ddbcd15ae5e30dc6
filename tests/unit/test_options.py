"""Keyword arguments as options: what fits is taken, what does not is one clear error."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest

import slideseg
from slideseg.errors import ConfigError
from slideseg.exports.options import ExportOptions
from slideseg.instances.run import FindOptions
from slideseg.options import take_options
from slideseg.prediction.options import PredictOptions
from slideseg.slide.selection import PartOptions, selection_of
from slideseg.training.run import TrainOptions

KINDS = (PredictOptions, ExportOptions, FindOptions, TrainOptions, PartOptions)


class Strange:
    """Something that no option is."""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_strange_is_taken_by_any_option(kind):
    for field in fields(kind):
        with pytest.raises(ConfigError, match=rf"^{field.name} can't be like that \(got <.*Strange.*>, want "):
            take_options(kind, {field.name: Strange()})


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_of_the_type_that_options_have(kind):
    values = {field.name: field.default for field in fields(kind)}
    assert take_options(kind, values) == kind()


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("level", np.int64(2), 2),
        ("mpp", 1, 1.0),
        ("mpp", np.float32(0.5), 0.5),
        ("model", Path("m.safetensors"), "m.safetensors"),
        ("classes", "nucleus", ("nucleus",)),
        ("classes", ["nucleus", "border"], ("nucleus", "border")),
        ("channel", [0, "DAPI"], (0, "DAPI")),
        ("mpp_of_slide", np.array([0.5, 0.25]), (0.5, 0.25)),
        ("mpp_of_slide", "0.25,0.5", "0.25,0.5"),
        ("workers", "auto", "auto"),
        ("objects", True, True),
    ],
)
def test_what_stands_for_a_type_becomes_one(name, value, taken):
    found = getattr(take_options(PredictOptions, {name: value}), name)
    assert (found, type(found)) == (taken, type(taken))


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("level", "1", "got '1', want a whole number or None"),
        ("level", 1.0, "got 1.0, want a whole number or None"),
        ("level", True, "got True, want a whole number or None"),
        ("mpp", "0.5", "got '0.5', want a number or None"),
        ("workers", "many", "got 'many', want a whole number or 'auto'"),
        ("objects", 1, "got 1, want True or False"),
        ("image", "large", "got 'large', want 'none' or 'overview' or 'full'"),
        ("device", "tpu", "want 'auto' or 'cpu' or 'cuda'"),
        ("classes", [1], "want several, each text"),
        ("channel", None, "want text, a whole number or several, each text or a whole number"),
    ],
)
def test_what_is_of_another_type_is_refused(name, value, want):
    with pytest.raises(ConfigError, match=f"^{name} can't be like that") as refused:
        take_options(PredictOptions, {name: value})
    assert want in str(refused.value)


def test_all_that_takes_options_from_python_refuses_alike(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((8, 8, 3), np.uint8))
    slide, out = tmp_path / "x.npy", tmp_path / "out.zarr"
    for call in (
        lambda: slideseg.predict(slide, out, series="x"),
        lambda: slideseg.plan(slide, out, series="x"),
        lambda: slideseg.open_slide(slide, series="x"),
        lambda: slideseg.convert(slide, out, series="x"),
        lambda: selection_of(series="x"),
    ):
        with pytest.raises(ConfigError, match=r"series can't be like that \(got 'x', want a whole number or None\)"):
            call()
    with pytest.raises(ConfigError, match="unknown option"):
        slideseg.convert(slide, out, serie=1)
    assert not out.exists()


@dataclass
class Plain:
    """Options without types that have words."""

    several: tuple[float, ...] = ()


def test_arrays_are_sequences():
    assert take_options(Plain, {"several": np.arange(2)}).several == (0.0, 1.0)
    with pytest.raises(ConfigError, match="want several, each a number"):
        take_options(Plain, {"several": {1.0}})
