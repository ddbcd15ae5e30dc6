"""``slideseg model list|show|check|import``."""

from __future__ import annotations

import json
from typing import Any

import click

from slideseg.cli.options import debug_option, json_option
from slideseg.cli.output.json_out import say_json


@click.group()
def model() -> None:
    """List, show, check and import models."""


@model.command("list")
@debug_option
def list_() -> None:
    """List the bundled models."""
    from slideseg.model.bundled import bundled_models
    from slideseg.model.info import read_info
    from slideseg.words import number

    for name, path in bundled_models().items():
        info = read_info(path)
        classes = ", ".join(c.name for c in info.classes)
        mpp = "any mpp" if info.input.mpp is None else f"{number(info.input.mpp)} um/px"
        click.echo(f"{name:14}{info.input.channels} channel(s), {mpp}: {classes}; made for {info.made_for or 'anything'}")


@model.command()
@click.argument("name_or_path")
@json_option
@debug_option
def show(name_or_path: str, as_json: bool) -> None:
    """Show a model: what it wants, what it tells apart, how it was trained and how good it is."""
    from slideseg.model.bundled import find_model
    from slideseg.model.info import read_info

    path = find_model(name_or_path)
    info = read_info(path)
    facts = json.loads(info.to_json())
    if as_json:
        say_json(facts)
        return
    if info.made_for is not None:
        facts["made_for"] = str(info.made_for)
    for name, value in facts.items():
        click.echo(f"{name}: {value}" if not isinstance(value, dict) else f"{name}:")
        for key, entry in value.items() if isinstance(value, dict) else ():
            click.echo(f"  {key}: {json.dumps(entry) if isinstance(entry, dict | list) else entry}")


@model.command()
@click.argument("name_or_path")
@json_option
@debug_option
def check(name_or_path: str, as_json: bool) -> None:
    """Check a model: how far its network sees, found by trying, and whether tiles equal a larger window."""
    from slideseg.model.check import check_model
    from slideseg.words import number

    found = check_model(name_or_path)
    if as_json:
        say_json(found.to_dict())
        return
    probed = found.probed
    click.echo(f"stride: {probed.stride} pixels\nmargin: {probed.margin} pixels around an aligned core")
    click.echo("exact: " + ("yes" if probed.exact else f"no, for {', '.join(map(str, probed.obstacles))}"))
    click.echo(f"tiles against a larger window: logits differ by up to {found.difference:.1e} of the largest")
    click.echo(f"work: {number(found.multiplications)} multiplications a pixel")


@model.command("import")
@click.argument("checkpoint")
@click.option("-o", "--output", help="Model file to write. [default: the checkpoint's name with .safetensors]")
@click.option("--name", help="What the model is called.")
@click.option("--class", "classes", multiple=True, help="Name of a class, background first; once for each.")
@click.option("--mpp", type=float, help="Microns per pixel it was trained at.")
@click.option(
    "--align-corners/--no-align-corners", default=True, show_default=True,
    help="How its bilinear upsampling, if any, was trained; only without can it be tiled exactly.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace another file that is there.")
@debug_option
def import_(checkpoint: str, output: str | None, classes: tuple[str, ...], overwrite: bool, **options: Any) -> None:
    """Turn a PyTorch checkpoint of the common public U-Net into a model file."""
    from pathlib import Path

    from slideseg.model.bundled import INEXACT
    from slideseg.model.importer import import_checkpoint
    from slideseg.storage.place import check_kept
    from slideseg.storage.whole_file import check_target

    out = output or Path(checkpoint).with_suffix(".safetensors").name
    check_kept([checkpoint], out, "the checkpoint")
    target = check_target(out, overwrite=overwrite)
    info = import_checkpoint(checkpoint, target, classes=classes or None, **options)
    if not info.config.exact:
        click.echo(f"warning: {INEXACT % info.name}", err=True)
    click.echo(out)
