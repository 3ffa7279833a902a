"""`python -m benchmarks.validity STEP`: who is wrong how often, step by step; each goes on where it was stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.validity.auditing.entering import enter_command, enter_published
from benchmarks.validity.auditing.sliced import run_slice
from benchmarks.validity.auditing.tool import Battery, audit_all
from benchmarks.validity.making.building import build_all
from benchmarks.validity.page import board, tables
from benchmarks.validity.page.figure import figure
from benchmarks.validity.page.text import put_between
from benchmarks.validity.paths import ROOT, Home
from benchmarks.validity.people.worlds import WORLDS
from benchmarks.validity.truth.board import lines
from benchmarks.validity.truth.collecting import collect
from benchmarks.validity.truth.readout import read_all
from benchmarks.validity.truth.results import Results, read_results, write_results
from benchmarks.validity.truth.retraining import retrain_all

RESULTS = Path(__file__).with_name("results.json")
FIRST_RESULTS = Path(__file__).with_name("first_results.json")
PAGE, FIGURE = ROOT / "docs" / "validity.md", ROOT / "docs" / "validity.svg"

STEPS = {
    "build": "make the organisms",
    "readout": "the first oracle",
    "retrain": "the second oracle; hours",
    "audit": "this tool on every organism, by --battery",
    "rivals": "the criteria that others publish",
    "slice": "build, audit and rivals for the first slice, in one process",
    "enter": "an auditor of yours: --name and --command",
    "table": "results.json, and from it tables and figure",
    "page": "tables and figure from results.json alone",
}


def main() -> int:
    """Runs one step."""
    given = _arguments()
    home = Home(folder=given.out)
    worlds = [world for world in WORLDS if not given.worlds or world.name in given.worlds]
    match given.step:
        case "build":
            build_all(home, worlds, workers=given.workers, only=given.only)
        case "readout":
            read_all(home, worlds, workers=given.workers)
        case "retrain":
            retrain_all(home, worlds, workers=given.workers, only=given.only)
        case "audit":
            audit_all(home, worlds, Battery(given.battery), workers=given.workers, only=given.only)
        case "rivals":
            enter_published(home, worlds, workers=given.workers, only=given.only)
        case "slice":
            run_slice(home, worlds, Battery(given.battery))
        case "enter":
            enter_command(home, worlds, given.name, given.command, most_seconds=given.timeout, only=given.only)
        case "table":
            write_results(RESULTS, collect(home, WORLDS))
            write_page()
        case "page":
            write_page()
    return 0


def write_page() -> None:
    """The tables and the figure, from the files of results alone."""
    results, first = read_results(RESULTS), read_results(FIRST_RESULTS)
    names = [world.name for world in WORLDS]
    put_between(PAGE, board.START, board.END, board.board(results, names))
    put_between(PAGE, tables.START, tables.END, _detail(results))
    put_between(PAGE, *tables.FIRST, tables.tables(first.decided["quick"], first.decided["harder"]))
    FIGURE.write_text(figure(lines(results.by_auditor(), names)), encoding="utf-8")


def _detail(results: Results) -> str:
    harder = [*results.decided.get(Battery.STANDARD, ()), *results.decided.get(Battery.DEEP, ())]
    return tables.tables(results.decided.get(Battery.QUICK, ()), harder)


def _arguments() -> argparse.Namespace:
    epilog = "steps: " + "; ".join(f"{name}: {what}" for name, what in STEPS.items())
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validity", description=__doc__, epilog=epilog)
    parser.add_argument("step", choices=tuple(STEPS))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "validity", help="where all that is made lies")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--worlds", nargs="*", default=[], metavar="WORLD", help="these worlds alone")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these organisms alone")
    parser.add_argument("--battery", choices=tuple(Battery), default=Battery.QUICK, help="of this tool")
    parser.add_argument("--name", help="of the auditor's row")
    parser.add_argument("--command", help="with {request} and {answer} where the paths of the two files stand")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds that a command has for one model")
    given = parser.parse_args()
    if given.step == "enter" and not (given.name and given.command):
        parser.error("enter: expected --name and --command")
    return given


if __name__ == "__main__":
    sys.exit(main())
