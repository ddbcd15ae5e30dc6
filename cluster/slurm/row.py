"""Rows of a table of slides, for predict-array.sbatch. It needs nothing but Python.

    row.py slides.csv      prints how many slides there are
    row.py slides.csv 7    prints what `slideseg predict` is given for the seventh, each word ended by a zero byte

The table's first line names its columns: `path`, and options of predict by their names, such as `output` or `mpp`. An empty
cell gives nothing; `yes` and `no` are for options without a value.
"""

import csv
import sys

YES, NO = ("yes", "true"), ("no", "false")


def main(table: str, number: str = "") -> str:
    """Return what is printed."""
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, strict=True))
    if not rows or not rows[0].get("path"):
        sys.exit(f"error: {table} names no slides (want a first line with the column path, and a line for each slide)")
    if not number:
        return f"{len(rows)}\n"
    if not 0 < int(number) <= len(rows):
        sys.exit(f"error: {table} has no row {number} (got {len(rows)} rows)")
    return "".join(f"{word}\0" for word in words_of(rows[int(number) - 1]))


def words_of(row: dict[str, str]) -> list[str]:
    """Return the options and then the slide, which may begin with a dash."""
    if None in row or None in row.values():
        sys.exit(f"error: a row has as many cells as there are columns (got {row}; try quotes around cells with commas)")
    cells = {name.strip().replace("_", "-"): cell.strip() for name, cell in row.items() if name != "path"}
    options = [word_of(name, cell) for name, cell in cells.items() if cell]
    return [*options, "--", row["path"]]


def word_of(option: str, cell: str) -> str:
    """Return one option as it is typed."""
    if cell.lower() in YES:
        return f"--{option}"
    if cell.lower() in NO:
        return f"--no-{option}"
    return f"--{option}={cell}"


if __name__ == "__main__":
    sys.stdout.write(main(*sys.argv[1:3]))
