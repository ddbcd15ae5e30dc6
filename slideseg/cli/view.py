"""``slideseg view``."""

from __future__ import annotations

import click

from slideseg.cli.options import debug_option, endpoint_option, json_option
from slideseg.cli.output.json_out import say


class Size(click.ParamType[tuple[int, int]]):
    """Width and height, as in ``1600x1000``."""

    name = "WxH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the two numbers."""
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            self.fail(f"{value!r} is not WIDTHxHEIGHT, such as 1600x1000", param, ctx)
        return int(width), int(height)


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RESULT...")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on.  [default: any that is free]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; the default is this machine alone.")
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
@click.option(
    "--at", default="", metavar="PLACE",
    help="What to show first, as behind the # of the page's address: object=12, or x=4000&y=2500&zoom=2.",
)  # fmt: skip
@click.option("--compare", is_flag=True, help="Show two results beside each other; b blinks between them.")
@click.option("--edit", is_flag=True, help="Let the page correct objects, in a list beside the result (x.edits.json).")
@click.option("--screenshot", metavar="PNG", help="Write a picture of the page and stop. Needs Chromium or Chrome.")
@click.option("--size", type=Size(), help="Of the screenshot, in pixels.  [default: 1600x1000]")
@click.option("--overwrite", is_flag=True, help="Replace a screenshot that is there.")
@json_option
@endpoint_option
@debug_option
def view(
    results: tuple[str, ...],
    *,
    port: int,
    host: str,
    no_browser: bool,
    at: str,
    compare: bool,
    edit: bool,
    screenshot: str | None,
    size: tuple[int, int] | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Look at results in the browser: slide, classes and objects, to pan, zoom and click; of many, a sheet of pictures first.

    RESULT is a result or a folder of them.
    """
    from slideseg.viewer.run import SIZE, check_screenshot
    from slideseg.viewer.run import view as run

    if screenshot is not None:
        check_screenshot(screenshot, size or SIZE, overwrite=overwrite)
    elif size is not None or overwrite:
        raise click.UsageError("--size and --overwrite are options of --screenshot")
    named = results[0] if len(results) == 1 else results
    with run(named, port=port, host=host, browser=False, at=at, compare=compare, edit=edit) as page:
        if screenshot is not None:
            path = page.screenshot(screenshot, size or SIZE, overwrite=overwrite)
            say({"status": "ok", "error": None, "screenshot": str(path)}, f"Look at {path}", as_json=as_json)
            return
        facts = {"status": "ok", "error": None, "address": page.address}
        try:
            say(facts, f"{page.address}\nCtrl-C ends it.", as_json=as_json)
            if not no_browser and not page.open_browser():
                click.echo("warning: no browser can be opened here (try the address in one, or --no-browser)", err=True)
            page.wait()
        except KeyboardInterrupt:
            click.echo(err=True)
