"""The decoder: opens and reads slides for the command that started it, and ends when that ends.

python -m slideseg.slide.guard.serve SOCKET...
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from slideseg.errors import SlidesegError
from slideseg.machine import return_freed_memory
from slideseg.slide.guard.wire import Fault, Refusal, send_array
from slideseg.slide.open import open_file, open_selected

if TYPE_CHECKING:
    from slideseg.slide.guard.wire import Request
    from slideseg.slide.reader import Reader

FIRST_TO_GO = "1000"
"""How eagerly the kernel ends this process, and no other of the command's, where memory runs out."""


class Slides:
    """The slides that are open, by key; several threads use them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, Reader] = {}

    def answer(self, request: Request) -> Any:
        """Return what a request is answered with.

        Raises:
            SlidesegError: as opening and reading do.
        """
        if request.deed == "close":
            with self._lock:
                slide = self._open.pop(request.key, None)
            if slide is not None:
                slide.close()
            return None
        slide = self._slide(request)
        if request.deed == "open":
            return slide.facts
        return getattr(slide, request.deed)(request.box, request.level, request.plane)

    def _slide(self, request: Request) -> Reader:
        with self._lock:
            if request.key not in self._open:
                os.environ.clear()
                os.environ.update(request.environment)
                if Path.cwd() != Path(request.folder):
                    os.chdir(request.folder)
                opens = open_file if request.all_axes else open_selected
                self._open[request.key] = cast("Reader", opens(request.path, request.selection))
            return self._open[request.key]


def serve(wire: Connection, slides: Slides) -> None:
    """Answer one thread's requests until it is gone.

    Raises:
        Exception: any but slideseg's own; it is told before.
    """
    while True:
        try:
            request = wire.recv()
        except (EOFError, OSError):
            return
        answer = _answer(wire, slides, request)
        if hasattr(answer, "nbytes"):
            send_array(wire, answer)
        else:
            wire.send(answer)


def _answer(wire: Connection, slides: Slides, request: Request) -> Any:
    try:
        return slides.answer(request)
    except SlidesegError as error:
        return Refusal(type(error).__name__, str(error))
    except BaseException:
        wire.send(Fault(traceback.format_exc()))
        raise


def main(sockets: list[str]) -> None:
    """Serve each socket in a thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is told to the command, which ends and so ends this process
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    threading.excepthook = lambda _: os._exit(1)  # who knows what state a mistake leaves, and the command may be gone
    return_freed_memory()
    slides = Slides()
    threads = [threading.Thread(target=serve, args=(Connection(int(number)), slides)) for number in sockets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1:])
