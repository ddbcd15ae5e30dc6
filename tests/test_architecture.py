"""What may import what, and what no module may do. The picture is in docs/architecture.md, which is held to the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
FILES = sorted((ROOT / "slideseg").rglob("*.py"))

ROOMS = (
    *("errors", "words", "version", "installed", "options", "colors", "machine", "columns", "yaml_file", "points", "endpoints"),
    *("space", "polygons", "tasks", "storage", "model", "arrays", "slide", "result", "cohort"),
    *("instances.labelling", "instances", "prediction", "outlines", "verification", "conversion"),
    *("training.recipe", "training.workplace", "training.team", "training.data", "training.samples", "training.record"),
    *("training.learning", "training.check", "training.preview", "training.ray", "training.run"),
    *("evaluation.metrics", "evaluation", "exports", "viewer", "testing", "demo", "doctor", "cli"),
)
"""Lowest first. A room imports from itself and from lower ones."""
FEATURES = {
    *("cohort", "instances", "prediction", "outlines", "verification", "conversion", "training", "evaluation", "exports"),
    "viewer",
}
"""They don't know each other ..."""
ARROWS = {
    ("prediction", "cohort"),
    ("prediction", "instances"),
    ("verification", "instances"),
    ("outlines", "instances"),
    ("outlines", "prediction"),
    ("viewer", "cohort"),
}
"""... but for these."""
APART = (("slide.tiff.images", "slide.tiff.decoding"),)
"""Parts of a room that don't know each other, either way."""
PUBLIC = "__init__"
"""The public names: below the command line, above all else."""

HOMES = {
    "click": ("cli",),
    "rich": ("cli",),
    "dask": ("arrays",),
    "obstore": ("storage",),
    "zarr": ("storage", "arrays", "slide"),
    "openslide": ("slide.openslide",),
    "pylibCZIrw": ("slide.microscopes.czi",),
    "nd2": ("slide.microscopes.nd2",),
    "onnx": ("model.others.onnx",),
    "onnxruntime": ("model.others.onnx",),
    "liffile": ("slide.microscopes.lif",),
    "pydicom": ("slide.dicom",),
    "ray": ("tasks.ray", "tasks.metrics", "tasks.session", "tasks.trial", "training.ray"),
    "tifffile": ("slide.tiff", "exports.ome_tiff", "testing"),
    "torch": ("model", "prediction", "training", "testing.models", "doctor.devices"),
    "pydantic": ("training.recipe", "result.record"),
    "yaml": ("yaml_file", "training.recipe", "training.record"),
    "matplotlib": ("training.record.curves", "exports.plot"),
    "tensorboardX": ("training.record.run_folder",),
    "shapely": ("polygons", "instances.labelling.hull", "exports"),
    "anndata": ("exports.h5ad",),
    "pyarrow": ("instances", "result", "exports", "viewer.table", "slide.rows.inflate"),
    "pyvips": ("slide.rows.vips",),
    "starlette": ("viewer.server",),
    "uvicorn": ("viewer.run",),
}
"""The only modules that may import a dependency."""

MOST_LINES = 400
MOST_FILES = 18
"""Of a folder: its listing is to be read like a table of contents."""
BANNED_CALLS = {"print", "eval", "exec"}
UNPICKLERS = {"load", "loads", "Unpickler"}
POOLS = ("tasks", "prediction.worker", "training", "storage")
"""Who may have threads: all others give their work to an executor."""
HAND_ON = ("tasks.pool", "tasks.ray", "tasks.session", "prediction.many", "model.others.trusted")
"""Who work in threads and processes for others, or run their code, and tell of whatever happens there."""
TRUSTED = "model.others.trusted"
"""Who reads pickles whole, once their user trusts them."""
RUNNERS = ("tasks.run_shards", "tasks.ray", "arrays.graphs")
"""Who may ask an executor to run: the loop over shards, and executors that hand on to another."""


def name_of(path: Path) -> str:
    """Return ``model.file`` for ``slideseg/model/file.py`` and ``model`` for ``slideseg/model/__init__.py``."""
    parts = path.relative_to(ROOT / "slideseg").with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {name_of(path) for path in FILES}


def is_in(module: str, places: tuple[str, ...]) -> bool:
    """Tell whether a module is one of ``places`` or inside one."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def room_of(module: str) -> str:
    """Return the room of a module of slideseg, named without ``slideseg.``: the innermost that it is in."""
    rooms = [room for room in ROOMS if is_in(module, (room,))]
    if not rooms:
        raise KeyError(module)
    return max(rooms, key=len)


def is_package(module: str) -> bool:
    """Tell whether a module is the ``__init__`` of a folder of rooms, which has nothing but a docstring."""
    return module == "training"


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Yield the full names of all imported modules, also inside functions and for typing only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (_module_behind(node.module or "", alias.name) for alias in node.names)


def _module_behind(package: str, name: str) -> str:
    """Return ``slideseg.space`` for ``from slideseg import space`` but ``slideseg`` for ``from slideseg import predict_it``."""
    inner = f"{package}.{name}".removeprefix("slideseg.")
    is_module = package.split(".")[0] == "slideseg" and inner in MODULES
    return f"{package}.{name}" if is_module else package


def wrong_imports(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield a sentence for every import that breaks a rule."""
    for imported in sorted(set(imports_of(tree))):
        top, _, inner = imported.partition(".")
        if top == "slideseg" and not _may_import(module, inner or PUBLIC):
            yield f"{module} imports {imported}, which is in a higher room"
        if top == "slideseg" and not _may_know(module, inner):
            yield f"{module} imports {imported}, which is another feature's"
        if any(is_in(module, (a,)) and is_in(inner, (b,)) for pair in APART for a, b in (pair, pair[::-1])):
            yield f"{module} imports {imported}, which is kept apart"
        if top in HOMES and not is_in(module, HOMES[top]):
            yield f"{module} imports {top}, whose home is {', '.join(HOMES[top])}"
        if imported == "concurrent.futures" and not is_in(module, POOLS):
            yield f"{module} has threads of its own"


def _may_import(module: str, imported: str) -> bool:
    if module in ("__main__", PUBLIC) or room_of(module) == "cli":
        return True
    return imported != PUBLIC and ROOMS.index(room_of(imported)) <= ROOMS.index(room_of(module))


def _may_know(module: str, imported: str) -> bool:
    feature, other = module.split(".")[0], imported.split(".")[0]
    return not {feature, other} <= FEATURES or feature == other or (feature, other) in ARROWS


def wrong_statements(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield a sentence for every relative import, broad except and banned call."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(level=level) if level:
                yield f"{module}:{node.lineno} imports relatively"
            case ast.ImportFrom(module="pickle", names=names) if {alias.name for alias in names} & UNPICKLERS:
                yield f"{module}:{node.lineno} unpickles"
            case ast.Attribute(value=ast.Name(id="pickle"), attr=name) if name in UNPICKLERS:
                yield f"{module}:{node.lineno} unpickles"
            case ast.ExceptHandler() if _is_broad(node) and not _raises_again(node) and module not in HAND_ON:
                yield f"{module}:{node.lineno} catches everything and goes on"
            case ast.Call(func=ast.Name(id=name)) if name in BANNED_CALLS:
                yield f"{module}:{node.lineno} calls {name}"
            case ast.Call() if ast.unparse(node.func) == "torch.load" and not _is_plain(module, node):
                yield f"{module}:{node.lineno} calls torch.load without weights_only=True"


def _is_plain(module: str, call: ast.Call) -> bool:
    """Tell whether a pickle is read without running what is in it, or by whom that is the task."""
    return module == TRUSTED or _is_true(call, "weights_only")


def own_loops(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield a sentence for every place where an executor is run, but in the one loop over shards."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="run", value=ast.Name(id=name))) if "executor" in name.lower():
                if not is_in(module, RUNNERS):
                    yield f"{module}:{node.lineno} has a loop over shards of its own"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    names = [node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)] if handler.type else ["BaseException"]
    return bool({"Exception", "BaseException"} & set(names))


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Tell whether the handler only cleans up: its last statement is a bare ``raise``."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _is_true(call: ast.Call, name: str) -> bool:
    return any(k.arg == name and isinstance(k.value, ast.Constant) and k.value.value is True for k in call.keywords)


def violations(module: str, source: str) -> list[str]:
    """Return a sentence for every rule that the module breaks."""
    tree = ast.parse(source)
    return [*wrong_imports(module, tree), *wrong_statements(module, tree), *own_loops(module, tree)]


@pytest.mark.parametrize("path", [path for path in FILES if not is_package(name_of(path))], ids=name_of)
def test_a_module_keeps_the_rules(path: Path) -> None:
    assert violations(name_of(path), path.read_text(encoding="utf-8")) == []


def test_modules_are_short_and_folders_can_be_read() -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {module: count for module, count in lines.items() if count > MOST_LINES} == {}
    folders = {folder: len(list(folder.glob("*.py"))) - 1 for folder in {path.parent for path in FILES}}
    assert {folder.name: count for folder, count in folders.items() if count > MOST_FILES} == {}


def test_imports_have_no_cycle() -> None:
    """Between modules, however they import: when they are loaded, inside functions or for typing only."""
    graph = {name_of(path): set(_own(ast.parse(path.read_text(encoding="utf-8")))) for path in FILES}
    del graph[PUBLIC]
    done: set[str] = set()
    for module in graph:
        _visit(module, graph, done, [])


def _own(tree: ast.Module) -> Iterator[str]:
    return (name.removeprefix("slideseg.") for name in imports_of(tree) if name.startswith("slideseg."))


def _visit(module: str, graph: dict[str, set[str]], done: set[str], path: list[str]) -> None:
    assert module not in path, f"import cycle: {' -> '.join([*path, module])}"
    if module in done:
        return
    for imported in sorted(graph.get(module, set())):
        _visit(imported, graph, done, [*path, module])
    done.add(module)


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("space.grid", "from slideseg.prediction.worker import compute", "higher room"),
        ("space.grid", "def f():\n    import slideseg.result.result", "higher room"),
        ("model.file", "from slideseg import predict", "higher room"),
        ("slide.tiff.slide", "from slideseg import errors, result", "higher room"),
        ("training.data.items", "if TYPE_CHECKING:\n    from slideseg.training.samples.batches import Batches", "higher room"),
        ("exports.run", "from slideseg.instances.run import objects", "another feature's"),
        ("slide.tiff.images.series", "from slideseg.slide.tiff.decoding.streams import jpeg_head", "kept apart"),
        ("slide.tiff.decoding.samples", "from slideseg.slide.tiff.images.series import side_of", "kept apart"),
        ("prediction.worker", "import ray", "whose home"),
        ("prediction.run", "from dask.array import from_zarr", "whose home"),
        ("exports.run", "import dask", "whose home"),
        ("result.table", "import obstore", "whose home"),
        ("slide.base", "if TYPE_CHECKING:\n    import torch", "whose home"),
        ("result.result", "import pickle\npickle.loads(b'')", "unpickles"),
        ("result.result", "from pickle import loads", "unpickles"),
        ("space.grid", "from . import box", "relatively"),
        ("space.grid", "try:\n    f()\nexcept Exception:\n    pass", "catches everything"),
        (
            "space.grid",
            "try:\n    f()\nexcept (OSError, BaseException) as e:\n    raise ValueError from e",
            "catches everything",
        ),
        ("space.grid", "try:\n    f()\nexcept:\n    pass", "catches everything"),
        ("space.grid", "print(1)", "calls print"),
        ("model.file", "torch.load(path)", "without weights_only"),
        ("model.file", "torch.load(path, weights_only=False)", "without weights_only"),
        ("verification", "from concurrent.futures import ThreadPoolExecutor", "threads of its own"),
        ("instances.run", "for event in executor.run(work, shards):\n    pass", "loop over shards of its own"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str, complaint: str) -> None:
    found = violations(module, source)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("space.grid", "from slideseg.space.box import Box"),
        ("prediction.worker", "import torch\nfrom slideseg.space import grid"),
        ("prediction.run", "from slideseg.instances.run import write_objects"),
        ("tasks.ray", "import ray"),
        ("arrays.lazy", "import dask.array as da"),
        ("cli.predict", "from slideseg.prediction.run import predict"),
        ("model.file", "torch.load(path, weights_only=True)"),
        ("model.importer", "from pickle import UnpicklingError"),
        ("result.shards", "try:\n    f()\nexcept BaseException:\n    clean()\n    raise"),
    ],
)
def test_allowed_code_passes(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_every_module_has_a_room_and_every_room_a_module() -> None:
    modules = {module for module in MODULES - {PUBLIC, "__main__"} if not is_package(module)}
    assert {room_of(module) for module in modules} == set(ROOMS)


def tables() -> list[list[list[str]]]:
    """Return the tables of the page: rows of cells, without heads, code marks and links."""
    found: list[list[list[str]]] = [[]]
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [table[2:] for table in found if table]


def test_the_page_lists_the_rooms_in_their_order_and_the_arrows_between_features() -> None:
    rooms, arrows, _ = tables()
    assert [row[0] for row in rooms] == list(ROOMS)
    assert {(row[0], row[1]) for row in arrows} == ARROWS


def test_the_page_tells_the_homes_of_dependencies() -> None:
    for names, homes, _ in tables()[2]:
        told = {home.removesuffix(".py").replace("/", ".") for home in re.split(r"[ ,]+", homes)}
        kept = {home for name in re.split(", ", names) for home in HOMES[name if name in HOMES else name.lower()]}
        assert {home.split(".")[0] for home in told} == {home.split(".")[0] for home in kept}, names
    listed = {name.lower() for names, _, _ in tables()[2] for name in re.split(", ", names)}
    assert listed == {name.lower() for name in HOMES}
