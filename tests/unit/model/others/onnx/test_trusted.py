"""Networks that are code: left alone unless they are trusted, and then a graph without any code is left of them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from click.testing import CliRunner

from slideseg.cli import cli
from slideseg.errors import ModelError
from slideseg.model.load import load_model
from slideseg.model.others.importing import import_network
from slideseg.model.others.trusted import program_in
from tests.unit.model.others import small
from tests.unit.model.others.onnx.test_package import made
from tests.unit.model.others.small import Small, program, trained

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")


def same(folder: Path) -> None:
    """Check that a model's network is `Small`."""
    model, x = load_model(folder), torch.rand(2, 3, 32, 96)
    with torch.inference_mode():
        torch.testing.assert_close(model.net(x), trained(Small())(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "kind"), [("x.pt", "TorchScript"), ("x.ts", "traced"), ("x.pt2", "torch.export")])
def test_a_program_is_run_once_it_is_trusted(name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program(Path(name), kind)
    refused = CliRunner().invoke(cli, ["model", "import", name])
    assert refused.exit_code == 1, refused.output
    assert f"{name} is a program, and reading one runs what is in it" in str(refused.exception)
    assert "try --trust, if you trust who made it" in str(refused.exception)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    done = CliRunner().invoke(cli, ["model", "import", name, "--trust", "--class", "background,cell,edge"])
    assert done.stdout == "x.model\n", done.output
    assert {path.name for path in (tmp_path / "x.model").iterdir()} == {"model.json", "network.onnx"}
    same(tmp_path / "x.model")


def test_a_program_for_one_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"x\.pt2 of 3 channel.*can't be written as ONNX.*; try one that takes images of any size"
    ):
        import_network(program(tmp_path / "x.pt2", "fixed"), tmp_path / "m", trust=True)
    assert not (tmp_path / "m").exists()


def test_a_damaged_program_is_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(program(tmp_path / "whole.pt")) as whole, zipfile.ZipFile(tmp_path / "x.pt", "w") as damaged:
        for name in whole.namelist():
            damaged.writestr(name, b"def" if name.endswith(".py") else whole.read(name))
    with pytest.raises(ModelError, match=r"x\.pt can't be read \(got \w+: .*\)$"):
        import_network(tmp_path / "x.pt", tmp_path / "m", trust=True)


def test_other_files_are_no_programs(tmp_path: Path) -> None:
    torch.save(Small().state_dict(), tmp_path / "weights.pt")
    torch.save(Small(), tmp_path / "net.pt")
    (tmp_path / "text.pt").write_text("PK")
    assert [program_in(tmp_path / name) for name in ("weights.pt", "net.pt", "text.pt", "none.pt")] == [None] * 4


def weights() -> bytes:
    file = io.BytesIO()
    torch.save(trained(Small()).state_dict(), file)
    return file.getvalue()


def script() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(trained(Small())), file)
    return file.getvalue()


STATE = {"source": "w.pt", "kwargs": {"norm": "batch"}}
ENTRIES: dict[str, tuple[dict[str, Any], Callable[[], bytes]]] = {
    "torchscript": ({"torchscript": {"source": "w.pt"}}, script),
    "source": (
        {"pytorch_state_dict": {"source": "w.pt", "architecture": {"source": "net.py", "callable": "Small", "kwargs": {}}}},
        weights,
    ),
    "old source": ({"pytorch_state_dict": {**STATE, "architecture": "net.py:Small"}}, weights),
    "module": (
        {"pytorch_state_dict": {"source": "w.pt", "architecture": {"import_from": small.__name__, "callable": "Small"}}},
        weights,
    ),
    "old module": ({"pytorch_state_dict": {**STATE, "architecture": f"{small.__name__}.Small"}}, weights),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_a_package_whose_weights_are_code_is_read_once_it_is_trusted(kind: str, tmp_path: Path) -> None:
    entry, data = ENTRIES[kind]
    files = {"w.pt": data(), "net.py": Path(small.__file__).read_bytes()}
    package = made(tmp_path, lambda said: said.update(weights=entry), **files)
    with pytest.raises(ModelError, match=r"no weights that are no code \(got (torchscript|pytorch_state_dict), .*try --trust"):
        import_network(package, tmp_path / "m")
    assert import_network(package, tmp_path / "m", trust=True).network.exact
    same(tmp_path / "m")


def of_source(text: str) -> Callable[[dict[str, Any]], None]:
    def change(said: dict[str, Any]) -> None:
        said["weights"] = {"pytorch_state_dict": {"source": "w.pt", "architecture": {"source": text, "callable": "Small"}}}

    return change


FORWARD = """
from tests.unit.model.others import small
class Small(small.Small):
    def forward(self, x):
        print("it runs")
        return """


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise SystemError('boom')", "can't be made: Small \\(got SystemError: boom"),
        ("import nothing_like_that", "ModuleNotFoundError"),
        ("x = 1", "AttributeError.*Small"),
        ("from torch import nn\nclass Small(nn.Module): pass", "Unexpected key"),
        ("def Small(): return 3", "AttributeError"),
        ("import sys\nsys.exit(0)", "SystemExit"),
        (f"{FORWARD}super().forward(x) * (2 if x.shape[2] > 200 else 1)", "the ONNX graph of .* gives something else than it"),
        (f"{FORWARD}1 / 0", "can't be written as ONNX .got ZeroDivisionError"),
        (f"{FORWARD}{{}}['x']", "can't be written as ONNX .got KeyError"),
        (f"{FORWARD}[][1]", "can't be written as ONNX .got IndexError"),
        (f"{FORWARD}__import__('nothing_like_that')", "can't be written as ONNX .got ModuleNotFoundError"),
    ],
)
def test_what_its_source_does_wrong_is_one_line(source: str, words: str, tmp_path: Path) -> None:
    package = made(tmp_path, of_source("net.py"), **{"w.pt": weights(), "net.py": source.encode()})
    with pytest.raises(ModelError, match=words) as raised:
        import_network(package, tmp_path / "m", trust=True)
    assert "\n" not in str(raised.value)


def test_a_pickled_network_becomes_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(trained(Small()), "x.pth")
    words = ["model", "import", "x.pth", "--classes", "background,cell,edge"]
    refused = CliRunner().invoke(cli, words)
    assert "got more than tensors and plain values, want weights alone" in str(refused.exception)
    done = CliRunner().invoke(cli, [*words, "--trust"])
    assert done.stdout == "x.model\n", done.exception
    same(tmp_path / "x.model")


def test_weights_alone_are_no_network(tmp_path: Path) -> None:
    torch.save(Small().state_dict(), tmp_path / "x.pth")
    with pytest.raises(ModelError, match=r"x.pth holds no network \(got OrderedDict; try --network, to say what the weights"):
        import_network(tmp_path / "x.pth", tmp_path / "m", trust=True)


def test_what_a_first_kernel_does_not_say_can_be_said(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1, groups=3), torch.nn.Conv2d(3, 2, 1))
    torch.jit.trace(net, torch.zeros(1, 3, 64, 64)).save(str(tmp_path / "x.pt"))
    with pytest.raises(ModelError, match=r"of 1 channel\(s\), as its first kernel has them \(--mean says others\)"):
        import_network(tmp_path / "x.pt", tmp_path / "m", trust=True)
    assert import_network(tmp_path / "x.pt", tmp_path / "m", trust=True, mean=[0.0] * 3).network.in_channels == 3


def test_a_pickle_that_is_trusted_gives_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole networks, and checkpoints with objects in them, which the plain reader refuses."""
    monai = pytest.importorskip("monai.networks.nets", reason="MONAI is not installed")
    net = monai.BasicUNet(spatial_dims=2, in_channels=3, out_channels=2, features=(8, 8, 8, 8, 8, 8), norm="batch")
    torch.save(net, tmp_path / "whole.pth")
    torch.save({"state_dict": net.state_dict(), "where": Path("x")}, tmp_path / "more.pth")
    made_of = {"in_channels": 3, "out_channels": 2, "features": [8] * 6, "norm": "batch"}
    for name in ("whole", "more"):
        given = {"network": "monai.BasicUNet", "arguments": made_of}
        with pytest.raises(ModelError, match=r"can't be read.*weights alone.*--trust"):
            import_network(tmp_path / f"{name}.pth", tmp_path / name, **given)
        import_network(tmp_path / f"{name}.pth", tmp_path / name, trust=True, **given)
        x = torch.rand(1, 3, 32, 32)
        with torch.inference_mode():
            torch.testing.assert_close(load_model(tmp_path / name).net(x), net.eval()(x), rtol=1e-4, atol=1e-4)
