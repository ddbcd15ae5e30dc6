"""``slideseg model list|show|check|import|export``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from slideseg.cli.options import Limits, Numbers, debug_option, json_option
from slideseg.cli.output.json_out import say_json

if TYPE_CHECKING:
    from slideseg.model.info import ModelInfo


@click.group()
def model() -> None:
    """List, show, check, import and export models."""


@model.command("list")
@debug_option
def list_() -> None:
    """List the bundled models."""
    from slideseg.model.bundled import bundled_models
    from slideseg.model.stored import read_info
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
    from slideseg.model.stored import read_info

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
    click.echo(f"memory: {number(found.feature_bytes)} bytes of features a pixel of a tile")


@model.command("import")
@click.argument("source")
@click.option("-o", "--output", help="Model file or folder to write. [default: the source's name with .safetensors or .model]")
@click.option("--network", help="What the weights are of, if not of the common U-Net: monai.CLASS or smp.CLASS.")
@click.option("-s", "--set", "arguments", multiple=True, metavar="NAME=VALUE", help="An argument of that class; once for each.")
@click.option("--name", help="What the model is called.")
@click.option("--class", "--classes", "classes", multiple=True, help="Names of classes, background first, with commas between.")
@click.option("--mpp", type=float, help="Microns per pixel it was trained at.")
@click.option("--mean", type=Numbers(), help="Subtracted from each channel, where white is 1. [default: 0]")
@click.option("--std", type=Numbers(), help="Each channel is divided by it afterwards. [default: 1]")
@click.option("--range", type=Limits(), help="Values of black and white in slides, unless predict says others.")
@click.option("--channel", "--channels", "channel", multiple=True, metavar="NAMES", help="Its channels' names in slides.")
@click.option("--tta", type=click.Choice(["none", "flips", "d4", "scales"]), default="none", help="As of predict, each time.")
@click.option("--smooth", type=float, default=0.0, help="As of predict, each time.")
@click.option(
    "--align-corners/--no-align-corners", default=True, show_default=True,
    help="How its bilinear upsampling, if any, was trained; only without can it be tiled exactly.",
)  # fmt: skip
@click.option("--trust", is_flag=True, help="Run what is code in SOURCE: programs of PyTorch, pickles, a package's source.")
@click.option("--overwrite", is_flag=True, help="Replace another file that is there.")
@debug_option
def import_(
    source: str, output: str | None, network: str | None, arguments: tuple[str, ...], classes: tuple[str, ...], **options: Any
) -> None:
    """Turn a network that was trained elsewhere into a model.

    SOURCE is a PyTorch checkpoint of the common public U-Net, which becomes a model file; or a folder that
    segmentation_models.pytorch saved, an ONNX file, a bioimage.io package, or weights of the class that --network and --set
    name. These become a model folder, once it is found out by trying how far the network sees. Nothing in them is run, unless
    you say --trust; the model folder holds no code either way.
    """
    from pathlib import Path

    from slideseg.model.info import inexact
    from slideseg.model.others.importing import is_other
    from slideseg.storage.place import check_kept

    of_others = network is not None or is_other(source, trust=options["trust"])
    out = output or Path(source).with_suffix(".model" if of_others else ".safetensors").name
    check_kept([source], out, "what it is made from")
    options |= {"classes": _names(classes), "channel": _names(options["channel"])}
    info = (_import_of_others if of_others else _import_checkpoint)(source, out, network, arguments, **options)
    if not info.network.exact:
        cures = "--freeze-statistics or " * info.network.curable
        click.echo(f"warning: {inexact(info)}; predict takes it with {cures}--inexact", err=True)
    click.echo(out)


def _names(said: tuple[str, ...]) -> list[str] | None:
    """Return names that were given one by one, or all at once with commas between; None for none."""
    return list(said) or None if len(said) > 1 else [name.strip() for some in said for name in some.split(",")] or None


def _import_of_others(
    source: str, out: str, network: str | None, arguments: tuple[str, ...], *, overwrite: bool, **options: Any
) -> ModelInfo:
    from pathlib import Path

    from slideseg.model.others.folder import check_folder
    from slideseg.model.others.importing import import_network

    del options["align_corners"]  # its class says
    check_folder(Path(out), overwrite=overwrite)
    return import_network(source, out, network=network, arguments=dict(map(_argument, arguments)), **options)


def _import_checkpoint(source: str, out: str, _: str | None, arguments: tuple[str, ...], **options: Any) -> ModelInfo:
    from slideseg.errors import ConfigError, explain
    from slideseg.model.importer import import_checkpoint
    from slideseg.storage.whole_file import check_target

    if arguments:
        raise ConfigError(explain("--set is for the class that --network names", got=arguments[0]))
    return import_checkpoint(source, check_target(out, overwrite=options.pop("overwrite")), **options)


def _argument(said: str) -> tuple[str, Any]:
    """Return name and value of ``NAME=VALUE``, the value written as in YAML.

    Raises:
        ConfigError: if it is not that.
    """
    from slideseg.errors import ConfigError, explain
    from slideseg.yaml_file import parse_yaml

    name, is_there, value = said.partition("=")
    if not is_there or not name.isidentifier():
        raise ConfigError(explain("an argument can't be read", got=said, want="NAME=VALUE"))
    return name, parse_yaml(value, f"--set {name}")


@model.command("export")
@click.argument("name_or_path")
@click.option("--to", type=click.Choice(["onnx", "bioimageio"]), default="onnx", show_default=True, help="What it becomes.")
@click.option("-o", "--output", help="File to write. [default: the model's name with .onnx or .zip]")
@click.option("--licence", help="Of a package: the weights' licence as SPDX calls it, such as CC-BY-4.0. [what the model says]")
@click.option("--author", help="Of a package: who made it. [what the model says]")
@click.option("--overwrite", is_flag=True, help="Replace another file that is there.")
@debug_option
def export(name_or_path: str, to: str, output: str | None, overwrite: bool, **said: Any) -> None:
    """Write a model for other programs: as an ONNX file, or as a bioimage.io package with one and a test."""
    from slideseg.model.bundled import find_model
    from slideseg.model.exporting import export_model
    from slideseg.storage.place import check_kept
    from slideseg.storage.whole_file import check_target

    path = find_model(name_or_path)
    named = path.parent if path.name == "model.json" else path
    out = output or f"{named.stem}{'.onnx' if to == 'onnx' else '.zip'}"
    check_kept([named], out, "the model")
    export_model(name_or_path, check_target(out, overwrite=overwrite), to, **said)  # type: ignore[arg-type]  # click's choices
    click.echo(out)
