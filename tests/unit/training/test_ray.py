"""What workers send to the command that started them; Ray itself is started elsewhere."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Any

import pytest
from ray.util.queue import Empty, Full

from slideseg.errors import DataError, RunError
from slideseg.training.ray import _received, _send, _SentLogs
from slideseg.training.record.progress import TrainProgress

PROGRESS = TrainProgress(1, 2, 3, 4, 0.5, 6.0)
LOGGER = logging.getLogger("slideseg.training.data.sampling")


class Inbox:
    """A queue of one place in this process."""

    def __init__(self, *messages: Any, room: int = 10) -> None:
        self.messages, self.room = list(messages), room

    def get(self, timeout: float) -> Any:
        if not self.messages:
            raise Empty
        return self.messages.pop(0)

    def put_nowait(self, message: Any) -> None:
        if len(self.messages) >= self.room:
            raise Full
        self.messages.append(message)


class Here:
    """A Ray that is there."""

    def check(self) -> None:
        pass


class Gone:
    """One that is not."""

    def check(self) -> None:
        raise RunError("Ray was killed")


def received(inbox: Any) -> list[TrainProgress]:
    done: Future[None] = Future()
    done.set_result(None)
    return list(_received(inbox, done, Here()))


def record(level: int, text: str, *facts: Any) -> logging.LogRecord:
    return LOGGER.makeRecord(LOGGER.name, level, __file__, 1, text, facts, None)


def test_what_a_worker_logs_is_logged_by_the_command(caplog: pytest.LogCaptureFixture) -> None:
    inbox: Any = Inbox()
    sending = _SentLogs(inbox)
    sending.handle(record(logging.INFO, "reading the labels of %d images", 3))
    sending.handle(record(logging.DEBUG, "nobody wants to know"))
    _send(inbox, PROGRESS)
    with caplog.at_level(logging.INFO, logger="slideseg.training"):
        assert received(inbox) == [PROGRESS]
    assert [(found.levelno, found.getMessage()) for found in caplog.records] == [
        (logging.INFO, "reading the labels of 3 images")
    ]


def test_what_a_worker_raises_ends_the_training() -> None:
    with pytest.raises(DataError, match="a label is outside"):
        received(Inbox(PROGRESS, DataError("a label is outside the classes"), PROGRESS))


def test_a_ray_that_is_gone_ends_the_training_that_it_would_not_end() -> None:
    inbox: Any = Inbox()
    with pytest.raises(RunError, match="Ray was killed"):
        list(_received(inbox, Future(), Gone()))


def test_a_worker_does_not_wait_for_a_command_that_does_not_listen() -> None:
    inbox: Any = Inbox(room=1)
    for _ in range(3):
        _send(inbox, PROGRESS)
    assert len(inbox.messages) == 1
