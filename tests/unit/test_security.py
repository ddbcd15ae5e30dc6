"""What no module may do, because files, networks and other users are not to be trusted: SECURITY.md says why.

Runs over the sources, as a linter does; tests/test_architecture.py has the rules of design.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.reliability import report

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2] / "slideseg"
FILES = sorted(ROOT.rglob("*.py"))

UNPICKLING = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "pandas", "jsonpickle"}
"""Modules that run code, or can be made to, when they read."""
BANNED = {
    *("eval", "exec", "compile", "__import__"),
    *("os.system", "os.popen", "os.tempnam", "os.tmpnam", "tempfile.mktemp", "commands.getoutput", "pty.spawn"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "subprocess.call", "subprocess.check_output"),
    *(
        "yaml.load",
        "yaml.load_all",
        "yaml.unsafe_load",
        "yaml.full_load",
        "yaml.Loader",
        "yaml.UnsafeLoader",
        "yaml.FullLoader",
    ),
    *(
        "torch.hub.load",
        "torch.package.PackageImporter",
        "torch.serialization.add_safe_globals",
    ),
    *("np.fromregex", "socketserver.TCPServer", "http.server.HTTPServer", "ssl._create_unverified_context"),
    *("zipfile.ZipFile.extractall", "tarfile.open", "shutil.unpack_archive", "xml.sax.parse", "logging.config.listen"),
    *("hashlib.md5", "hashlib.sha1", "os.chmod", "os.umask"),
}
"""Names that are not called anywhere."""
BANNED_ATTRIBUTES = {"extractall", "read_pickle", "add_safe_globals", "jit_load"}
"""Methods that are not called of anything."""
SETTINGS = {
    "shell": (True,),
    "allow_pickle": (True,),
    "weights_only": (False, None),
    "verify": (False,),
    "trust_remote_code": (True,),
}
"""Values that arguments of these names never have."""
ALLOWED_AT = {
    "torch.load": {"model/plain_pickle.py", "model/others/trusted.py"},
    "torch.jit.load": {"model/others/trusted.py"},
    "torch.export.load": {"model/others/trusted.py"},
    "importlib.util.spec_from_file_location": {"model/others/trusted.py"},
    "subprocess.Popen": {"slide/guard/process.py", "tasks/private_folder.py", "doctor/bounded.py"},
    "os.posix_spawn": {"viewer/chromium.py"},
    "yaml.SafeLoader": {"yaml_file.py"},
    "ElementTree.fromstring": {"slide/tiff/images/ome.py", "slide/zarr/layout.py"},
    "importlib.import_module": {
        "__init__.py",
        "exports/run.py",
        "doctor/installation.py",
        "doctor/answer.py",
        "model/others/libraries.py",
        "model/others/trusted.py",
    },
    "socket.socket": {"viewer/run.py"},
}
"""What is dangerous in wrong hands has one place, where it was thought about."""
TRUSTED = "model/others/trusted.py"
"""Where other people's code is run, once their user said that he trusts them."""


def dotted(node: ast.expr) -> str:
    """Return ``a.b`` for such an expression, and ``.b`` where what is in front is no name."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}"
    return ""


def full_names(tree: ast.Module) -> dict[str, str]:
    """Return what imported names stand for: ``from yaml import load as l`` makes ``l`` of ``yaml.load``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({one.asname: one.name for one in node.names if one.asname})
        elif isinstance(node, ast.ImportFrom):
            module = "" if node.module == "xml.etree" else f"{node.module}."
            names.update({one.asname or one.name: f"{module}{one.name}" for one in node.names})
    return {**names, "np": "np", "numpy": "np"}


def imported(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the first part of a module's name, and what is taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, one.name.split(".")[0], "") for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, (node.module or "").split(".")[0], one.name) for one in node.names)


def dangers(place: str, source: str) -> list[str]:
    """Return a sentence for everything that a module does and none may."""
    tree = ast.parse(source)
    names = full_names(tree)
    found = [f"{line} imports {module}" for line, module, _ in imported(tree) if module in UNPICKLING]
    found = [said for said in found if not (place == "model/plain_pickle.py" and said.endswith(" imports pickle"))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            first, dot, rest = dotted(node).partition(".")
            found += _of_name(place, node, f"{names.get(first, first)}{dot}{rest}")
        elif isinstance(node, ast.Call):
            found += _of_arguments(node) if place != TRUSTED else ()
        elif isinstance(node, ast.Assert) and not _narrows(node):
            found.append(f"{node.lineno} checks by assert, which python -O leaves out")
    return found


def _of_name(place: str, node: ast.expr, name: str) -> Iterator[str]:
    if name in BANNED or name.startswith("pickle.load") or name.rpartition(".")[2] in BANNED_ATTRIBUTES:
        yield f"{node.lineno} uses {name}"
    if name in ALLOWED_AT and place not in ALLOWED_AT[name]:
        yield f"{node.lineno} uses {name}, whose place is {', '.join(sorted(ALLOWED_AT[name]))}"


def _of_arguments(call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg in SETTINGS and isinstance(keyword.value, ast.Constant) and keyword.value.value in SETTINGS[keyword.arg]:
            yield f"{call.lineno} sets {keyword.arg}={keyword.value.value}"
    if dotted(call.func).endswith("torch.load") and not any(keyword.arg == "weights_only" for keyword in call.keywords):
        yield f"{call.lineno} calls torch.load without weights_only=True"
    if dotted(call.func) in ("np.load", "numpy.load") and not any(keyword.arg == "allow_pickle" for keyword in call.keywords):
        yield f"{call.lineno} calls np.load without allow_pickle=False"


def _narrows(node: ast.Assert) -> bool:
    """Tell whether an assertion only tells the type checker what was found out before: ``assert x is not None``."""
    match node.test:
        case ast.Compare(ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return True
    return False


def test_no_module_does_anything_dangerous() -> None:
    found = {path: dangers(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in FILES}
    found = {path: said for path, said in found.items() if said}
    report("R17", files=len(FILES), found=len(found))
    assert found == {}


def test_what_has_a_place_is_there() -> None:
    """Else the list of allowed places would be one of forgotten ones."""
    for name, places in ALLOWED_AT.items():
        for place in places:
            assert name.rpartition(".")[2] in (ROOT / place).read_text(encoding="utf-8"), (name, place)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import cloudpickle as c",
        "import torch\ntorch.load(p, weights_only=True)",
        "from torch import load as read\nread(p, weights_only=True)",
        "torch.load(p, weights_only=False)",
        "import numpy as np\nnp.load(p)",
        "np.load(p, allow_pickle=True)",
        "import yaml\nyaml.load(text)",
        "from yaml import unsafe_load as read\nread(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "class L(yaml.SafeLoader): pass",
        "eval(text)",
        "run = exec",
        "compile(text, '', 'exec')",
        "import os\nos.system('ls')",
        "import subprocess as s\ns.Popen('ls', shell=True)",
        "from subprocess import Popen\nPopen(['ls'])",
        "import tempfile\ntempfile.mktemp()",
        "archive.extractall('.')",
        "torch.jit.load(p)",
        "from torch.export import load\nload(p)",
        "assert 0 < value < 10",
        "assert isinstance(value, int)",
        "from xml.etree import ElementTree\nElementTree.fromstring(text)",
        "requests.get(url, verify=False)",
    ],
)
def test_a_planted_danger_is_found(source: str) -> None:
    assert dangers("slide/open.py", source)


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("model/plain_pickle.py", "import torch\ntorch.load(p, weights_only=True)"),
        ("slide/array.py", "import numpy as np\nnp.load(p, mmap_mode='r', allow_pickle=False)"),
        ("training/team.py", "network.compile()"),
        ("slide/open.py", "import re\nre.compile('x')"),
        ("slide/open.py", "assert found is not None"),
        ("training/record/run_folder.py", "import yaml\nyaml.safe_load(text)"),
    ],
)
def test_safe_code_passes(place: str, source: str) -> None:
    assert dangers(place, source) == []
