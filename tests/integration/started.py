"""A command that is under way, forked from a process that has imported the heavy libraries, which takes longer than most do."""

import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Started:
    """A command's process, with what `subprocess.Popen` has that the tests use."""

    def __init__(self, server, arguments, cwd):
        self._server, self._folder = server, tempfile.TemporaryDirectory(prefix="slideseg-test-")
        self._files = [Path(self._folder.name, name) for name in ("out", "err")]
        for file in self._files:
            file.touch()
        self._said = None
        self.pid = server.ask([arguments, str(cwd), dict(os.environ), *map(str, self._files)])
        self._ends = os.pidfd_open(self.pid)
        self.returncode = None

    def wait(self, timeout=None):
        """Return the exit status, as soon as there is one."""
        if self.returncode is None:
            if not select.select([self._ends], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            self.returncode = self._server.ask(self.pid)
            os.close(self._ends)
            self._said = self.said()
            self._folder.cleanup()
        return self.returncode

    def poll(self):
        """Return the exit status; None before there is one."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def communicate(self, timeout=None):
        """Wait for its end; return what it said on its two outputs."""
        self.wait(timeout)
        return self.said()

    def said(self):
        """Return what it has said on its two outputs up to now."""
        return self._said or [file.read_text() for file in self._files]

    def send_signal(self, number):
        if self.poll() is None:
            signal.pidfd_send_signal(self._ends, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class CommandServer:
    """The process that the commands are forked from."""

    def __init__(self):
        words = [sys.executable, "-m", "tests.integration.command_server"]
        environment = {**os.environ, "TMPDIR": tempfile.gettempdir()}  # whatever the test that comes first has set
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(words, cwd=ROOT, env=environment, **pipes)

    def ask(self, request):
        """Return the number that a request is answered with."""
        print(json.dumps(request), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, "the process that starts commands has died"
        return int(line)

    def end(self):
        self._process.communicate()


@functools.cache
def command_server():
    return CommandServer()


def start_slideseg(*arguments, cwd=None):
    """Begin a command."""
    return Started(command_server(), [str(word) for word in arguments], cwd or Path.cwd())
