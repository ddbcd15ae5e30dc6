"""A run that differs from the one that made a result is told so in the words of its command, with the way back."""

from dataclasses import replace

import pytest

from slideseg.errors import ResultError
from slideseg.result.same_run import check_same_run
from slideseg.slide.selection import Selection
from slideseg.testing.records import made_record

RECORD = made_record()


def run(**changed):
    return replace(RECORD, run=replace(RECORD.run, **changed))


def at(mpp, level, factor):
    settings = replace(RECORD.settings, mpp=mpp, level=level)
    return replace(run(level=level, factors=(factor, factor), tissue=str(mpp)), settings=settings)


def of_slide(path, fingerprint):
    return replace(run(slide=fingerprint, tissue=path), slide=replace(RECORD.slide, path=path, fingerprint=fingerprint))


def of_model(name, sha256):
    model = replace(RECORD.model, name=name, sha256=sha256)
    return replace(run(model=sha256, tissue=sha256), model=model)


def with_tissue(said, digest):
    return replace(run(tissue=digest), settings=replace(RECORD.settings, tissue=said))


@pytest.mark.parametrize(
    ("there", "here", "told"),
    [
        (at(0.5, 0, 2.0), at(0.25, 0, 1.0), "--mpp differs (got 0.5, want 0.25; try --mpp 0.5, or --overwrite)"),
        (at(0.2456123, 0, 1.0), at(0.5, 1, 1.0), "--mpp differs (got 0.2456, want 0.5; try --mpp 0.2456123, or --overwrite)"),
        (at(None, 0, 1.0), at(None, 1, 1.0), "--level differs (got 0, want 1; try --level 0, or --overwrite)"),
        (at(0.5, 0, 2.0), at(0.5, 1, 1.0), "--level differs (got 0, want 1; try --level 0, or --overwrite)"),
        (of_slide("a.tif", "1"), of_slide("b.tif", "2"), "the slide is another one (got a.tif, want b.tif; try another"),
        (of_slide("a.tif", "1"), of_slide("a.tif", "2"), "the slide a.tif has changed since (try another --output"),
        (
            of_model("nuclei", "1"), of_model("mine", "2"),
            "the model is another one (got nuclei, want mine; try --model nuclei, or --overwrite)",
        ),
        (of_model("mine", "1"), of_model("nuclei", "2"), "try the --model it was begun with, or --overwrite)"),
        (of_model("x", 20 * "1"), of_model("x", 20 * "2"), "the model x is another one of that name (got sha256 111111111"),
        (
            with_tissue("auto", "1"), with_tissue("none", None),
            "--tissue differs (got auto, want none; try --tissue auto, or --overwrite)",
        ),
        (with_tissue("auto", "1"), with_tissue("auto", "2"), "--tissue auto means other parts of the slide than then (try"),
        (run(probabilities=True), RECORD, "--save-probabilities differs (got yes, want no; try --save-probabilities, or "),
        (RECORD, run(probabilities=True), "(got no, want yes; try no --save-probabilities, or --overwrite)"),
        (run(range=(0.0, 4095.5)), RECORD, "--range differs (got 0,4095.5, want none; try --range 0,4095.5, or --overwrite)"),
        (RECORD, run(range=(0.0, 9.0)), "--range differs (got none, want 0,9; try no --range, or --overwrite)"),
        (run(image="full"), RECORD, "--image differs (got full, want none; try --image full, or --overwrite)"),
        (run(selection=Selection(z=0)), RECORD, "--z differs (got 0, want none; try --z 0, or --overwrite)"),
        (
            run(selection=Selection(mpp=(0.5, 0.25))), run(selection=Selection(mpp=(0.5, 0.5))),
            "--mpp-of-slide differs (got 0.25,0.5, want 0.5; try --mpp-of-slide 0.25,0.5, or --overwrite; of one of several",
        ),
        (run(selection=Selection(on_bad_tile="background")), RECORD, "--on-bad-tile differs (got background, want fail; try"),
        (run(selection=Selection(channels=("a", "b"))), RECORD, "--channel differs (got a,b, want none; try --channel a,b, "),
        (run(format="slideseg-result/0", slide="x"), RECORD, "it is of another version of slideseg (got slideseg-result/0, "),
        (run(shard=256), RECORD, "shard differs (got 256, want 1024; try another --output, or --overwrite)"),
    ],
)  # fmt: skip
def test_what_differs_is_told_in_the_words_of_the_command(there, here, told):
    with pytest.raises(ResultError) as refused:
        check_same_run("x.zarr", there.to_json(), here)
    assert str(refused.value).startswith("x.zarr holds another run's result: ")
    assert told in str(refused.value)


def test_the_same_run_passes_and_what_says_nothing_of_a_run_is_refused():
    check_same_run("x.zarr", RECORD.to_json(), RECORD)
    older = RECORD.to_json()
    del older["run"]["range"], older["run"]["selection"]["z"]
    check_same_run("x.zarr", older, RECORD)
    for said in ({}, {"run": None}, {"run": {}}):
        with pytest.raises(ResultError, match="of another version of slideseg"):
            check_same_run("x.zarr", said, RECORD)
