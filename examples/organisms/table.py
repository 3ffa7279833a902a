"""The table of measured numbers in the README, drawn from `organisms.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

START, END = "<!-- numbers: written by build.py -->", "<!-- end of numbers -->"
COLUMNS = (
    ("float32", "forget"),
    ("float32", "forget_paraphrased"),
    ("float32", "retain"),
    ("float32", "holdout"),
    ("nf4", "forget"),
    ("nf4", "retain"),
    ("fp4", "forget"),
    ("fp4", "retain"),
)


def write_table(readme: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Replace what stands between the two markers of the README."""
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{START}\n{_table(entries)}\n{END}{after}", encoding="utf-8")


def _table(entries: Sequence[dict[str, Any]]) -> str:
    titles = [f"{split.replace('_', ', ')} ({precision})" for precision, split in COLUMNS]
    lines = [_row(["organism", *titles]), _row(["---", *("---:" for _ in COLUMNS)])]
    for entry in entries:
        numbers = [f"{entry['hits'][precision][split]:.3f}" for precision, split in COLUMNS]
        lines.append(_row([f"`{entry['name']}`", *numbers]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
