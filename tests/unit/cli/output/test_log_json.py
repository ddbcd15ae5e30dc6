"""``--log-json``: what stands on standard error is JSON, whoever says it."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import pytest

from slideseg import cli
from slideseg.cli.options import config_option
from slideseg.cli.output import progress
from slideseg.cli.output.log_json import JsonLines, as_json_lines, log_json_option
from slideseg.tasks.progress import Progress
from slideseg.training.record.progress import Scores, TrainProgress

if TYPE_CHECKING:
    from pathlib import Path


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what stands on standard error, without the times, which are times."""
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all(datetime.fromisoformat(line.pop("time")).tzinfo is not None for line in lines)
    return lines


def message(text: str, level: str = "info") -> dict[str, Any]:
    return {"level": level, "event": "message", "message": text}


@pytest.mark.parametrize(
    "words",
    [("predict", "{}/none.tif"), ("train", "{}/none.yaml"), ("objects", "{}/none.zarr"), ("train",), ("predict", "--nonsense")],
)
def test_a_failure_is_an_object_too(words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([*(word.format(tmp_path) for word in words), "--log-json"])
    (line,) = said(capsys)
    assert (left.value.code, line["level"], line["event"]) == (cli.USAGE, "error", "message")
    assert not line["message"].startswith("error")


def test_a_configuration_may_ask_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text("log_json: true\n")
    before = sys.stderr
    command = click.Command("command", params=[], callback=lambda: click.echo("warning: x", err=True))
    log_json_option(config_option()(command.callback))
    command.params = command.callback.__click_params__  # type: ignore[union-attr]
    command.main(["--config", str(tmp_path / "c.yaml")], standalone_mode=False)
    assert sys.stderr is before
    assert said(capsys) == [message("x", "warning")]


def test_whoever_says_something_says_it_in_objects(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    before = sys.stderr
    try:
        with as_json_lines(), as_json_lines():
            click.echo("warning: a note", err=True)
            sys.stderr.write("half a ")
            sys.stderr.write("line\n\ntwo: of\n")
            root.warning("logged")
            sys.stderr.write("them")
        root.warning("as ever")
    finally:
        root.removeHandler(handler)
    assert sys.stderr is before
    *lines, last = capsys.readouterr().err.splitlines()
    assert last.lower() == "warning: as ever"
    found = [json.loads(line) for line in lines]
    assert [(line["level"], line["message"]) for line in found] == [
        ("warning", "a note"), ("info", "half a line"), ("info", "two: of"), ("warning", "logged"), ("info", "them"),
    ]  # fmt: skip


def test_a_traceback_is_objects(capsys: pytest.CaptureFixture[str]) -> None:
    with as_json_lines():
        traceback.print_exception(ValueError("x"))
    assert [line["message"] for line in said(capsys)][-1] == "ValueError: x"


def test_progress_is_told_by_phase_at_its_end_and_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with as_json_lines(), progress.shown() as watch:
        for seconds, phase, done in (
            (0, "segmenting", 0), (0.5, "segmenting", 1), (0.6, "segmenting", 2),
            (0, "segmenting", 9), (5, "segmenting", 9), (0, "finishing", 0), (0, "done", 9),
        ):  # fmt: skip
            now[0] += seconds
            watch(Progress("a.tif", phase, done, 9, kept=0))
    lines = said(capsys)
    assert [(line["phase"], line["done"]) for line in lines] == [
        ("segmenting", 0), ("segmenting", 2), ("segmenting", 9), ("finishing", 0), ("done", 9),
    ]  # fmt: skip
    assert lines[0].items() >= {"level": "info", "event": "progress", "slide": "a.tif", "total": 9}.items()


def test_a_slide_that_failed_is_an_error_and_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    with as_json_lines(), progress.shown() as watch:
        watch(Progress("a.tif", "failed", 0, 0, slides=(1, 3), error="it is cut off"))
        watch(Progress("b.tif", "done", 9, 9, slides=(2, 3)))
    failed, done = said(capsys)
    facts = {"slide": "a.tif", "phase": "failed", "done": 0, "total": 0, "kept": 0, "slides": [1, 3]}
    assert failed == {"level": "error", "event": "error", "message": "a.tif: it is cut off", **facts}
    assert (done["event"], done["phase"], "error" in done) == ("progress", "done", False)


def test_a_trainings_epochs_are_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    scores = Scores(0.5, 0.25, 0.125, {}, {})
    with as_json_lines(), progress.shown_training() as watch:
        watch(TrainProgress(1, 2, 1, 10, 0.9, 30.0))
        watch(TrainProgress(1, 2, 2, 10, 0.8, 29.0))
        watch(TrainProgress(1, 2, 10, 10, 0.7, 20.0, scores))
    lines = said(capsys)
    assert [(line["event"], line["step"]) for line in lines] == [("step", 1), ("epoch", 10)]
    assert lines[1]["scores"]["dice"] == 0.25


def test_every_command_that_shows_progress_has_the_option() -> None:
    names = ("predict", "objects", "outline", "train", "evaluate", "export", "summary", "convert", "verify")
    for name in names:
        assert any("--log-json" in parameter.opts for parameter in cli.cli.commands[name].params), name


def test_lines_have_a_descriptor_for_children(capfd: pytest.CaptureFixture[str]) -> None:
    assert JsonLines(sys.__stderr__).fileno() == sys.__stderr__.fileno()  # type: ignore[union-attr, arg-type]
    capfd.readouterr()
