"""Runs relearning on the bundled organisms, and writes docs/relearning.md.

    python -m benchmarks.relearning run     # what is not in results.json yet
    python -m benchmarks.relearning table

`run` goes on where it was stopped; about ten minutes of one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.relearning.page import FRUGAL, SPREAD, write
from benchmarks.relearning.running import recovered

RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Runs, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("run", "table"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for run in (*FRUGAL, *SPREAD) if asked.step == "run" else ():
        if run.name not in rows:
            rows[run.name] = recovered(run)
            RESULTS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            print(run.name, rows[run.name], flush=True)
    write(rows)


if __name__ == "__main__":
    main()
