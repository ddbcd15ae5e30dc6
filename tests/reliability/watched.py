"""Run commands in processes that are watched: what they start, and how much memory they take.

``python -m tests.reliability.watched`` reads one request a line, as tests/integration/command_server.py does, with one file
more, which names every program that the command started. It answers with the exit status and the most bytes of memory.
"""

import gc
import importlib
import json
import os
import sys

from slideseg.cli import main
from tests.integration.command_server import HEAVY, become

STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen", "pty.spawn")
"""Audit events of Python's own for everything that starts a program or a process."""


def watch(seen: str) -> None:
    """Write down in a file whatever this process starts from now on."""
    file = os.open(seen, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in STARTS:
            os.write(file, f"{event} {arguments[:2]!r}\n".encode())

    sys.addaudithook(hook)


def serve() -> list[str]:
    """Fork a process for every request; return the command's arguments there."""
    for line in sys.stdin:
        *request, seen = json.loads(line)
        process = os.fork()
        if process == 0:
            become(*request)
            watch(seen)
            return request[0]
        _, status, usage = os.wait4(process, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024]), flush=True)
    os._exit(0)


if __name__ == "__main__":
    for name in HEAVY:
        importlib.import_module(name)
    gc.freeze()
    main(serve())
