"""Which rows of a manifest are to be done, and what their results are called."""

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from slideseg.cli import cli
from slideseg.errors import ConfigError, ResultError
from slideseg.model.values import stated_range
from slideseg.options import take_options
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.orders import OF_THE_RUN, take_orders

TABLE = "path,mpp\na.tif,\n\nx/b.svs,0.5\nfolder,\nx/a.svs,\n"


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("c.png", "d.png"):
        (tmp_path / "folder" / name).touch()
    (tmp_path / "m.csv").write_text(TABLE)
    return tmp_path / "m.csv"


def taken(manifest, rows):
    orders = take_orders((), "out", PredictOptions(), manifest, rows)
    return orders, [(Path(order.slide).name, order.output) for order in orders.slides]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (None, [0, 1, 2, 3, 4]), ("1", [0]), (2, [1]), ("3", [2, 3]), ("2-3", [1, 2, 3]), ("4-999", [4]),
        ("1-4", [0, 1, 2, 3, 4]),
    ],
)  # fmt: skip
def test_rows_are_counted_from_one_and_results_are_called_the_same_whoever_does_which(manifest, rows, wanted):
    orders, found = taken(manifest, rows)
    all_of_them = [
        ("a.tif", "out/a.tif.zarr"), ("b.svs", "out/b.zarr"), ("c.png", "out/c.zarr"), ("d.png", "out/d.zarr"),
        ("a.svs", "out/a.svs.zarr"),
    ]  # fmt: skip
    assert found == [all_of_them[number] for number in wanted]
    assert (orders.several, orders.is_part) == (True, rows is not None)
    assert [order.options.mpp for order in orders.slides] == [0.5 if name == "b.svs" else None for name, _ in found]


@pytest.mark.parametrize("rows", ["", "0", "x", "1-", "-3", "5-2", "1,2", "1.5", "0-3", "1_0"])
def test_what_can_not_be_read_as_rows_is_refused(manifest, rows):
    with pytest.raises(ConfigError, match="rows can't be read"):
        taken(manifest, rows)


def test_a_row_that_is_not_there_is_refused(manifest):
    with pytest.raises(ConfigError, match=r"m.csv has no row 5 \(got 4 rows\)"):
        taken(manifest, "5-6")


def test_rows_are_those_of_a_manifest(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ConfigError, match="there are no rows to choose"):
        take_orders([str(tmp_path / "a.png")], None, PredictOptions(), None, "1")


COMMAND = cli.commands["predict"]
WHOLE = click.Context(cli, **cli.context_settings)
"""Commands remember the option for help that they are first asked with."""
COLUMNS = sorted({field.name for field in fields(PredictOptions)} - set(OF_THE_RUN))
"""What a row may say."""
VALUES = (
    *("0", "1", "-1", "4", "8", "0.5", "-0.5", "17x", "1e999", "nan", "inf", "1e30", "half", "auto", "none", "maybe", "5-6"),
    *("0,5", "5,0", "0.25;0.5", "0,4095", "1,2,3", ",", "256", "fp16", "int8", "fp8", "full", "overview", "fail", "background"),
)
SWITCHES = ("yes", "TRUE", "1", "no", "false", "0")


def read_as_option(option, text):
    """Return what the command makes of the option, as a field of `PredictOptions`; None where it refuses it."""
    given = ["--objects", f"{option.opts[-1]}={text}"]
    try:
        found = COMMAND.make_context("predict", ["x.svs", *given], parent=WHOLE).params
        options = take_options(PredictOptions, {option.name: found[option.name], "objects": True})
        options.check()
    except (click.UsageError, ConfigError):
        return None
    return options


def read_as_cell(folder, name, text):
    (folder / "m.csv").write_text(f'path,{name}\na.svs,"{text}"\n')
    try:
        (order,) = take_orders((), "out", PredictOptions(objects=True), folder / "m.csv").slides
    except ConfigError as error:
        return None if str(error).startswith("line 2 of the manifest") else pytest.fail(str(error))
    return order.options


@pytest.mark.parametrize("option", [param for param in COMMAND.params if param.name in COLUMNS], ids=lambda option: option.name)
def test_a_cell_is_judged_as_the_option_is_before_anything_is_done(option, tmp_path):
    if option.is_flag:
        said = {text for text in (*SWITCHES, *VALUES) if read_as_cell(tmp_path, option.name, text)}
        assert said == set(SWITCHES)
        return
    taken = {text: (read_as_option(option, text), read_as_cell(tmp_path, option.name, text)) for text in VALUES}
    assert {text for text, (one, _) in taken.items() if one} == {text for text, (_, other) in taken.items() if other}
    for text, (one, other) in taken.items():
        if one and option.name not in ("channel", "model", "tissue"):
            assert meaning(one, option.name) == meaning(other, option.name), text
    assert any(one for one, _ in taken.values())
    is_free = isinstance(option.type, click.types.StringParamType)
    assert is_free or not all(one for one, _ in taken.values()), "nothing was refused"


def meaning(options, name):
    """Return what an option comes to, however it was said."""
    if name == "range":
        return stated_range(options.range)
    return options.selection.mpp if name == "mpp_of_slide" else getattr(options, name)


@pytest.mark.parametrize("name", sorted(set(COLUMNS) - {param.name for param in COMMAND.params}))
def test_a_cell_of_what_is_no_option_of_the_command_is_judged_too(name, tmp_path):
    wrong = {"border": (), "classes": (), "together": ("maybe",), "grow": ("-1", "x"), "connectivity": ("5", "x")}[name]
    for text in wrong:
        assert read_as_cell(tmp_path, name, text) is None
    assert read_as_cell(tmp_path, name, {"together": "yes", "grow": "2", "connectivity": "8"}.get(name, "nucleus"))


@pytest.mark.parametrize(("line", "said"), [("level,mpp\na,0,0.5", "exclude each other"), ("split\na,3", "not asked for")])
def test_options_of_a_row_that_contradict_each_other_are_refused(line, said, tmp_path):
    (tmp_path / "m.csv").write_text(f"path,{line}\n")
    with pytest.raises(ConfigError, match=f"^line 2 of the manifest .*{re.escape(said)}"):
        take_orders((), None, PredictOptions(), tmp_path / "m.csv")


def test_what_is_wrong_with_the_command_is_not_blamed_on_a_row(tmp_path):
    (tmp_path / "m.csv").write_text("path,objects\na,yes\n")
    with pytest.raises(ConfigError, match=r"^split can't be like that"):
        take_orders((), None, PredictOptions(split=-1), tmp_path / "m.csv")
    (order,) = take_orders((), None, PredictOptions(split=1), tmp_path / "m.csv").slides
    assert order.options.split == 1


def test_what_only_files_can_tell_is_left_to_the_slide(tmp_path):
    (tmp_path / "m.csv").write_text("path,model,tissue,series\nnone.svs,none.safetensors,none.png,7\n")
    assert len(take_orders((), None, PredictOptions(), tmp_path / "m.csv").slides) == 1


def place_of(tmp_path, *lines, columns="path,output", output="out"):
    (tmp_path / "m.csv").write_text("\n".join([columns, *lines]))
    return [order.output for order in take_orders((), output, PredictOptions(), tmp_path / "m.csv").slides]


def test_results_of_a_manifest_are_apart_by_where_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for one, other, said in (
        ("a.zarr", "./a.zarr", "2 slides would share the result out/a.zarr"),
        ("a.zarr", str(tmp_path / "out" / "a.zarr"), "2 slides would share the result out/a.zarr"),
        ("a.zarr", "a.zarr/b.zarr", "a result would lie inside another one"),
        ("a.zarr", ".", r"would replace the folder of the results \(got out;"),
        ("../out", "b.zarr", r"would replace the folder of the results \(got out;"),
        ("a.zarr", "..", r"would replace the folder of the results \(got out;"),
    ):
        with pytest.raises(ConfigError, match=said):
            place_of(tmp_path, f"s0.tif,{one}", f"s1.tif,{other}")
    with pytest.raises(ConfigError, match=r"would replace the folder of the results \(got .;"):
        place_of(tmp_path, "s0.tif,.", output=None)


def test_a_result_of_a_manifest_does_not_replace_what_another_row_is_made_with(tmp_path):
    for made_with in ("m.csv", "x/model.safetensors", "x/mask.png"):
        result = tmp_path / made_with if made_with == "m.csv" else tmp_path / "x"
        lines = (f"s0.tif,{result},,", "s1.tif,,x/model.safetensors,", "s2.tif,,,x/mask.png")
        with pytest.raises(ConfigError, match=f"would replace what one is made with .*{made_with.rpartition('/')[2]}"):
            place_of(tmp_path, *(lines[0], lines[2 if "mask" in made_with else 1]), columns="path,output,model,tissue")


def test_a_home_is_meant_by_its_sign_in_a_manifest(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m.csv").write_text("path,output\n~/a.tif,~/row.zarr\nb.tif,\n")
    orders = take_orders((), "~/out", PredictOptions(), "~/m.csv")
    assert orders.folder == f"{tmp_path}/out"
    assert [(order.slide, order.output) for order in orders.slides] == [
        (f"{tmp_path}/a.tif", f"{tmp_path}/row.zarr"), (f"{tmp_path}/b.tif", f"{tmp_path}/out/b.zarr"),
    ]  # fmt: skip


def test_what_can_not_be_a_name_is_told_with_its_line(tmp_path):
    for line in ("a\0.tif,", "a.tif,b\0.zarr"):
        with pytest.raises(ConfigError, match=r"^line 2 of the manifest .*: this is no path"):
            place_of(tmp_path, line)
    assert place_of(tmp_path, "~nobody-is-called-so/x.tif,") == ["out/x.zarr"], "it fails by itself"


def test_a_manifest_is_a_local_file():
    with pytest.raises(ConfigError, match=r"s3://b/m.csv can't be read \(got an address, want a local file"):
        take_orders((), None, PredictOptions(), "s3://b/m.csv")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.tif", "a.tif, which is no folder"), ("a.tif/x", "a.tif, which is no folder"), ("/proc/x", "No such file"),
        ("gone", "gone, which is a link to nothing"), ("loop/x", "loop, which is a link to nothing"),
    ],
)  # fmt: skip
def test_a_folder_of_results_that_can_not_be_made_is_one_line(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tif").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "m.csv").write_text("path\nx.svs\n")
    orders = take_orders((), name, PredictOptions(), tmp_path / "m.csv")
    with pytest.raises(ResultError, match=rf"^the folder of the results can't be made: {name} \(got {said}"):
        orders.make_folder()
