"""The table of docs/performance.md, from the measurements."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.rivals.common import RESULTS

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- rivals: written by benchmarks/rivals -->", "<!-- end of rivals -->"
BESIDE = {
    "training": "PEFT and transformers' `Trainer`",
    "answers": "lm-evaluation-harness (`transformers.generate`)",
    "TOFU's figures": "open-unlearning's evaluation",
}


def write() -> None:
    """Puts what was measured between the marks of the page."""
    rows: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    new = re.sub(f"(?<={BEGIN}\n).*(?={END})", lambda _: f"\n{_table(rows)}\n\n", text, flags=re.DOTALL)
    PAGE.write_text(new, encoding="utf-8")


def _table(rows: dict[str, Any]) -> str:
    lines = ["| work | next to | ours | theirs | ratio | the same |", "|---|---|---:|---:|---:|---|"]
    for name, row in rows.items():
        beside = next(text for start, text in BESIDE.items() if name.startswith(start))
        lines.append(
            f"| {name} | {beside} | {row['ours']:.2f} | {row['theirs']:.2f} ({row['unit']}) "
            f"| {row['theirs'] / row['ours']:.1f} | {_same(row)} |"
        )
    machines = sorted({row["processor"] for row in rows.values()})
    return "\n".join([*lines, "", f"Processor seconds of one thread on {', '.join(machines)}."])


def _same(row: dict[str, Any]) -> str:
    if "gaps" in row:
        return f"values to {max(row['gaps'].values()):.1g}"
    if "same_text" in row:
        return f"{row['same_text']} texts are the same"
    return f"loss at the last step {row['our_losses'][-1]:.3f} and {row['their_losses'][-1]:.3f}"
