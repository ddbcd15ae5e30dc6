"""A command that fails: one line on stderr, and with ``--json`` one object of the form that the command's reports have."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from slideseg import cli
from slideseg.evaluation.report import Evaluation
from slideseg.instances.run import ObjectsReport
from slideseg.training.record.progress import TrainReport
from slideseg.verification import VerifyReport

if TYPE_CHECKING:
    from pathlib import Path


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    with pytest.raises(SystemExit) as left:
        cli.main([*words, "--json"])
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err.splitlines() == [f"error: {report['error']}"]
    assert isinstance(left.value.code, int)
    return left.value.code, report


@pytest.mark.parametrize(
    ("words", "nothing"),
    [
        (("train", "{}/none.yaml"), {"run": None, "model": None, "metrics": {}}),
        (("train",), {"run": None, "model": None, "metrics": {}}),
        (("evaluate", "{}/none.tif", "{}/none.png"), {"metrics": {}, "images": []}),
        (("predict", "{}/none.tif"), {"slides": []}),
        (("info", "{}/none.tif"), {"kind": None}),
        (("objects", "{}/none.zarr"), {"result": None, "number": None, "notes": []}),
        (("verify", "{}/none.zarr"), {"bad": [], "url": None, "complete": False, "arrays": [], "objects": None}),
        (("convert", "{}/none.tif", "{}/x.zarr"), {}),
        (("nonsense",), {}),
    ],
)
def test_a_failure_says_what_belongs_to_its_command(
    words: tuple[str, ...], nothing: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report = failed(capsys, *(word.format(tmp_path) for word in words))
    assert code == cli.USAGE
    assert report == {"status": "failed", "error": report["error"], **nothing}


def test_what_a_failure_says_is_part_of_what_a_success_says() -> None:
    assert set(cli.NOTHING["train"]) <= set(TrainReport("ok", "", "", 0, 0, {}, 0.0).to_dict())
    assert set(cli.NOTHING["objects"]) <= set(ObjectsReport("", 0, 0.0, 0, 0, 0).to_dict())
    assert set(cli.NOTHING["verify"]) - {"bad"} <= {one.name for one in fields(VerifyReport)}
    assert set(cli.NOTHING["evaluate"]) <= set(Evaluation(()).to_dict())
