"""YAML as people write it, and as nobody should: what is read, and what is refused in one line and at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from slideseg.errors import ConfigError
from slideseg.yaml_file import MOST_BYTES, parse_yaml, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = ("ab", "bc", "cd", "de", "ef", "fg", "gh", "hi")
TENFOLD = [f"{new}: &{new} [{', '.join(10 * [f'*{old}'])}]" for old, new in PAIRS]
LAUGHS = "\n".join(["a: &a [x, x, x, x, x, x, x, x, x, x]", *TENFOLD])
"""A thousand million values by aliases of aliases."""


def test_what_people_write_is_read(tmp_path: Path) -> None:
    text = "base: &base {rate: 1.0e-3, flip: true}\nmore: {<<: *base, rate: 2}\nday: 2026-01-31\nlist: [*base, *base]\n"
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    said = read_yaml(tmp_path / "a.yaml", "it")
    assert said["more"] == {"rate": 2, "flip": True}
    assert said["list"] == [said["base"], said["base"]]
    assert parse_yaml("", "it") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "it can't be read"),
        ("a: !!python/object:os.system x", "it can't be read .*tag"),
        ("day: 2026-13-45", r"it can't be read \(got month must be in 1..12"),
        ("a: " + 5000 * "9", "it can't be read .got Exceeds the limit"),
        ("a: !!bool perhaps", "it can't be read"),
        ("a: !!timestamp noon", "it can't be read"),
        ("a: !!int ''", "it can't be read"),
        ("a: !!float x", "it can't be read"),
        ("? [a]\n: b", "it can't be read"),
        ("a: \x00", "it can't be read"),
        ("a: &a [*a]", "unfolds to too much .got line 1, want at most 100,000 values"),
        ("a: &a {b: {c: *a}}", "unfolds to too much"),
        (LAUGHS, "unfolds to too much"),
        ("a: " + 60 * "[" + 60 * "]", "unfolds to too much .*50 inside each other"),
        ("a: " + 5000 * "[", "nested too deeply"),
        ("a: " + 5000 * "{b: ", "nested too deeply"),
        ("a: 1\nb: 2\na: 3", "it: the key a stands twice .got lines 1 and 3"),
    ],
)
def test_what_nobody_should_write_is_refused_in_one_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        parse_yaml(text, "it")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_files_that_are_none_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin").write_bytes("gr\u00fcn".encode("latin-1"))
    (tmp_path / "long").write_bytes(b"a: 1\n#" + bytes(MOST_BYTES))
    for name, told in {
        "pipe": "can't be read .got something that is no file",
        ".": "can't be read .got something that is no file",
        "none": "no such file",
        "latin": "can't be read .*want YAML in UTF-8",
        "long": "it is too long",
    }.items():
        with pytest.raises(ConfigError, match=told):
            read_yaml(tmp_path / name, "it")


@pytest.mark.parametrize("text", ['a: 1\nb: "x\\0y"', 'a: 1\n"x\\0": 2', 'a:\n- ["\\x00"]'])
def test_a_text_with_a_zero_is_told_with_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"the settings can't be read \(got line 2, a text with a zero in it"):
        parse_yaml(text, "the settings")
