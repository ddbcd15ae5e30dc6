"""A worker's measured peak stays below the plan's projection, and a budget is kept."""

import pytest
import torch

from slideseg.model.config import UNetConfig
from slideseg.model.others.importing import import_network
from slideseg.testing.models import random_model
from slideseg.testing.slides import PatternSlide, write_pyramid
from tests.integration.conftest import run_slideseg
from tests.unit.model.others.networks import MONAI, monai_unet


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "big.tif"
    write_pyramid(path, PatternSlide((2100, 2100)), levels=1)
    return path


def planned_and_measured(words):
    planned = run_slideseg(*words, "--dry-run").report["plans"][0]["memory_per_worker"]
    outcome = run_slideseg(*words, timeout=600, env={})  # a process of its own imports, so that no other's pages count

    assert outcome.status == 0, outcome.err
    return planned, outcome.slide["peak_memory"]["worker"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("config", [UNetConfig(3, 3, 16, 4), UNetConfig(3, 2, 8, 3, "bilinear")], ids=["conv", "bilinear"])
def test_the_peak_stays_below_the_projection_at_three_tile_sizes(config, workers, slide, tmp_path):
    random_model(tmp_path / "m.safetensors", config)
    for tile in (320, 640, 1260):
        words = ["predict", slide, "-o", tmp_path / f"{tile}.zarr", "-m", tmp_path / "m.safetensors", "-w", workers, "--json"]
        planned, measured = planned_and_measured([*words, "--tile", tile, "--tissue", "none"])

        assert measured <= planned
        assert planned <= 1.6 * measured, "a projection so far off would refuse what fits"


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("norm", "how"), [("batch", ()), ("instance", ("--freeze-statistics",)), ("instance", ("--inexact",))])
def test_the_peak_of_another_library_s_network_stays_below_the_projection(norm, how, slide, tmp_path):
    """In tiles, with frozen statistics, and in windows."""
    net = monai_unet(norm=norm, channels=[32, 64, 128], out_channels=2)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    arguments = MONAI | {"norm": norm, "channels": [32, 64, 128], "out_channels": 2}
    import_network(tmp_path / "w.pth", tmp_path / "m", network="monai.UNet", arguments=arguments)
    for tile in ("320", "640", "auto"):
        words = ["predict", slide, "-o", tmp_path / f"{tile}.zarr", "-m", tmp_path / "m", "-w", 1, "--json", "--tissue", "none"]
        planned, measured = planned_and_measured([*words, "--tile", tile, *how])

        assert measured <= planned
        assert planned <= 2.5 * measured, "a projection so far off would refuse what fits"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_budget_of_one_gibibyte_is_kept(slide, tmp_path):
    random_model(tmp_path / "m.safetensors", UNetConfig(3, 2, 32, 3))
    words = [
        "predict",
        slide,
        "-o",
        tmp_path / "x.zarr",
        "-m",
        tmp_path / "m.safetensors",
        "-w",
        1,
        "--tissue",
        "none",
        "--json",
    ]

    planned, measured = planned_and_measured([*words, "--memory", "1GiB"])

    assert measured <= planned <= 2**30
    assert run_slideseg(*words, "--overwrite", "--dry-run").report["plans"][0]["memory_per_worker"] > 2**30
