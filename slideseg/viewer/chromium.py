"""A headless Chromium that loads one page: commands of the DevTools protocol through a pair of pipes.

Messages are JSON that ends in a zero byte; Chromium reads them from its file 3 and answers on its file 4.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from typing import TYPE_CHECKING, Any, Self

from slideseg.errors import ConfigError, RunError, explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
READS, WRITES = 3, 4
"""Numbers of the files through which Chromium is told what to do, and answers."""
FREE = 10
"""Our ends get numbers from here on, so that they are none of the two."""
ANSWER_S = 60.0
"""Wait for an answer."""
LOOK_S = 0.1
"""Time between two looks at the page."""
FLAGS = (
    "--headless", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars", "--mute-audio", "--no-first-run",
    "--no-proxy-server", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--disable-extensions", "--force-device-scale-factor=1",
)  # fmt: skip
"""Nothing from elsewhere, nothing left behind."""


ON_ITS_WAY = "Inspected target navigated or closed"
"""What Chromium answers about a page that another one is taking the place of."""


class _OnItsWayError(RunError):
    """The page is on its way to another one."""


class Chromium:
    """A page in a browser of its own, to be used in a ``with`` block."""

    def __init__(self, size: tuple[int, int], flags: Sequence[str] = ()) -> None:
        """Start a browser whose page has ``size`` = (width, height) pixels, with more ``flags`` of Chromium.

        Raises:
            ConfigError: if there is none on this machine.
            RunError: if it does not start.
        """
        program = find_chromium()
        with contextlib.ExitStack() as started:
            profile = started.enter_context(tempfile.TemporaryDirectory(prefix="slideseg-", ignore_cleanup_errors=True))
            self._commands, self._answers, self._pid = _start(program, profile, flags)
            started.callback(self._end)
            self._next, self._rest, self._session = 1, b"", ""
            target = self.command("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
            self.command("Emulation.setDeviceMetricsOverride", **metrics)
            self._stack = started.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, address: str) -> None:
        """Begin to load a page.

        Raises:
            RunError: if it can't be reached.
        """
        failure = self.command("Page.navigate", url=address).get("errorText")
        if failure:
            raise RunError(explain("the browser can't reach the page", got=failure))

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression.

        Raises:
            RunError: if it throws.
        """
        answer = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RunError(explain("the page failed", got=answer["exceptionDetails"].get("exception", {}).get("description")))
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float) -> None:
        """Wait until a JavaScript expression is true.

        Raises:
            RunError: if it is not in time.
        """
        end = time.monotonic() + seconds
        while not self._is_so(expression):
            if time.monotonic() > end:
                raise RunError(explain("the page was not ready in time", got=f"{seconds:g} s"))
            time.sleep(LOOK_S)

    def _is_so(self, expression: str) -> bool:
        try:
            return bool(self.evaluate(expression))
        except _OnItsWayError:
            return False

    def click(self, x: float, y: float) -> None:
        """Click with the left button at a place of the page."""
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self) -> bytes:
        """Return what the page shows, as PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command of the DevTools protocol.

        Raises:
            RunError: if the browser ends, does not answer or refuses.
        """
        number, self._next = self._next, self._next + 1
        session = {"sessionId": self._session} if self._session else {}
        message = json.dumps({"id": number, "method": method, "params": parameters, **session}).encode() + b"\0"
        try:
            while message:
                message = message[os.write(self._commands, message) :]
        except BrokenPipeError as error:
            raise RunError(explain("the browser ended")) from error
        answer = next(reply for reply in self._messages() if reply.get("id") == number)
        if "error" in answer:
            got = answer["error"].get("message")
            failure = _OnItsWayError if got == ON_ITS_WAY else RunError
            raise failure(explain(f"the browser refused {method}", got=got))
        result: dict[str, Any] = answer["result"]
        return result

    def _messages(self) -> Iterator[dict[str, Any]]:
        end = time.monotonic() + ANSWER_S
        while True:
            message, zero, rest = self._rest.partition(b"\0")
            if zero:
                self._rest = rest
                yield json.loads(message)
                continue
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise RunError(explain("the browser does not answer", got=f"nothing in {ANSWER_S:g} s"))
            data = os.read(self._answers, 1 << 16)
            if not data:
                raise RunError(explain("the browser ended"))
            self._rest += data

    def _end(self) -> None:
        os.close(self._commands)
        os.close(self._answers)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def find_chromium() -> str:
    """Return the path of a Chromium or Chrome.

    Raises:
        ConfigError: if there is none.
    """
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        raise ConfigError(explain("a screenshot needs Chromium or Chrome", got="neither", try_="apt-get install chromium"))
    return found


def _start(program: str, profile: str, flags: Sequence[str]) -> tuple[int, int, int]:
    """Start the browser in a process group of its own; return our ends of its pipes and its number.

    Raises:
        RunError: if the program can't be started.
    """
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, FREE) for end in (theirs_in, commands, answers, theirs_out)]
    for end in (theirs_in, commands, answers, theirs_out):
        os.close(end)
    theirs_in, commands, answers, theirs_out = ends
    files = [
        (os.POSIX_SPAWN_DUP2, theirs_in, READS),
        (os.POSIX_SPAWN_DUP2, theirs_out, WRITES),
        *((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(READS)),
    ]
    unboxed = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox does not work for root
    arguments = [program, *FLAGS, *flags, *unboxed, f"--user-data-dir={profile}"]
    try:
        number = os.posix_spawn(program, arguments, os.environ, file_actions=files, setpgroup=0)
    except OSError as error:
        os.close(commands)
        os.close(answers)
        raise RunError(explain(f"{program} can't be started", got=error.strerror)) from error
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    return commands, answers, number
