"""Start commands from a process that has imported the heavy libraries once; each still runs in a process of its own.

``python -m tests.integration.command_server`` reads one request a line, in JSON: a list of arguments, working directory,
environment, and the files for output and errors begins a command and is answered with its process number; a number is answered
with the exit status of that process, when it has ended. A fork has nothing of an earlier command: this process only imports,
never runs one and starts no thread.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import tempfile
import threading

from slideseg.cli import main
from tests.torchvision_operators import define_operators

HEAVY = ("slideseg.prediction.run", "slideseg.training.run", "slideseg.evaluation.run", "slideseg.tasks.ray")


def serve() -> list[str]:
    """Fork a process for every command; return its arguments there."""
    for line in sys.stdin:
        match json.loads(line):
            case int(process):
                say(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
            case [arguments, *place]:
                process = os.fork()
                if process == 0:
                    become(arguments, *place)
                    return arguments
                say(process)
    os._exit(0)


def become(arguments: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    """Give this process the words, the place, the environment, the input and the outputs of a command."""
    sys.argv = ["slideseg", *arguments]
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # it was found by the environment that this process began with
    for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        file = os.open(path, mode)
        os.dup2(file, number)
        os.close(file)


def say(number: int) -> None:
    print(number, flush=True)


if __name__ == "__main__":
    for name in HEAVY:
        importlib.import_module(name)
    define_operators()
    assert threading.active_count() == 1, "a fork would lose the other threads"
    gc.freeze()
    main(serve())
