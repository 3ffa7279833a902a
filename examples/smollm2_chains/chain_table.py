"""Forms by hops, from an audit of the example: `python chain_table.py RUN/result.json > table.md`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, TypeAlias

Cell: TypeAlias = dict[str, Any]
PROBES = ("recall", "multihop", "multihop-choice", "stepwise")


def cells_of(result: dict[str, Any]) -> list[tuple[str, str, Cell]]:
    """Probe, measure and cell of everything that was asked, in the order of the probes."""
    found = [
        (finding["probe"], finding["measure"], cell)
        for finding in result["verdict"]["findings"]
        if finding["attack"] in ("as-is", "none") and not finding["any_of"] and finding["probe"] in PROBES
        for cell in finding["cells"]
    ]
    return sorted(found, key=lambda one: (PROBES.index(one[0]), one[1]))


def row(probe: str, measure: str, cell: Cell) -> str:
    """A line of the table."""
    shares = (cell["original"], cell["unlearned"], max(cell["controls"].values(), default=None))
    excess = cell["excess"]
    over = "-" if excess is None else f"{excess['estimate']:+.2f} [{excess['lower']:+.2f}, {excess['upper']:+.2f}]"
    told = " | ".join((*map(share, shares), over))
    return f"| `{probe}` | {measure} | {cell['variant']} | {told} | {cell['subjects']} |"


def share(value: float | None) -> str:
    """A mean score for people."""
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    args = parser.parse_args()
    result = json.loads(args.result.read_text(encoding="utf-8"))
    print("| probe | measure | asked | original | checkpoint | control | checkpoint over control | subjects |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(row(*one) for one in cells_of(result)))


if __name__ == "__main__":
    main()
