"""What each attack brought back, from a finished audit: `python attack_table.py RUN/result.json > table.md`."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

FINDING = "recall.hit"


def percent(share: float | None) -> str:
    """A share for people."""
    return "-" if share is None else f"{100 * share:.0f} %"


def seconds_of(result: dict[str, Any]) -> dict[str, float]:
    """Attack -> seconds on the unlearned model, sham included."""
    spent: dict[str, float] = defaultdict(float)
    for job in result["jobs"]:
        if job["role"] == "unlearned":
            spent[job["attack"]] += job["seconds"]
    return spent


def row(finding: dict[str, Any], seconds: float) -> str:
    """One attack at its worst dose."""
    worst = finding["worst"]
    if worst is None:
        return f"| `{finding['attack']}` | - | - | - | - | - | {finding['status']}: {finding['reason']} | - |"
    shares = (worst["original"], worst["unlearned"], max(worst["controls"].values()))
    excess = worst["excess"]
    beyond = f"{100 * excess['estimate']:+.0f} [{100 * excess['lower']:+.0f}, {100 * excess['upper']:+.0f}]"
    return (
        f"| `{finding['attack']}` | {worst['dose']} | {' | '.join(map(percent, shares))} | {beyond} | "
        f"{finding['status']} | {seconds:.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    result = json.loads(parser.parse_args().result.read_text(encoding="utf-8"))
    print("| attack | worst dose | original | unlearned | retrained | points beyond the margin | finding | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    spent = seconds_of(result)
    for finding in result["verdict"]["findings"]:
        if f"{finding['probe']}.{finding['measure']}" == FINDING and not finding["any_of"]:
            print(row(finding, spent[finding["attack"]]))


if __name__ == "__main__":
    main()
