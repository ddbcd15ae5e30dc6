"""What a page has its reader type: command lines and Python, in order."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = ("", "shell", "sh", "bash", "console", "text")
"""Languages of fenced blocks that may hold commands."""
OURS = re.compile(r"^(?:\$ )?((?:\w+=\S+ )*(?:python -m )?slideseg .*)$")
"""A line that runs slideseg, maybe with variables in front."""
LOOP = re.compile(r"^(?:\$ )?(for .*\bslideseg .*)$")
INLINE = re.compile(r"`((?:python -m )?slideseg [^`]+)`")
HEADING = re.compile(r"^## (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """Something that a page has its reader type."""

    page: str
    """Path of the page, from the root of the repository."""
    line: int
    """Its first line there."""
    section: str
    """The heading of second order above it."""
    kind: str
    """``command``, ``loop`` (a line for a shell) or ``python``."""
    text: str
    """A command in one line, or the code."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def steps_of(path: Path) -> list[Step]:
    """Return what a page has its reader type."""
    return steps(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())


def steps(text: str, page: str) -> list[Step]:
    """Return what a text has its reader type, in order: Python in fences, commands in fences or indented."""
    plain = FENCE.sub(_as_indented, text)
    code = [(text[: one.start(2)].count("\n") + 1, "python", one[2]) for one in FENCE.finditer(text) if one[1] == "python"]
    return [Step(page, line, _section(plain, line), kind, typed) for line, kind, typed in sorted([*code, *_commands(plain)])]


def _as_indented(fence: re.Match[str]) -> str:
    """Return a block of a shell indented in place of fenced, and of another block as many empty lines."""
    lines = fence[2].splitlines()
    return "\n".join(["", *(f"    {line}" if fence[1] in SHELLS else "" for line in lines), ""])


def _section(plain: str, line: int) -> str:
    above = [one[1] for one in HEADING.finditer(plain) if plain[: one.start()].count("\n") < line]
    return above[-1] if above else ""


def _commands(plain: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, kind and text of each indented command."""
    lines = enumerate(plain.splitlines(), 1)
    for number, line in lines:
        whole = line.strip() if line.startswith("    ") else ""
        while whole.endswith("\\"):
            whole = whole[:-1].rstrip() + " " + next(lines)[1].strip()
        for kind, form in (("command", OURS), ("loop", LOOP)):
            if found := form.match(whole):
                yield number, kind, found[1]


def words_of(text: str) -> tuple[dict[str, str], list[str], str | None]:
    """Return a command line's variables, the words behind ``slideseg``, and the file that its output goes to."""
    words = shlex.split(text, comments=True)
    first = words.index("slideseg")
    variables = dict(word.split("=", 1) for word in words[:first] if "=" in word)
    rest, target = words[first + 1 :], None
    if ">" in rest:
        at = rest.index(">")
        rest, target = rest[:at], rest[at + 1]
    return variables, rest, target


def inline(text: str) -> list[str]:
    """Return the commands that a text names in passing."""
    return INLINE.findall(FENCE.sub("", text))
