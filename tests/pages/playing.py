"""Runs what a page has its reader type, in one folder and one process, with stand-ins for what is large or far away."""

from __future__ import annotations

import glob
import io
import os
import re
import subprocess
import sys
import urllib.request
import webbrowser
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any, Self

import click
import matplotlib as mpl
from matplotlib import pyplot

import slideseg.cli
from slideseg.doctor import rays
from slideseg.doctor import run as doctor
from slideseg.doctor.finding import ok
from slideseg.model import bundled
from slideseg.prediction.choices import devices
from slideseg.viewer import run as viewer
from tests.pages.reading import ROOT, Step, words_of
from tests.pages.stand_ins import bundled_stand_in, put_there, slide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

    from slideseg.doctor.finding import Finding
    from tests.s3_server import S3Server

OUTPUTS = ("-o", "--output", "--screenshot", "--preview")
"""Options whose value is written, not read."""
TEXTS = re.compile(r"""(?<!output=)(?<!output=f)["']([\w./*-]+)["']""")
LEAST = [
    *("training.epochs=1", "training.samples=4", "training.batch=2", "training.patch=32"),
    *("network.base_channels=1", "network.depth=1", "network.batch_norm=false"),
]
"""Settings of a training that is over in a second."""


class FakeChromium:
    """A browser that loads the page's address and draws nothing."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def open(self, address: str) -> None:
        load(address)

    def wait_for(self, condition: str, seconds: float) -> None:
        pass

    def evaluate(self, expression: str) -> None:
        pass

    def screenshot(self) -> bytes:
        return b"a picture"


def load(address: str) -> None:
    """Load a page."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert answer.status == 200


def look_and_leave(view: viewer.View) -> None:
    """Load the page that is served, and press Ctrl-C."""
    load(view.address)
    raise KeyboardInterrupt


def at_once(_name: str, check: Callable[..., list[Finding]], *arguments: str, **_: object) -> list[Finding]:
    """Look in this process, where `doctor` starts one for each check."""
    return list(check(*arguments))


def stand_in(patch: pytest.MonkeyPatch, weights: Path) -> None:
    """Put stand-ins in the place of bundled models, the browser, and Ray's start by `doctor`."""
    for name in bundled.bundled_models():
        bundled_stand_in(name, weights / f"{name}.safetensors")
    patch.setattr(bundled, "WEIGHTS", weights)
    patch.setattr(devices, "usable_cores", lambda: 1)
    patch.setattr(viewer, "find_chromium", lambda: None)
    patch.setattr(viewer, "Chromium", FakeChromium)
    patch.setattr(viewer.View, "wait", look_and_leave)
    patch.setattr(webbrowser, "open", lambda _: True)
    patch.setattr(doctor, "bounded", at_once)
    patch.setattr(rays, "own_ray", lambda: [ok("Ray", "not tried")])
    patch.setattr("slideseg.cli.return_freed_memory", lambda: None)
    patch.setattr("slideseg.cli.signal.signal", lambda *_: None)
    patch.setenv("MPLBACKEND", "Agg")
    mpl.use("Agg")


class Player:
    """A reader who types all that a page says, in a folder; `names` are those of the page's Python."""

    def __init__(self, folder: Path, server: S3Server, instead: dict[str, str], names: dict[str, Any]) -> None:
        self.folder, self.server, self.instead, self.names = folder, server, instead, names

    def play(self, step: Step, ends: tuple[int, ...] = (0,)) -> None:
        """Type one step; a command ends with one of these statuses.

        Raises:
            AssertionError: if it does not end as it should; it says which step of which page, and what was said.
        """
        text = step.text
        for form, other in self.instead.items():
            text = re.sub(form, other, text)
        if step.kind == "command":
            self._command(step, text, ends)
        elif step.kind == "loop":
            self._loop(step, text)
        else:
            self._python(step, text)

    def _command(self, step: Step, text: str, ends: tuple[int, ...]) -> None:
        variables, words, target = words_of(text)
        self._prepare([word for before, word in zip(["", *words], words, strict=False) if before not in OUTPUTS])
        words = [found for word in words for found in (sorted(glob.glob(word)) or [word])]
        if words[0] == "train":
            words[2:2] = [word for setting in LEAST for word in ("-s", setting)]
        with environment(variables):
            status, out, err = typed(words)
        assert status in ends, f"{step}\nstatus {status}\n{out}{err}"
        if target is not None:
            (self.folder / target).write_text(out, encoding="utf-8")

    def _loop(self, step: Step, text: str) -> None:
        self._prepare(re.findall(r"[\w.-]+/", text.partition("; do")[0]))
        program = f'slideseg() {{ "{sys.executable}" -m slideseg "$@"; }}\n{text}'
        paths = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(["bash", "-euc", program], env=paths, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{step}\n{done.stderr}"

    def _python(self, step: Step, text: str) -> None:
        self._prepare(TEXTS.findall(text))
        try:
            exec(compile(text, f"{step.page}, line {step.line}", "exec"), self.names)
        except Exception as error:
            raise AssertionError(str(step)) from error
        finally:
            pyplot.close("all")

    def _prepare(self, names: list[str]) -> None:
        """Put stand-ins for what is named where it is looked for, in the folder or in a bucket."""
        near = [name for name in names if "://" not in name]
        put_there(near, self.folder)
        for name in names:
            scheme, _, rest = name.partition("://")
            key = rest.partition("/")[2]
            if scheme in ("s3", "gs") and key.startswith("slides"):
                self._put_into_bucket(rest.partition("/")[0], key)

    def _put_into_bucket(self, bucket: str, key: str) -> None:
        slide(self.folder / "far.tif")
        self.server.buckets.setdefault(bucket, {})[key] = (self.folder / "far.tif").read_bytes()


def typed(words: list[str]) -> tuple[object, str, str]:
    """Run a command as if it were typed; return its status, its standard output, and what it said beside that."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    status: object = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            slideseg.cli.main(words)
        except SystemExit as left:
            status = left.code
    out.seek(0)
    return status, out.read(), err.getvalue()


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables for a while."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def check_options(words: list[str]) -> None:
    """Parse a command line as the command does, and run nothing.

    Raises:
        click.ClickException: if the command would refuse it.
    """
    command: click.Command = slideseg.cli.cli
    context = click.Context(command, **command.context_settings)  # which commands remember: their option for help is of it
    names = list(words)
    while isinstance(command, click.Group):
        name = names.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command = found
        if isinstance(command, click.Group):
            context = click.Context(command, parent=context)
    with command.make_context(command.name, names, parent=context):
        pass


def check_named(words: list[str]) -> None:
    """Check that a command that is named in passing exists, and has the options that are named with it.

    Raises:
        click.ClickException: if not.
    """
    command: click.Command = slideseg.cli.cli
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        with click.Context(command) as context:
            found = command.get_command(context, rest.pop(0))
            if found is None:
                raise click.UsageError(f"no such command: {words}")
            command = found
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    unknown = [
        word for word in rest if word.startswith("-") and word.split("=")[0] not in known | {"-h", "--help", "--version"}
    ]
    if unknown:
        raise click.UsageError(f"no such option: {unknown} of {words}")
