"""The decoder as the command sees it: started for the first slide, asked by several threads, replaced when it dies."""

from __future__ import annotations

import atexit
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any

from slideseg import errors
from slideseg.errors import SlideError, SlidesegError, explain
from slideseg.slide.guard.wire import Fault, Refusal, receive

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from slideseg.slide.guard.wire import Request

THREADS = 8
"""Requests that a decoder works on at once."""
PATIENCE = 600.0
"""Seconds after which a decoder that does not answer counts as hanging."""


SECONDS_TO_END = 30.0
"""What a dying process may take: its memory may have to be written to a file."""


class DiedError(Exception):
    """The decoder ended; its message says how."""


class Decoder:
    """One process that decodes, and this process's ends of its sockets."""

    def __init__(self, threads: int = THREADS) -> None:
        """Start it; it is not waited for."""
        self.patience = PATIENCE
        self._ended = False
        pairs = [Pipe() for _ in range(threads)]
        theirs = [their_end.fileno() for _, their_end in pairs]
        command = [sys.executable, "-P", "-m", "slideseg.slide.guard.serve", *map(str, theirs)]
        places = os.pathsep.join(place for place in sys.path if place)
        self._process = subprocess.Popen(
            command,
            pass_fds=theirs,
            env={**os.environ, "PYTHONPATH": places},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._free: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        for ours, their_end in pairs:
            their_end.close()
            self._free.put(ours)

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return not self._ended and self._process.poll() is None

    def ask(self, request: Request) -> Any:
        """Return its answer.

        Raises:
            DiedError: if it ends instead, or has to be ended because it hangs.
            SlidesegError: as the slide's reader raises.
        """
        wire = self._free.get()
        try:
            answer = self._answer(wire, request)
        except BaseException:
            self._ended = True
            self._process.kill()  # nobody may take an answer that is still under way for another one's
            raise
        finally:
            self._free.put(wire)
        return _or_raise(answer)

    def _answer(self, wire: Connection, request: Request) -> Any:
        try:
            wire.send(request)
            if wire.poll(self.patience):
                return receive(wire)
        except (EOFError, OSError) as error:
            raise DiedError(self._end()) from error
        message = f"no answer in {self.patience:g} s"
        raise DiedError(message)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _end(self) -> str:
        """Wait for the end of a process that has closed a socket, and say how it ended."""
        try:
            status = self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def _or_raise(answer: Any) -> Any:
    match answer:
        case Refusal(kind, message):
            kinds: dict[str, type[SlidesegError]] = vars(errors)
            raise kinds[kind](message)
        case Fault(trace):
            raise RuntimeError(trace)
    return answer


class _Lasting:
    """A decoder that is there when it is needed: started at the first request, and anew where it died."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self.turn = threading.Lock()
        """For those who want it to themselves."""
        self._lock = threading.Lock()
        self._decoder: Decoder | None = None
        self._of_parents: list[Decoder] = []
        os.register_at_fork(after_in_child=self._be_fork)
        atexit.register(self._end)

    def get(self) -> Decoder:
        """Return one that is alive."""
        with self._lock:
            if self._decoder is not None and not self._decoder.is_alive:
                self._decoder.close()
                self._decoder = None
            if self._decoder is None:
                self._decoder = Decoder(self._threads)
            return self._decoder

    def if_alive(self) -> Decoder | None:
        """Return it if there is one."""
        found = self._decoder
        return found if found is not None and found.is_alive else None

    def _end(self) -> None:
        if self._decoder is not None:
            self._decoder.close()

    def _be_fork(self) -> None:
        """Leave alone the decoder that this process's parent talks to."""
        self.turn, self._lock = threading.Lock(), threading.Lock()
        if self._decoder is not None:
            self._of_parents.append(self._decoder)
            self._decoder = None


shared = _Lasting(THREADS)
"""Decodes all of this process's slides."""
_one_by_one = _Lasting(1)
"""Decodes what the other one died of, or was busy with when it died; it works on one request at a time."""


def start() -> None:
    """Start the decoder now, where something else takes its time before the first slide is opened."""
    shared.get()


def ask(request: Request) -> Any:
    """Ask this process's decoder; where it dies, ask once more of one that does nothing else meanwhile.

    So a request that kills its decoder is told from those that were merely under way beside it.

    Raises:
        SlideError: if a decoder that did nothing else died of it.
        SlidesegError: as the slide's reader raises.
    """
    with suppress(DiedError):
        return shared.get().ask(request)
    with _one_by_one.turn:
        return _alone(_one_by_one.get(), request)


def _alone(decoder: Decoder, request: Request) -> Any:
    try:
        return decoder.ask(request)
    except DiedError as death:
        where = "" if request.deed == "open" else f" in {request.box}"
        what = f"{request.path}: the decoder crashed on it{where}"
        raise SlideError(explain(what, got=death, try_="another copy, or another format")) from death
