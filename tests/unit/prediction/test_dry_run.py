"""`slideseg.plan` is what ``predict --dry-run`` prints, with nothing written and nothing changed."""

import itertools
import json
import re
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

import slideseg
from slideseg.cli import cli
from slideseg.errors import ConfigError, ResultError, SlideError
from slideseg.model.config import UNetConfig
from slideseg.prediction import dry_run as module
from slideseg.prediction import trial
from slideseg.result.layout import SEGMENTATION
from slideseg.testing.models import random_model
from slideseg.testing.slides import PatternSlide, write_pyramid


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model and a slide, on a machine whose workers do a million pixels a second."""
    random_model(tmp_path / "m.safetensors", UNetConfig(3, 3, 8, 3))
    write_pyramid(tmp_path / "slide.tif", PatternSlide((3000, 2500)), levels=3, mpp=0.25)
    monkeypatch.setattr(module, "measure_rate", lambda _: 1e6)
    monkeypatch.setattr(module, "units_of", lambda _: 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(*options):
    words = ["predict", "slide.tif", "-m", "m.safetensors", "--tissue", "none", *options, "--dry-run"]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.exception is None
    return done.output


def test_a_plan_is_what_the_command_prints(folder):
    plan = slideseg.plan("slide.tif", model="m.safetensors", tissue="none", workers=2, objects=True)
    options = ("-w", "2", "--objects")

    assert json.loads(printed(*options, "--json"))["plans"] == [json.loads(json.dumps(plan.describe()))]
    assert printed(*options) == f"{plan}\n\n"
    facts = dict(line.split("  ", 1) for line in str(plan).splitlines())
    assert facts["time"].strip() == "about 3.8 s"
    assert facts["slide"].strip().endswith("slide.tif, 3000 x 2500 x 3 (yxc), 0.25 \u00b5m a pixel (resolution tags)")
    assert facts["tissue"].strip() == "not looked for: all is segmented"
    assert "halo" in facts["tiles"]
    assert not {"core", "seam", "stride"} & set(re.findall(r"\w+", str(plan)))
    assert plan.output == "slide.zarr"
    assert sorted(path.name for path in folder.iterdir()) == ["m.safetensors", "slide.tif"]


def test_more_workers_than_cores_take_no_less_time(folder):
    one, two, eight = (slideseg.plan("slide.tif", model="m.safetensors", tissue="none", workers=w) for w in (1, 2, 8))
    assert (eight.workers, eight.seconds) == (8, two.seconds)
    assert one.seconds == pytest.approx(2 * two.seconds, abs=0.15)


def test_the_time_is_that_of_tiles_of_the_run_s_own_size(folder, monkeypatch):
    job = slideseg.plan("slide.tif", model="m.safetensors", tissue="none", workers=2).job
    small = replace(job, tiling=replace(job.tiling, core=trial.RATE_CORE))
    clock = itertools.count()
    monkeypatch.setattr(trial.time, "perf_counter", lambda: float(next(clock)))  # a second from one look to the next
    network = job.model.load().info.network
    work = [network.work(one.tiling.core) / one.tiling.core**2 for one in (job, small)]

    assert job.tiling.core > trial.RATE_CORE
    assert work[0] < work[1]  # a larger tile has less margin
    assert trial.measure_rate(job) / trial.measure_rate(small) == pytest.approx(work[1] / work[0])


def test_what_is_there_of_the_result_is_told_and_not_done_again(folder):
    write_pyramid(folder / "small.tif", PatternSlide((600, 500)), levels=1, mpp=0.25)
    model = {"model": "m.safetensors", "tissue": "none", "workers": 1}
    new = slideseg.plan("small.tif", **model)
    assert (new.found, new.kept, new.seconds) == ("new", frozenset(), 0.3)

    slideseg.predict("small.tif", **model)
    done = slideseg.plan("small.tif", **model)
    assert (done.found, len(done.kept), done.seconds) == ("complete", len(done.job.grid), 0.0)
    assert f"{done}".splitlines()[0].endswith("small.zarr: it is there and complete")
    next(path for path in (folder / "small.zarr" / SEGMENTATION / "0" / "c").rglob("*") if path.is_file()).unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    part = slideseg.plan("small.tif", **model)
    assert part.describe()["shards_kept"] == len(part.kept) == len(part.job.grid) - 1
    assert part.seconds > 0
    assert slideseg.plan("small.tif", **model, overwrite=True).found == "replaced"
    with pytest.raises(ResultError, match=r"small\.zarr holds another run's result: --mpp differs"):
        slideseg.plan("small.tif", **model, mpp=0.5)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_of_several_slides_the_last_line_is_what_they_take_in_all(folder):
    write_pyramid(folder / "small.tif", PatternSlide((1000, 500)), levels=1, mpp=0.25)
    (folder / "m.csv").write_text("path\nslide.tif\nnone.tif\nsmall.tif\n")
    words = ["predict", "--manifest", "m.csv", "-m", "m.safetensors", "--tissue", "none", "-w", "2", "--dry-run"]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    plans = [slideseg.plan(name, model="m.safetensors", tissue="none", workers=2) for name in ("slide.tif", "small.tif")]
    disk = sum(plan.disk for plan in plans) / 2**20
    assert done.stdout.splitlines()[-1] == f"2 slides: 8 Mpx, {disk:.0f} MiB of disk, about 4 s by 2 workers"
    assert done.output.index("error: no such slide: ") < done.output.index("small.tif"), "a failure is told when it is known"


def test_the_output_is_as_in_predict(folder):
    assert slideseg.plan(folder / "slide.tif", folder / "x.zarr", model="m.safetensors").output == str(folder / "x.zarr")


def test_what_the_command_refuses_a_plan_refuses(folder):
    with pytest.raises(ConfigError, match="unknown option"):
        slideseg.plan("slide.tif", modle="m.safetensors")
    with pytest.raises(ConfigError, match="no level 9"):
        slideseg.plan("slide.tif", model="m.safetensors", level=9)


def test_the_time_is_that_of_a_worker_s_threads_and_leaves_the_caller_s(folder, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert slideseg.plan("slide.tif", model="m.safetensors", workers=2).seconds > 0
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_of_many_slides_all_plans_are_printed_and_then_what_can_t_be_planned(folder):
    (folder / "bad.tif").write_bytes(b"II*\0 no more")
    (folder / "worse.svs").write_bytes(b"")
    words = ["predict", "bad.tif", "slide.tif", "worse.svs", "-m", "m.safetensors", "--tissue", "none", "--dry-run"]
    told = CliRunner().invoke(cli, words, standalone_mode=False)
    report = json.loads(CliRunner().invoke(cli, [*words, "--json"], standalone_mode=False).stdout)

    assert told.return_value == 1
    head, line, total = told.stdout.splitlines()
    assert head.split() == ["slide", "pixels", "a", "pixel", "tissue", "shards", "there", "disk", "time"]
    assert line.split() == ["slide.tif", "7.5", "Mpx", "0.25", "\u00b5m", "all", "9", "31", "MiB", "7.5", "s"]
    assert (len(line), total) == (len(head), "1 slide: 7.5 Mpx, 31 MiB of disk, about 7.5 s by 1 worker")
    first, second = told.stderr.splitlines()
    assert (first.count("bad.tif"), second.count("worse.svs")) == (1, 1)
    assert (report["status"], len(report["plans"])) == ("partial", 1)
    assert [one["input"] for one in report["failed"]] == ["bad.tif", "worse.svs"]
    assert report["error"] == report["failed"][0]["error"]


def test_a_single_slide_that_can_t_be_planned_is_an_error_as_in_predict(folder):
    (folder / "bad.tif").write_bytes(b"II*\0 no more")
    told = CliRunner().invoke(cli, ["predict", "bad.tif", "-m", "m.safetensors", "--dry-run"], standalone_mode=False)
    assert isinstance(told.exception, SlideError)
