"""Every command and every block of Python on the pages runs, in order, on small stand-ins for the files that the pages name."""

from __future__ import annotations

import os
import re

import click
import pytest
from matplotlib import pyplot

from tests.notebook_page import codes, run
from tests.pages.playing import LEAST, Player, check_named, check_options, stand_in
from tests.pages.reading import ROOT, Step, inline, steps, steps_of, words_of
from tests.pages.stand_ins import MAKERS, put_there, remove
from tests.s3_server import running
from tests.test_docs import CLI_PAGE, NOTEBOOK, TEXTS

STEPS = {path: steps_of(path) for path in TEXTS if path != CLI_PAGE}
PLAYED = [path for path, found in STEPS.items() if found]
INSTEAD = {
    r"(?<= )(-w|--workers) \d+": r"\1 1",  # Ray's processes: tests/integration has runs with them
    r"\bworkers=\d+": "workers=1",
    r" --address \S+": "",  # a cluster: tests/integration/test_cluster.py
    r" --device cuda\b": "",
    r"http://minio\.lab:9000": "ENDPOINT",
    r"(?<= )/(data|shared)\b": r"\1",
    r"\bobject=9772": "object=12",
    r"\bfound/10_1": "found/a",
    r"training\.epochs=100 ": "training.epochs=2 ",
    r'settings=\("training.epochs=50",\)': f"settings={LEAST}",
}
"""What is typed in place of what a page says, by the pattern of what it says."""
PARSED = {
    r"az://": "no server of the tests speaks Azure's protocol",
    r"from spatialdata import": "spatialdata is not among the tests' packages; tests/integration/test_spatialdata.py",
    r"\$DATA/|configs/nuclei": "an hour of training on real images; tests/unit/test_configs.py reads the recipes",
}
"""Commands that are not run, but whose options are checked, by a pattern; and why."""
ENDS = {
    r"slideseg doctor": (0, 1),  # what it finds is this machine's affair
    r"^slideseg (info|summary) results/": (0, 1),  # 1 where a slide failed in the last run into the folder
    r"predict biopsies/": (1,),  # one of the slides is broken, as the page says
}
"""With which statuses commands end, by a pattern, other than 0."""
ELSEWHERE = {
    ("docs/notebooks.md", "python"): "tests/test_notebooks_page.py runs it, with a stand-in for napari",
    ("docs/notebook.md", "python"): "it is the notebook's, see below",
}
"""What is run by another test."""
ANEW = {
    ("docs/howto/qupath.md", "The stand-in for drawing"): "how what the page began with was made",
}
"""Sections that begin with an empty folder."""


@pytest.fixture(scope="module")
def server():
    with running() as started:
        started.buckets |= {"lab": {}, "my-bucket": {}}
        yield started


@pytest.fixture
def reader(tmp_path, monkeypatch, server):
    """A reader in an empty folder, to whom the bundled models, browsers and buckets are stand-ins."""
    for name, value in {**server.environment, **server.environment_of_google}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "weights").mkdir()
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    stand_in(monkeypatch, tmp_path / "weights")
    instead = {form: other.replace("ENDPOINT", os.environ["AWS_ENDPOINT_URL"]) for form, other in INSTEAD.items()}
    return Player(here, server, instead, {})


@pytest.mark.parametrize("path", PLAYED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_page_says_runs(path, reader):
    section = None
    for step in STEPS[path]:
        if step.section != section and (step.page, step.section) in ANEW:
            remove(reader.folder)
        section = step.section
        read(step, reader)


def read(step, reader):
    """Check the options of a command as the page says it, and run the step if nothing speaks against it."""
    if step.kind == "command":
        check_options(words_of(step.text)[1])
    if not any(re.search(form, step.text) for form in PARSED) and (step.page, step.kind) not in ELSEWHERE:
        reader.play(step, next((ends for form, ends in ENDS.items() if re.search(form, step.text)), (0,)))


def test_the_notebook_runs_from_top_to_bottom(reader):
    """Each cell shows something here where it shows something on the page."""
    put_there(["biopsy.svs"], reader.folder)
    cells = codes(NOTEBOOK)
    shown = [run("".join(cell["source"]), reader.names) for cell in cells]
    assert [[one["output_type"] for one in outputs] for outputs in shown] == [
        [one["output_type"] for one in cell["outputs"]] for cell in cells
    ]
    assert (reader.folder / "nuclei.csv").read_text().count("\n") == len(reader.names["nuclei"]) + 1 > 100
    pyplot.close("all")


def test_every_exception_is_of_use():
    """What is no longer on any page has no place in the tables."""
    texts = [step.text for found in STEPS.values() for step in found]
    unused = [form for form in (*INSTEAD, *PARSED, *ENDS) if not any(re.search(form, text) for text in texts)]
    kinds = {(step.page, step.kind) for found in STEPS.values() for step in found}
    sections = {(step.page, step.section) for found in STEPS.values() for step in found}
    assert unused == []
    assert [name for name in MAKERS if not any(name in text for text in texts)] == []
    assert [key for key in ELSEWHERE if key not in kinds] == []
    assert [key for key in ANEW if key not in sections] == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_that_are_named_in_passing_exist(path):
    for text in inline(path.read_text(encoding="utf-8")):
        check_named(text.split()[text.split().index("slideseg") + 1 :])


def test_a_page_is_read_as_its_reader_reads_it():
    text = """\
# A page

    $ slideseg view x.zarr
    a line of its answer

## Part

    A=b slideseg train x.yaml \\
        -s a=b   # why

Text that says slideseg view is no command, and `slideseg view -h` in passing.

```python
import slideseg
```

```console
$ slideseg info x
```

```yaml
slideseg info: y
```

    for x in *.zarr; do slideseg info "$x"; done
"""
    found = list(steps(text, "page.md"))
    assert [(step.line, step.section, step.kind) for step in found] == [
        (3, "", "command"),
        (8, "Part", "command"),
        (14, "Part", "python"),
        (18, "Part", "command"),
        (25, "Part", "loop"),
    ]
    assert words_of(found[1].text) == ({"A": "b"}, ["train", "x.yaml", "-s", "a=b"], None)
    assert found[2].text == "import slideseg\n"
    assert words_of("slideseg summary x > a.csv") == ({}, ["summary", "x"], "a.csv")
    assert inline(text) == ["slideseg view -h"]


@pytest.mark.parametrize("text", ["slideseg predict biopsy.svs --dryrun", "slideseg info gone.svs", "slideseg look x.zarr"])
def test_a_wrong_command_is_found(text, reader):
    with pytest.raises((AssertionError, click.ClickException)):
        read(Step("page.md", 1, "", "command", text), reader)


def test_wrong_python_and_a_wrong_option_in_passing_are_found(reader):
    with pytest.raises(AssertionError, match=r"page\.md:7"):
        reader.play(Step("page.md", 7, "", "python", "import slideseg\nslideseg.gone()\n"))
    with pytest.raises(AssertionError, match=r"page\.md:8"):
        reader.play(Step("page.md", 8, "", "loop", "for x in a b; do slideseg info $x; done"))
    for words in (["verify", "--mend"], ["look"], ["model", "make"]):
        with pytest.raises(click.ClickException):
            check_named(words)
