"""Finding models: bundled names, files, training runs."""

from __future__ import annotations

import pytest

from slideseg.errors import ModelError
from slideseg.model import bundled
from slideseg.model.bundled import find_model
from slideseg.model.config import UNetConfig
from slideseg.model.file import save_model
from slideseg.model.info import ModelClass, ModelInfo, ModelInput
from slideseg.model.load import load_model
from slideseg.model.network.unet import UNet

CLASSES = (ModelClass(0, "background", "#000000"), ModelClass(1, "cell", "#ff0000"))


def save(path, name="cells"):
    config = UNetConfig(1, 1, 2, 1)
    save_model(path, UNet(config), ModelInfo(name, config, CLASSES, ModelInput(1, None, (0.0,), (1.0,))))
    return path


def test_a_file_is_loaded_by_its_path(tmp_path):
    assert load_model(save(tmp_path / "m.safetensors")).info.name == "cells"
    assert load_model(str(tmp_path / "m.safetensors")).info.name == "cells"


def test_a_training_run_gives_its_best_model_else_its_last(tmp_path):
    save(tmp_path / "last.safetensors", "last")
    assert load_model(tmp_path).info.name == "last"
    save(tmp_path / "best.safetensors", "best")
    assert load_model(tmp_path).info.name == "best"


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"want best.safetensors or last.safetensors"):
        load_model(tmp_path)


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ModelError, match=r"no such model \(got cells, want a path or a bundled name: nuclei"):
        load_model("cells")


@pytest.mark.parametrize("name", ["rdf.yaml", "config.json", "model.safetensors"])
def test_a_folder_of_another_program_is_refused_with_what_to_do(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(ModelError, match=r"is a network of another program \(want a model folder; try slideseg model import "):
        load_model(tmp_path)


@pytest.mark.parametrize("ending", [".pth", ".pt", ".PTH", ".onnx", ".pt2", ".zip"])
def test_what_is_to_be_imported_is_refused_with_what_to_do(tmp_path, ending):
    path = tmp_path / f"net{ending}"
    with pytest.raises(ModelError, match=r"try slideseg model import .*net"):
        load_model(path)
    path.write_bytes(b"\x80\x02")
    with pytest.raises(ModelError, match=r"try slideseg model import .*net"):
        load_model(path)


def test_a_bundled_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nuclei").mkdir()
    save(tmp_path / "nuclei" / "best.safetensors")
    assert find_model("nuclei").parent == bundled.WEIGHTS
    assert load_model("./nuclei").info.name == "cells"
