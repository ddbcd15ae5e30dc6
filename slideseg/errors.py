"""What can go wrong, as one tree.

    SlidesegError
    ├── ConfigError (ValueError)      options that contradict each other or the input
    ├── SlideError (ValueError)       a slide that is missing, damaged or of a kind we can't use
    ├── DataError (ValueError)        training data that is missing or does not fit together
    ├── ModelError (ValueError)       a model file that is missing, damaged or does not fit
    ├── ResultError (ValueError)      a result that is damaged, unfinished or in the way
    │   └── ResultInUseError          ... because another run that is alive is writing it
    ├── ClusterError (ConnectionError) a Ray cluster that can't be reached or can't hold the run
    └── RunError (RuntimeError)       the run itself failed; what is finished stays and is resumed

Every message is one line in the form ``WHAT (got X, want Y; try Z)``; `explain` builds it.
"""

from __future__ import annotations


class SlidesegError(Exception):
    """Base of every error that slideseg raises on purpose."""

    exit_code = 2


class ConfigError(SlidesegError, ValueError):
    """Options that contradict each other or the input."""


class SlideError(SlidesegError, ValueError):
    """A slide that is missing, damaged or of a kind we can't use."""


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

    >>> explain("no such level", got=7, want="0 to 3", try_="slideseg info")
    'no such level (got 7, want 0 to 3; try slideseg info)'
    >>> explain("no such file", try_="another path")
    'no such file (try another path)'
    """
    facts = [f"{name} {value}" for name, value in (("got", got), ("want", want)) if value is not None]
    parts = [", ".join(facts)] if facts else []
    if try_ is not None:
        parts.append(f"try {try_}")
    detail = f" ({'; '.join(parts)})" if parts else ""
    return " ".join(f"{what}{detail}".split())
