"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from collections.abc import Callable

json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable report on stdout.")


def _keep_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[DEBUG] = value


DEBUG = "slideseg.debug"
"""Where a command's context says whether tracebacks are wanted."""
debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_keep_debug, help="Show the traceback of a failure."
)


def _use_endpoint(ctx: click.Context, _param: click.Parameter, url: str | None) -> None:
    if url is not None:
        from slideseg.endpoints import s3_server

        ctx.with_resource(s3_server(url))


endpoint_option = click.option(
    "--endpoint-url", metavar="URL", expose_value=False, callback=_use_endpoint,
    help="Server of s3:// where that is not Amazon's.  [default: AWS_ENDPOINT_URL]",
)  # fmt: skip


class IntOrAuto(click.ParamType[int | str]):
    """A whole number from 1, or ``auto``."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or ``auto``."""
        if value == "auto":
            return "auto"
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = 0
        if number < 1:
            self.fail(f"{value!r} is neither 'auto' nor a whole number from 1", param, ctx)
        return number


class Sides(click.ParamType[tuple[float, float]]):
    """Microns of a pixel: ``X``, or ``X,Y`` where they differ; in a file also ``[y, x]``. Given as (y, x)."""

    name = "X[,Y]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Return the sides along y and x."""
        from slideseg.slide.pixel_size.stated import stated_sides

        try:
            sides = stated_sides(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        assert sides is not None  # click converts no None
        return sides


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between."""

    name = "X,X,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return them."""
        try:
            return tuple(map(float, value.split(",")))
        except ValueError:
            self.fail(f"{value!r} is not numbers with commas between", param, ctx)


class Limits(click.ParamType[str | tuple[float, float]]):
    """The values of black and white: ``LOW,HIGH``, in a file also ``[low, high]``, or ``auto``."""

    name = "LOW,HIGH|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | tuple[float, float]:
        """Return both numbers, or ``auto``."""
        from slideseg.model.values import stated_range

        try:
            limits = stated_range(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        assert limits is not None  # click converts no None
        return limits


range_option = click.option(
    "--range", type=Limits(), help="Values of black and white; auto: percentiles of the whole slide. [the pixel type's]"
)


def selection_options(command: Any) -> Any:
    """Add the options that say what of a slide's file is meant."""
    options = (
        click.option("--mpp-of-slide", type=Sides(), help="Microns of the slide's pixels, whatever its file says."),
        click.option("--series", type=click.IntRange(min=0), metavar="N", help="Which image of the file. [the slide]"),
        click.option(
            "--channel", "--channels", "channel", multiple=True, metavar="NAMES",
            help="Channels by name or number, with commas between or once for each. [the model's, else all]",
        ),
        click.option("--z", type=click.IntRange(min=0), metavar="N", help="Plane along z, from 0. [all]"),
        click.option("--t", type=click.IntRange(min=0), metavar="N", help="Time point, from 0. [all]"),
        click.option(
            "--on-bad-tile", type=click.Choice(["fail", "background"]), default="fail", show_default=True,
            help="Whether a damaged tile fails the slide, or counts as a place without tissue.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def read_config(ctx: click.Context, _param: click.Parameter, path: str | None) -> None:
    """Take a YAML file's values as the options' defaults, so that flags win over it.

    Raises:
        ConfigError: if the file can't be read or names an unknown option.
    """
    if path is None:
        return
    from slideseg.storage.place import local_path
    from slideseg.yaml_file import read_yaml

    values = read_yaml(local_path(path), f"the configuration {path}") or {}
    if not isinstance(values, dict):
        raise ConfigError(explain(f"the configuration {path} can't be read", got=type(values).__name__, want="name: value"))
    values = {str(name).replace("-", "_"): value for name, value in values.items()}
    options = {p.name: p for p in ctx.command.params if isinstance(p, click.Option) and p.name not in (None, "config")}
    if unknown := sorted(set(values) - set(options)):
        want = ", ".join(sorted(str(name) for name in options))
        raise ConfigError(explain(f"unknown option in {path}", got=", ".join(unknown), want=want))
    ctx.default_map = {
        name: [value] if options[name].multiple and not isinstance(value, list) else value for name, value in values.items()
    }


def config_option() -> Callable[[Any], Any]:
    """Return the ``--config`` option."""
    return click.option(
        "--config",
        type=click.Path(dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=read_config,
        help="YAML with the same names; flags win over it.",
    )


def cluster_options(command: Any) -> Any:
    """Add the options that name a cluster and say how long it is waited for."""
    wait = click.option(
        "--wait-for-workers", type=click.FloatRange(min=0), default=600, show_default=True, metavar="SECONDS",
        help="How long a cluster without room for a worker is waited for.",
    )  # fmt: skip
    return click.option("--address", help="A running Ray cluster: auto, host:port or ray://host:port.")(wait(command))


SIZES = ("split", "min_area", "fill_holes")
"""Options of what an object is that are in microns."""


def object_options(*names: str, prefix: str = "") -> Callable[[Any], Any]:
    """Return the options that say what an object is, those of ``names`` or all; ``prefix`` comes before their help."""

    def option(*flags: str, help: str, **settings: Any) -> Callable[[Any], Any]:
        said = f"{prefix}{help[0].lower()}{help[1:]}" if prefix else help
        return click.option(*flags, help=said, **settings)

    options = {
        "classes": option(
            "--class", "classes", multiple=True, metavar="NAME", help="A class that makes objects; once for each. [all]"
        ),
        "together": option(
            "--together/--by-class", default=None,
            help="Touching pixels of different classes are one object, of the class of most of them. [the model's]",
        ),
        "border": option(
            "--border", metavar="auto|none|NAME",
            help="Class between touching objects, that they grow into; auto: the one called border. [auto]",
        ),
        "grow": option(
            "--grow", type=click.IntRange(min=0), help="Pixels that objects grow into the border at most. [the model's]"
        ),
        "split": option(
            "--split", type=click.FloatRange(min=0), metavar="MICRONS",
            help="Part objects whose middles are more than MICRONS apart; 0: don't. [the model's]",
        ),
        "connectivity": option(
            "--connectivity", type=click.Choice(["4", "8"]), callback=_as_int,
            help="Neighbours that belong together; 8: also those at the corners. [4]",
        ),
        "min_area": option(
            "--min-area", type=click.FloatRange(min=0), metavar="UM2",
            help="Square microns of the smallest object. [the model's]",
        ),
        "fill_holes": option(
            "--fill-holes", type=click.FloatRange(min=0), metavar="UM2",
            help="Square microns of the largest hole to fill. [the model's]",
        ),
    }  # fmt: skip

    def decorate(command: Any) -> Any:
        for name in reversed(names or tuple(options)):
            command = options[name](command)
        return command

    return decorate


def _as_int(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    return None if value is None else int(value)
