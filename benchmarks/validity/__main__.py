"""`python -m benchmarks.validity build | oracle | audit | harder | table`: the meta-evaluation, step by step."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.validity.auditing.tool import audit_all, try_harder
from benchmarks.validity.making.building import build_all
from benchmarks.validity.page.tables import write_page
from benchmarks.validity.paths import ROOT, Battery, Home
from benchmarks.validity.people.worlds import WORLDS
from benchmarks.validity.truth.collecting import collect
from benchmarks.validity.truth.oracle import read_all
from benchmarks.validity.truth.results import write_results

RESULTS = Path(__file__).with_name("results.json")
PAGE = ROOT / "docs" / "validity.md"


def main() -> int:
    """Runs one step; each goes on where it was stopped."""
    arguments = _arguments()
    home = Home(folder=arguments.out)
    worlds = [world for world in WORLDS if not arguments.worlds or world.name in arguments.worlds]
    match arguments.step:
        case "build":
            build_all(home, worlds, workers=arguments.workers, only=arguments.only)
        case "oracle":
            read_all(home, worlds, workers=arguments.workers)
        case "audit":
            audit_all(home, worlds, workers=arguments.workers, only=arguments.only)
        case "harder":
            try_harder(home, worlds, workers=arguments.workers)
        case "table":
            decided = collect(home, worlds, Battery.QUICK, workers=arguments.workers)
            harder = collect(home, worlds, Battery.HARDER, workers=arguments.workers)
            write_results(RESULTS, decided, harder)
            write_page(PAGE, decided, harder)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validity", description=__doc__)
    parser.add_argument("step", choices=("build", "oracle", "audit", "harder", "table"))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "validity", help="where all that is made lies")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--worlds", nargs="*", default=[], metavar="WORLD", help="these worlds alone")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these organisms alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
