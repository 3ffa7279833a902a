"""docs/relearning.md, from the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean, stdev

from benchmarks.relearning.running import FRUGAL_STEPS, STEPS, Run

PAGE = Path(__file__).parents[2] / "docs" / "relearning.md"
SEEDS = {"lora 3e-3": 5, "full 1e-3": 3}
SPREAD = [
    Run(organism=organism, arm=arm, seed=seed)
    for arm, seeds in SEEDS.items()
    for organism in ("npo", "gradient-difference", "retrained-1")
    for seed in range(seeds)
]
FRUGAL = [
    Run(organism=organism, arm=arm, seed=0, steps=FRUGAL_STEPS)
    for organism in ("refusal", "npo", "retrained-1")
    for arm in ("full 1e-3", "full 1e-3, frugal")
]
HEAD = """<!-- Written by `python -m benchmarks.relearning table`. Do not edit. -->

# Relearning on the bundled organisms

32 subjects to forget, in-domain, two folds, batches of 8. A percentage is the share of the forget questions whose
answer is the model's first choice, token for token, each asked of the model that never saw its subject.

    python -m benchmarks.relearning run     # what is not in results.json yet
    python -m benchmarks.relearning table

## From seed to seed

A seed draws the folds, the batches and the adapter. `sd` is the standard deviation between seeds, in points.

| organism | arm | seeds | after 20 steps: mean, sd, range | 40 steps | 80 steps |
|---|---|---|---|---|---|
"""
NEXT = """
## Frugally beside plainly

All weights at 1e-3, one seed: in float32, and as [memory.md](memory.md) describes.

| organism | way | 20 steps | 40 steps |
|---|---|---|---|
"""

Rows = Mapping[str, Mapping[str, float]]


def write(rows: Rows) -> None:
    """Writes the page from what is there."""
    missing = [run.name for run in (*SPREAD, *FRUGAL) if run.name not in rows]
    told = f"\n{len(missing)} runs are not there yet: {'; '.join(missing)}.\n" if missing else ""
    tables = HEAD + "\n".join(_spread(rows)) + "\n" + NEXT + "\n".join(_frugal(rows)) + "\n"
    PAGE.write_text(tables + told, encoding="utf-8")


def _spread(rows: Rows) -> Iterator[str]:
    for arm in SEEDS:
        for organism in dict.fromkeys(run.organism for run in SPREAD):
            runs = [run.name for run in SPREAD if (run.organism, run.arm) == (organism, arm) and run.name in rows]
            if len(runs) > 1:
                cells = [_between([rows[name][str(step)] for name in runs]) for step in STEPS]
                yield f"| `{organism}` | {arm} | {len(runs)} | {' | '.join(cells)} |"


def _between(shares: list[float]) -> str:
    return f"{mean(shares):.0%}, {100 * stdev(shares):.1f}, {min(shares):.0%} to {max(shares):.0%}"


def _frugal(rows: Rows) -> Iterator[str]:
    for run in FRUGAL:
        if run.name in rows:
            way = "frugal" if run.arm.endswith("frugal") else "plain"
            cells = " | ".join(f"{rows[run.name][str(step)]:.1%}" for step in FRUGAL_STEPS)
            yield f"| `{run.organism}` | {way} | {cells} |"
