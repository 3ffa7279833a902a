"""Runs the simulations and writes their tables.

    python -m benchmarks.simulation coverage            run what is not yet in results/, then write docs/statistics.md
    python -m benchmarks.simulation coverage --quick    a small part, in a minute, into a temporary directory
    python -m benchmarks.simulation all
    python -m benchmarks.simulation all --tables        tables alone, from results/

A killed run goes on where it was. Every setting has its own seed, so that a row does not depend on the others.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from types import ModuleType

from benchmarks.simulation import coverage, errors, fail_power, finite, groups, lists, pass_rates, scores
from benchmarks.simulation.store import RESULTS, Store, write_table

COMMANDS: dict[str, ModuleType] = {
    "coverage": coverage,
    "fail-power": fail_power,
    "errors": errors,
    "finite": finite,
    "lists": lists,
    "scores": scores,
    "groups": groups,
    "pass-rates": pass_rates,
}


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("name", choices=[*COMMANDS, "all"])
    parser.add_argument("--quick", action="store_true", help="a small part, kept nowhere")
    parser.add_argument("--tables", action="store_true", help="no runs: tables from what is there")
    options = parser.parse_args()
    for name in COMMANDS if options.name == "all" else [options.name]:
        _run(name, COMMANDS[name], quick=options.quick, runs=not options.tables)


def _run(name: str, command: ModuleType, *, quick: bool, runs: bool) -> None:
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(path=(Path(scratch) if quick else RESULTS) / f"{name}.csv")
        if runs:
            command.run(store, quick=quick)
        for title, table in command.tables(store.frame()).items():
            print(f"\n{title}\n{table}")
            if not quick:
                write_table(title, table)
    print(f"\n{name}: {time.process_time() - begun:.0f} s of CPU")


if __name__ == "__main__":
    main()
