"""Networks of other libraries learn by a recipe, go on where they were stopped, and segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import yaml

import slideseg
from slideseg.errors import ConfigError, ModelError
from slideseg.training.recipe.reading import load_config
from tests.unit.model.others.networks import import_smp

if TYPE_CHECKING:
    from pathlib import Path

MONAI: dict[str, Any] = {
    "library": "monai", "architecture": "UNet", "form": "same",
    "arguments": {"channels": [4, 8], "strides": [2], "norm": "batch"},
}  # fmt: skip
SMP: dict[str, Any] = {
    "library": "smp", "architecture": "Unet", "encoder": "mobilenet_v2", "form": "same",
    "arguments": {"encoder_depth": 3, "decoder_channels": [8, 8, 4]},
}  # fmt: skip


def with_network(recipe: Path, network: dict[str, Any], **training: Any) -> Path:
    values = yaml.safe_load(recipe.read_text())
    values["network"] = network
    values["training"] |= training
    recipe.write_text(yaml.safe_dump(values))
    return recipe


def trained(recipe: Path, run: Path, epochs: int, **options: Any) -> bytes:
    slideseg.train(recipe, run, workers=1, device="cpu", settings=(f"training.epochs={epochs}",), **options)
    return (run / "last.safetensors").read_bytes()


@pytest.mark.parametrize("network", [MONAI, MONAI | {"form": "valid"}, SMP])
def test_it_learns_goes_on_and_segments(network: dict[str, Any], recipe: Path, tmp_path: Path) -> None:
    if network["library"] == "smp":
        import_smp()
    else:
        pytest.importorskip("monai", reason="MONAI is not installed")
    with_network(recipe, network)
    at_once = trained(recipe, tmp_path / "run", 3)
    assert trained(recipe, tmp_path / "other", 1) != at_once
    assert trained(recipe, tmp_path / "other", 3, resume=True) == at_once
    model = slideseg.load_model(tmp_path / "run")
    assert model.info.network.kind == network["library"]
    assert model.info.network.exact
    image = tifffile.imread(tmp_path / "x.tif")[0]
    assert slideseg.segment(image, model).shape == image.shape
    np.save(tmp_path / "slide.npy", image)
    slideseg.predict(tmp_path / "slide.npy", output=tmp_path / "x.zarr", model=str(tmp_path / "run"), workers=1)
    assert slideseg.open_result(tmp_path / "x.zarr").record.model.name == "test"


def test_it_starts_from_what_has_learnt_something_alike(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("monai", reason="MONAI is not installed")
    with_network(recipe, MONAI)
    trained(recipe, tmp_path / "first", 2)
    with_network(recipe, MONAI | {"start": str(tmp_path / "first")})
    assert trained(recipe, tmp_path / "second", 1) != trained(with_network(recipe, MONAI), tmp_path / "third", 1)
    wider = {**MONAI["arguments"], "channels": [6, 8]}
    for network, words in (
        (SMP | {"start": str(tmp_path / "first")}, "its network has another form"),
        (MONAI | {"arguments": wider, "start": str(tmp_path / "first")}, "its network has other arguments"),
    ):
        with pytest.raises(ModelError, match=words):
            trained(with_network(recipe, network), tmp_path / "no", 1)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ({"library": "keras", "architecture": "Unet"}, "network.library"),
        ({"library": "smp"}, "needs its architecture"),
        ({"architecture": "Unet"}, "architecture is of a network with a library"),
        ({"encoder": "resnet18"}, "encoder is of a network with a library"),
        (MONAI | {"depth": 2}, "depth is of the U-Net"),
        (MONAI | {"encoder": "resnet18"}, "encoder is for segmentation_models.pytorch"),
        (MONAI | {"architecture": "os.system"}, "network.architecture"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(network: dict[str, Any], words: str, recipe: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(with_network(recipe, network))


def test_what_only_the_library_knows_is_refused_before_anything_is_written(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("monai", reason="MONAI is not installed")
    for network, training, words in (
        (MONAI, {"patch": 7}, "training.patch must be a multiple of the network's stride 2"),
        (MONAI | {"architecture": "Nothing"}, {"patch": 8}, "has no such network"),
        (MONAI | {"arguments": {"nothing": 1}}, {"patch": 8}, "can't be made of these arguments"),
    ):
        with pytest.raises((ConfigError, ModelError), match=words):
            trained(with_network(recipe, network, **training), tmp_path / "run", 1)


def test_a_recipe_survives_being_written_down(recipe: Path, tmp_path: Path) -> None:
    config = load_config(with_network(recipe, MONAI))
    (tmp_path / "again.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "again.yaml") == config
