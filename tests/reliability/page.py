"""Write the table of docs/reliability.md from what `make chaos` measured, so that no figure in it is typed by hand.

python -m tests.reliability.page
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FIGURES, PAGE = ROOT / "benchmarks" / "results" / "reliability.jsonl", ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->"
Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    number: str
    what: str
    target: str
    unguarded: str
    """What happens without the guard: measured beside ours, or by others as the page says."""
    say: Callable[[Records], str]
    """Puts our figures in words."""
    command: str = ""
    """What measures it where that is not a file of tests/reliability."""


def total(records: Records, name: str) -> int:
    """Add up a figure; a name that no record has is a mistake here."""
    return sum(_all(records, name))


def most(records: Records, name: str) -> float:
    """Return the largest of a figure."""
    return max(_all(records, name))


def _all(records: Records, name: str) -> list[Any]:
    found = [one[name] for one in records if name in one]
    if not found:
        raise KeyError(name)
    return found


def measured(name: str) -> dict[str, Any]:
    """Return what a benchmark has measured."""
    found: dict[str, Any] = json.loads((FIGURES.parent / f"{name}.json").read_text(encoding="utf-8"))
    return found


def drivers(found: Records) -> str:
    kinds = {one["kind"]: one for one in found}
    said = [f"{kind}: {one['identical']}/{one['runs']} identical" for kind, one in kinds.items()]
    gone = most(found, "seconds_until_gone")
    left = f"{total(found, 'survivors')} processes left after {gone:.0f} s at most"
    return "; ".join([*said, f"{total(found, 'redone_beyond_missing')} shards redone beyond the missing", left])


def nodes(found: Records) -> str:
    lost = f"{total(found, 'losses')} losses, {total(found, 'identical')} identical; "
    cut = sum(one.get("cuts", 0) for one in found)  # none where no network namespaces may be made
    links = f"; {total(found, 'cut_identical')} of {cut} links cut and mended identical" if cut else ""
    return f"{lost}longest time without a shard {most(found, 'longest_stall')} s{links}"


def buckets(found: Records) -> str:
    runs = [one for one in found if one["what"] in ("predict", "train")]
    at_20 = most([one for one in runs if one.get("faults") == "503 20 %"], "factor")
    same = f"{total(runs, 'identical')}/{total(runs, 'runs')} runs identical"
    races = next(
        (f"; {one['races']} races for a lease through lost replies, 0 held by two" for one in found if "races" in one), ""
    )
    return f"{same}; at 20 % of 503 at most {at_20:.1f} times the time{races}"


def mutants(_: Records) -> str:
    ours = measured("fuzz")
    unseen = f"{ours['verdicts']['pixels']:,} with other pixels in the changed tile, of codecs without a checksum"
    return f"{ours['mutants']:,} files, 0 crashes or hangs, {unseen}; {ours['most_seconds']} s, {ours['most_mebibytes']} MiB"


def cuts(_: Records) -> str:
    ours = measured("hostile")["cuts"]["slideseg"]
    late = f"{ours['refused when read']} when read, all of them chunks of a Zarr"
    return f"{ours['cuts']:,} cuts: {ours['refused when opened']:,} refused when opened, {late}; {ours['right']} not needed"


def soak(found: Records) -> str:
    last = found[-1]
    held, minutes = last["mebibytes"], last["seconds"] / 60
    same = f"{last['identical']} of {last['slides']} slides identical in {minutes:.0f} minutes"
    broken = f"after {last['kills']} kills and {last['losses']} losses"
    memory = f"{last['mebibytes_an_hour']} MiB an hour ({held[len(held) // 2]} MiB at half time, {held[-1]} at the end)"
    return f"{same}, {broken}; {memory}"


def rot(found: Records) -> str:
    ours = [one for one in found if not one["damage"].startswith("baseline")]
    silent = "; ".join(f"{one['damage']}: {one['silent']}/{one['trials']} silent" for one in ours if "silent" in one)
    wrong = "; ".join(f"{one['damage']}: {one['wrong']}/{one['trials']} wrong" for one in ours if "wrong" in one)
    return "; ".join(part for part in (silent, wrong) if part)


def plain_rot(found: Records) -> str:
    """Say what plain Zarr does with the same damage."""
    plain = [one for one in found if one["damage"].startswith("baseline")]
    return "; ".join(f"{one['damage'].removeprefix('baseline: ')}: {one['silent']}/{one['trials']} silent" for one in plain)


ROWS = (
    Row(
        "R1",
        "workers killed while they work",
        "100 kills, all identical",
        "Ray's ActorPool ends the job at the first",
        lambda f: (
            f"{total(f, 'kills')} kills in {total(f, 'runs')} runs, {total(f, 'identical')} identical; "
            f"{most(f, 'seconds_a_kill')} s a kill"
        ),
    ),
    Row("R2", "the command killed, and killed again as it goes on", "20 and 10, all identical", "all is begun anew", drivers),
    Row(
        "R3",
        "machines vanish, others join",
        "20 losses, all identical",
        "Ray's ActorPool ends the job",
        nodes,
    ),
    Row(
        "R4",
        "a shard that kills whoever touches it",
        "3 deaths, then named; the rest done",
        "Ray's own retries: without end, or the job",
        lambda f: (
            f"{total(f, 'poisoned')} of {total(f, 'poisoned')} named after {most(f, 'deaths_each'):.0f} deaths, 0 others lost"
        ),
    ),
    Row(
        "R5",
        "the disk fills",
        "one line, nothing torn",
        "",
        lambda f: f"{total(f, 'told')} of {total(f, 'runs')} told; {total(f, 'lost')} shards lost",
    ),
    Row("R6", "a bucket that fails", "100 %, at most twice the time at 20 % of 503", "s3fs: 5.1 times (one run)", buckets),
    Row(
        "R7",
        "files with changed bits, bytes and parts",
        "10,000, one kind of error, 0 crashes or hangs, at most 5 s and 1 GiB",
        "tifffile: 9 kinds of error, silently wrong or over 1 GiB in 54 of 212 files",
        mutants,
        "python -m tests.fuzz",
    ),
    Row(
        "R8",
        "slides that are cut off",
        "refused before anything is computed",
        "tifffile: 108 of 7,800 refused when opened, 176 silently wrong",
        cuts,
        "python benchmarks/hostile.py",
    ),
    Row(
        "R9",
        "a GPU's memory that does not hold a batch",
        "ends with a batch of one, identical",
        "the run ends",
        lambda f: f"{total(f, 'identical')} of {total(f, 'runs')} identical, batches down to {most(f, 'smallest_batch'):.0f}",
    ),
    Row(
        "R10",
        "checkpoints and model files made to harm",
        "all refused, 0 side effects",
        "`pickle.load`: its code runs",
        lambda f: f"{total(f, 'refused')} of {total(f, 'kinds')} refused, {total(f, 'side_effects')} side effects",
    ),
    Row(
        "R11",
        "two commands on one output",
        "0 lost in 50",
        "18 of 256 tiles lost by two writers of one shard (one run)",
        lambda f: f"{total(f, 'lost')} lost in {total(f, 'races')} races, {total(f, 'turned_away')} turned away",
    ),
    Row("R12", "bits, files and shards that change on the disk", "0 silent", "", rot),
    Row(
        "R13",
        "somebody reads while it is written",
        "0 torn",
        "",
        lambda f: f"{total(f, 'torn')} torn of {total(f, 'looks'):,} looks in {total(f, 'runs')} runs",
    ),
    Row(
        "R14",
        "mishaps in any order",
        "all identical",
        "",
        lambda f: f"{total(f, 'identical')} of {total(f, 'runs')} identical after {total(f, 'steps')} mishaps",
    ),
    Row(
        "R15",
        "training stopped, killed, its workers killed",
        "the same weights",
        "the epochs are done again, or others",
        lambda f: f"{total(f, 'identical')} of {total(f, 'runs')} with the same bytes, after {total(f, 'kills')} kills",
    ),
    Row(
        "R16",
        "strangers ask every socket of a run",
        "0 answered, token 0600",
        "",
        lambda f: (
            f"{total(f, 'unauthenticated_2xx')} of {total(f, 'requests')} requests answered; "
            f"{total(f, 'off_loopback')} sockets of Ray's off loopback"
        ),
    ),
    Row(
        "R17",
        "our own code does what harms: unpickles, evaluates, starts shells",
        "0",
        "",
        lambda f: f"{total(f, 'found')} of {total(f, 'files')} modules",
        "pytest tests/unit/test_security.py",
    ),
    Row(
        "R18",
        "all that for long: workers, machines, a failing bucket, slide after slide",
        "identical, less than 10 MiB an hour",
        "",
        soak,
    ),
)


ELSEWHERE = ("R7", "R8")
"""Measured by benchmarks, whose results are read."""


def table(found: dict[str, Records]) -> str:
    """Return the table in Markdown; a scenario without figures says how it is tried."""
    lines = ["| | what happens | wanted | without the guard | here |", "|---|---|---|---|---|"]
    for row in ROWS:
        records = found.get(row.number, [])
        here = row.say(records) if records or row.number in ELSEWHERE else "not run"
        unguarded = plain_rot(records) if row.number == "R12" and records else row.unguarded
        by = f" (`{row.command}`)" if row.command else ""
        lines.append(f"| {row.number} | {row.what} | {row.target} | {unguarded} | {here}{by} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put the table into the page."""
    found: dict[str, Records] = defaultdict(list)
    for line in FIGURES.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        found[record.pop("scenario")].append(record)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
