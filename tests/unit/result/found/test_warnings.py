"""What whoever uses a result should know of it."""

from dataclasses import replace

from slideseg.result.found.warnings import said_of
from slideseg.result.record import BadTile, RunRecord
from slideseg.space.box import Box
from slideseg.testing.records import made_record


def test_what_was_said_of_the_slide_stays_with_the_result():
    record = replace(made_record(), notes=("pixels are 0.1", "it is dark"))
    assert said_of(RunRecord.from_json(record.to_json())) == ("pixels are 0.1", "it is dark")
    assert said_of(made_record()) == ()


def test_a_result_of_before_there_were_notes_has_none():
    said = made_record().to_json()
    del said["notes"]
    assert RunRecord.from_json(said).notes == ()


def test_a_few_damaged_tiles_are_named():
    tiles = tuple(BadTile(0, Box(0, 256 * n, 256, 256 * n + 256)) for n in range(5))
    (said,) = said_of(replace(made_record(), damaged_tiles=tiles))
    assert said.startswith(
        "5 damaged tiles count as not scanned: rows 0 to 256, columns 0 to 256; rows 0 to 256, columns 256 to"
    )
    assert said.endswith("columns 512 to 768 and 2 more")
