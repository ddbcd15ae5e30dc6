"""`slideseg model check`: what is found of a model, and when it is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from slideseg.cli import cli
from slideseg.errors import ModelError
from slideseg.model import check
from slideseg.model.check import check_model
from slideseg.model.config import UNetConfig
from slideseg.model.reach.probe import Reach
from slideseg.testing.models import random_model

if TYPE_CHECKING:
    from pathlib import Path


def model_in(folder: Path, upsampling: str = "conv") -> str:
    path = folder / "m.safetensors"
    random_model(path, UNetConfig(1, 2, 2, 2, upsampling))  # type: ignore[arg-type]
    return str(path)


def test_a_model_s_reach_is_told(tmp_path: Path) -> None:
    path = model_in(tmp_path)
    told = json.loads(CliRunner().invoke(cli, ["model", "check", path, "--json"]).stdout)
    assert (told["status"], told["stride"], told["margin"], told["exact"], told["obstacles"]) == ("ok", 4, 22, True, [])
    assert told["probed"] == {"stride": 4, "margin": 22, "exact": True}
    assert told["largest_difference"] <= check.ROUNDING
    said = CliRunner().invoke(cli, ["model", "check", path]).stdout
    assert "margin: 22 pixels" in said
    assert "bytes of features a pixel of a tile" in said
    assert 4 * 4 < told["feature_bytes_per_pixel"] < 4 * 100
    assert "exact: yes" in said


def test_what_prevents_exact_tiles_is_told(tmp_path: Path) -> None:
    found = check_model(model_in(tmp_path, "bilinear-corners"))
    assert [str(obstacle) for obstacle in found.probed.obstacles] == ["align_corners=True"]
    assert "no, for align_corners=True" in CliRunner().invoke(cli, ["model", "check", str(tmp_path / "m.safetensors")]).stdout


@pytest.mark.parametrize("found", [Reach(8, 22, ()), Reach(4, 23, ())])
def test_a_network_that_sees_farther_than_is_counted_on_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Reach
) -> None:
    monkeypatch.setattr(check, "probe", lambda *_: found)
    with pytest.raises(
        ModelError, match=r"sees otherwise than its description says \(got stride .*want stride 4, margin up to 22\)"
    ):
        check_model(model_in(tmp_path))


def test_tiles_that_differ_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "largest_difference", lambda *_: 2e-5)
    with pytest.raises(ModelError, match=r"differ from a larger window \(got 2.0e-05 of the largest logit"):
        check_model(model_in(tmp_path))
