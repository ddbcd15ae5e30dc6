"""``slideseg train``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from slideseg.cli.options import IntOrAuto, debug_option, endpoint_option, json_option
from slideseg.cli.output.json_out import say, say_json
from slideseg.cli.output.log_json import log_json_option
from slideseg.machine import keep_freed_memory

if TYPE_CHECKING:
    from slideseg.training.record.progress import TrainReport


@click.command()
@click.argument("config", type=click.Path(dir_okay=False), metavar="CONFIG.yaml")
@click.option("-o", "--output", metavar="RUN_DIR", help="Folder of the run: a path or s3://. [default: runs/NAME]")
@click.option(
    "-w", "--workers", type=IntOrAuto(), default="auto", show_default=True,
    help="Processes that share every batch; 1: no Ray; auto: one a GPU, else 1.",
)  # fmt: skip
@click.option("--address", help="A running Ray cluster: auto, host:port or ray://host:port.")
@click.option("--resume", is_flag=True, help="Go on from RUN_DIR's last checkpoint although recipe or data have changed.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where to train; auto: on a GPU where there is one.",
)  # fmt: skip
@click.option("-s", "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe: -s training.epochs=50.")
@click.option("--preview", type=click.Path(dir_okay=False), metavar="PNG", help="Draw augmented samples and stop.")
@json_option
@endpoint_option
@log_json_option
@debug_option
def train(config: str, preview: str | None, settings: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Train a network as CONFIG.yaml says; the same command again goes on where it was stopped."""
    if preview is not None:
        return _preview(config, settings, preview, as_json=as_json)
    keep_freed_memory()
    logging.getLogger("slideseg.training").setLevel(logging.INFO)
    from slideseg.cli.output.progress import shown_training
    from slideseg.training.run import train as train_or_raise

    with shown_training() as watch:
        report = train_or_raise(config, settings=settings, on_progress=watch, **options)
    _print_report(report, as_json=as_json)
    return 0


def _preview(config: str, settings: tuple[str, ...], path: str, *, as_json: bool) -> int:
    from slideseg.training.preview import write_preview

    write_preview(config, path, settings)
    say({"status": "ok", "error": None, "preview": path}, path, as_json=as_json)
    return 0


def _print_report(report: TrainReport, *, as_json: bool) -> None:
    if as_json:
        say_json(report.to_dict())
        return
    scores = ", ".join(f"{name.removeprefix('val_')} {value:.4f}" for name, value in report.metrics.items())
    click.echo(f"{report.model}: epoch {report.best_epoch} of {report.epochs}, {scores}")
