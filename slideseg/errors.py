"""What can go wrong, as one tree.

    SlidesegError
    ├── ConfigError (ValueError)      options that contradict each other or the input
    ├── SlideError (ValueError)       a slide that is missing, damaged or of a kind we can't use
    │   └── UnreachableError          ... or merely can't be read where it lies: nothing is known of its content
    ├── DataError (ValueError)        training data that is missing or does not fit together
    ├── ModelError (ValueError)       a model file that is missing, damaged or does not fit
    ├── ResultError (ValueError)      a result that is damaged, unfinished or in the way
    │   └── ResultInUseError          ... because another run that is alive is writing it
    ├── ClusterError (ConnectionError) a Ray cluster that can't be reached or can't hold the run
    └── RunError (RuntimeError)       the run itself failed; what is finished stays and is resumed

Every message is one line in the form ``WHAT (got X, want Y; try Z)``; `explain` builds it.
"""

from __future__ import annotations

import re


class SlidesegError(Exception):
    """Base of every error that slideseg raises on purpose."""

    exit_code = 2


class ConfigError(SlidesegError, ValueError):
    """Options that contradict each other or the input."""


class SlideError(SlidesegError, ValueError):
    """A slide that is missing, damaged or of a kind we can't use."""


class UnreachableError(SlideError):
    """A slide that can't be read where it lies, or was replaced meanwhile: that says nothing of its content."""


class DataError(SlidesegError, ValueError):
    """Training data that is missing, does not fit together or does not fit the recipe."""


class ModelError(SlidesegError, ValueError):
    """A model file that is missing, damaged or does not fit."""


class ResultError(SlidesegError, ValueError):
    """A result store that is damaged, unfinished or in the way."""


class ResultInUseError(ResultError):
    """A result store that another run, still alive, is writing."""

    exit_code = 3


class ClusterError(SlidesegError, ConnectionError):
    """A Ray cluster that can't be reached or can't hold the run."""


class RunError(SlidesegError, RuntimeError):
    """The run itself failed; finished shards stay and are resumed."""

    exit_code = 1


def explain(what: str, *, got: object = None, want: object = None, try_: str | None = None) -> str:
    """Build the one-line message ``WHAT (got X, want Y; try Z)``.

    What was got may be an exception: of a failed system call its reason is told, and a file that ``what`` names already is
    not named again.

    >>> explain("no such level", got=7, want="0 to 3", try_="slideseg info")
    'no such level (got 7, want 0 to 3; try slideseg info)'
    >>> explain("no such file", try_="another path")
    'no such file (try another path)'
    >>> explain("a.tif can't be read", got=FileNotFoundError(2, "No such file", "a.tif"))
    "a.tif can't be read (got No such file)"
    """
    got = None if got is None else _without_file(got, what)
    facts = [f"{name} {value}" for name, value in (("got", got), ("want", want)) if value is not None]
    parts = [", ".join(facts)] if facts else []
    if try_ is not None:
        parts.append(f"try {try_}")
    detail = f" ({'; '.join(parts)})" if parts else ""
    return one_line(f"{what}{detail}")


_BREAKS = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What steers a terminal, turns the text behind it around, or is half a character."""


def one_line(text: str) -> str:
    r"""Return text as a line that says what it is: a file's name can't begin another line, or colour, move or hide one.

    >>> one_line("a.tif\nerror: all is lost"), one_line("\x1b[2Ja.tif")
    ('a.tif error: all is lost', '\\x1b[2Ja.tif')
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), _BREAKS.sub(" ", text).strip())


def naming(name: str, message: str) -> str:
    """Return a message that says of which file it is, in front if not by itself.

    >>> naming("a.tif", "level 2 is not used"), naming("a.tif", "/data/a.tif is empty (got 0 bytes)")
    ('a.tif: level 2 is not used', '/data/a.tif is empty (got 0 bytes)')
    """
    message, name = one_line(message), one_line(name)
    return message if _names(message, name) else f"{name}: {message}"


def _names(message: str, name: str) -> bool:
    return bool(name) and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", message) is not None


_QUOTED = re.compile(r"""(['"])([^'"]+)\1,? ?""")
"""How libraries name a file in their messages."""


def _without_file(value: object, what: str) -> str:
    """Return in words what was got, without a file in front or in quotes that ``what`` names."""
    said = value.strerror if isinstance(value, OSError) and value.strerror else str(value)
    first, colon, rest = said.partition(": ")
    if colon and _is_file(first) and _names(what, first):
        said = rest
    shorter = _QUOTED.sub(lambda found: "" if _is_file(found[2]) and _names(what, found[2]) else found[0], said)
    return said if shorter == said else shorter.rstrip(" :")


def _is_file(name: str) -> bool:
    return "." in name.strip(".") or "/" in name.strip("/")
