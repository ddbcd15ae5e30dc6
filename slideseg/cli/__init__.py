"""The command line: parses words, calls the library, prints. Heavy imports are inside the commands, so that help is instant."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
from typing import Any, NoReturn

import click

from slideseg.cli.convert import convert
from slideseg.cli.demo import demo
from slideseg.cli.doctor import doctor
from slideseg.cli.evaluate import evaluate
from slideseg.cli.export import export
from slideseg.cli.info import info
from slideseg.cli.model import model
from slideseg.cli.objects import objects
from slideseg.cli.outline import outline
from slideseg.cli.output.json_out import say_json, take_stdout
from slideseg.cli.output.log_json import as_json_lines
from slideseg.cli.output.streams import LastingStderr, OneLine, open_missing_streams
from slideseg.cli.predict import predict
from slideseg.cli.summary import summary
from slideseg.cli.train import train
from slideseg.cli.verify import verify
from slideseg.cli.view import view
from slideseg.errors import SlidesegError, one_line
from slideseg.machine import return_freed_memory
from slideseg.version import __version__

USAGE, FAILED, INTERRUPTED = 2, 1, 130
NOTHING: dict[str, dict[str, Any]] = {
    "predict": {"slides": []},
    "train": {"run": None, "model": None, "metrics": {}},
    "evaluate": {"metrics": {}, "images": []},
    "export": {"output": None, "features": None, "rows": None},
    "view": {"address": None},
    "objects": {"result": None, "number": None, "notes": []},
    "outline": {"output": None, "images": []},
    "info": {"kind": None},
    "doctor": {"checks": []},
    "summary": {"results": []},
    "verify": {"bad": [], "url": None, "complete": False, "arrays": [], "objects": None},
}
"""What ``--json`` says about a command that failed, besides its status and the error: that nothing came of it."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="slideseg")
def cli() -> None:
    """Segment images too large for one pass: exactly, on one machine or a Ray cluster, into OME-Zarr."""


for _command in (predict, objects, outline, train, evaluate, export, view, convert, info, summary, verify, model, doctor, demo):
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit status; every expected failure is one line on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    open_missing_streams()
    if "--json" in arguments:
        take_stdout()
    if sys.__stderr__ is not None and sys.stderr is sys.__stderr__:
        sys.stderr = LastingStderr(sys.__stderr__)
    return_freed_memory()
    _take_requests_to_stop()
    logging.addLevelName(logging.INFO, "info")
    logging.addLevelName(logging.WARNING, "warning")
    logging.addLevelName(logging.ERROR, "error")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(OneLine("%(levelname)s: %(message)s"))
    with as_json_lines() if "--log-json" in arguments else contextlib.nullcontext():  # also what is wrong with the options
        code = _run(arguments)
    gc.freeze()  # what goes with the process need not be looked through for garbage
    sys.exit(code)


def _take_requests_to_stop() -> None:
    """Take a scheduler's request to stop, and the end of a terminal, for a Ctrl-C; ``nohup`` still has the latter ignored."""
    for request in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(request) is not signal.SIG_IGN:
            signal.signal(request, signal.default_int_handler)


def _run(arguments: list[str]) -> int:
    try:
        code: Any = cli.main(args=arguments, prog_name="slideseg", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code, arguments)
    except (KeyboardInterrupt, click.Abort):
        _leave_interrupted(arguments)
    except (SlidesegError, OSError, MemoryError) as error:
        if "--debug" in arguments:
            raise
        return _fail(_one_line(error), getattr(error, "exit_code", FAILED), arguments)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int, arguments: list[str]) -> int:
    click.echo(f"error: {one_line(message)}", err=True)
    if "--json" in arguments:
        with contextlib.suppress(OSError):  # there may be no room for it; what failed may be that
            say_json({"status": "failed", "error": message, **NOTHING.get(arguments[0], {})})
    return code


def _one_line(error: BaseException) -> str:
    return one_line(str(error)) or type(error).__name__


def _leave_interrupted(arguments: list[str]) -> NoReturn:
    """Leave at once: threads inside a forward pass can't be interrupted, and what they compute is redone by a resume."""
    _fail("interrupted (try the same command again, it goes on from here)", INTERRUPTED, arguments)
    sys.stdout.flush()
    os._exit(INTERRUPTED)
