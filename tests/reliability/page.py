"""Write the table of docs/reliability.md from what `make chaos` measured, so that no figure in it is typed by hand.

python -m tests.reliability.page
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
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
    """How it is tried where it is not a file of tests/reliability."""


def total(records: Iterable[dict[str, Any]], name: str) -> int:
    """Add up a figure."""
    return sum(one.get(name, 0) for one in records)


def most(records: Iterable[dict[str, Any]], name: str) -> float:
    """Return the largest of a figure."""
    return max((one[name] for one in records if one.get(name) is not None), default=0)


def drivers(found: Records) -> str:
    kinds = {one["kind"]: one for one in found}
    said = [f"{kind}: {one['identical']}/{one['runs']} identical" for kind, one in kinds.items()]
    gone = most(found, "seconds_until_gone")
    left = f"{total(found, 'survivors')} processes left after {gone:.0f} s at most"
    return "; ".join([*said, f"{total(found, 'redone_beyond_missing')} shards redone beyond the missing", left])


def buckets(found: Records) -> str:
    runs = [one for one in found if one["what"] in ("predict", "train")]
    at_20 = most([one for one in runs if one.get("faults") == "503 20 %"], "factor")
    same = f"{total(runs, 'identical')}/{total(runs, 'runs')} runs identical"
    races = next(
        (f"; {one['races']} races for a lease through lost replies, 0 held by two" for one in found if "races" in one), ""
    )
    return f"{same}; at 20 % of 503 at most {at_20:.1f} times the time{races}"


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
        lambda f: (
            f"{total(f, 'losses')} losses, {total(f, 'identical')} identical; "
            f"longest time without a shard {most(f, 'longest_stall')} s"
        ),
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
        "R16",
        "strangers ask every socket of a run",
        "0 answered, token 0600",
        "",
        lambda f: (
            f"{total(f, 'unauthenticated_2xx')} of {total(f, 'requests')} requests answered; "
            f"{total(f, 'off_loopback')} sockets of Ray's off loopback"
        ),
    ),
)


def table(found: dict[str, Records]) -> str:
    """Return the table in Markdown; a scenario without figures says how it is tried."""
    lines = ["| | what happens | wanted | without the guard | here |", "|---|---|---|---|---|"]
    for row in ROWS:
        records = found.get(row.number, [])
        here = row.say(records) if records else "not run"
        unguarded = plain_rot(records) if row.number == "R12" else row.unguarded
        lines.append(f"| {row.number} | {row.what} | {row.target} | {unguarded} | {here} |")
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
