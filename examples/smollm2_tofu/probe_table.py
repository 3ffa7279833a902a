"""What each probe saw, from audits of one original: `python probe_table.py NPO=RUN/result.json ... > table.md`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, TypeAlias

Result: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[str, str, str]


def cells_of(result: Result) -> dict[Place, dict[str, Any]]:
    """The un-attacked cells by probe, measure and way of asking."""
    return {
        (finding["probe"], finding["measure"], cell["variant"]): cell
        for finding in result["verdict"]["findings"]
        if finding["attack"] == "as-is" and not finding["any_of"]
        for cell in finding["cells"]
    }


def score_rows(results: dict[str, Result]) -> list[str]:
    """A row for each way of asking: the mean score of every model."""
    audits = {name: cells_of(result) for name, result in results.items()}
    first = next(iter(audits.values()))
    rows = []
    for place in sorted(set(first).intersection(*audits.values())):
        cell = first[place]
        shares = [cell["original"], *(audit[place]["unlearned"] for audit in audits.values())]
        shares.append(max(cell["controls"].values()))
        probe, measure, variant = place
        rows.append(f"| `{probe}` | {measure} | {variant} | {' | '.join(map(score, shares))} | {cell['subjects']} |")
    return rows


def score(value: float | None) -> str:
    """A mean score for people."""
    return "-" if value is None else f"{value:.2f}"


def comparison_rows(name: str, result: Result, keep: frozenset[str]) -> list[str]:
    """A row for each number over whole models."""
    return [
        f"| `{found['name']}` | {name} | {one['measure']} | {one['variant']} | "
        f"{' / '.join(one['between'])} | {spanned(one)} |"
        for found in result["verdict"]["comparisons"]
        for one in found["readings"]
        if not keep or found["name"] in keep
    ]


def spanned(reading: dict[str, Any]) -> str:
    """The estimate with its interval, and its null where it has one."""
    if reading["estimate"] is None:
        return str(reading["missing"])
    text = f"{reading['estimate']:.2f} [{reading['lower']:.2f}, {reading['upper']:.2f}]"
    return text + (f", null {reading['null'][0]:.2f} to {reading['null'][1]:.2f}" if reading["null"] else "")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+", metavar="NAME=RESULT", help="an audit of each unlearned model")
    parser.add_argument("--comparison", action="append", default=[], help="only these comparisons; else all")
    args = parser.parse_args()
    paths = dict(one.split("=", 1) for one in args.results)
    results = {name: json.loads(Path(path).read_text(encoding="utf-8")) for name, path in paths.items()}
    print(f"| probe | measure | asked | original | {' | '.join(results)} | retrained | subjects |")
    print("|---|---|---|" + "---|" * (len(results) + 3))
    print("\n".join(score_rows(results)))
    print("\n| comparison | audit of | measure | where | between | estimate, interval |\n|---|---|---|---|---|---|")
    for name, result in results.items():
        print("\n".join(comparison_rows(name, result, frozenset(args.comparison))))


if __name__ == "__main__":
    main()
