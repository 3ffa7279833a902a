"""`python -m benchmarks.battery audit | plants | table | page`: the battery on models whose truth is known.

`audit` and `plants` go on where they were stopped; jobs of audits are shared, so that the original and the controls are
paid once. `table` reads the audits and writes docs/battery.md; `page` writes it from the stored numbers alone.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.battery.auditing import run_attack, run_audit
from benchmarks.battery.plants import measure_plants
from benchmarks.battery.results import HONEST, MASKED, Home, collect, write_results
from benchmarks.battery.tables import write_page
from unlearn_audit.api import Profile

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results.json")
PLANTS = Path(__file__).with_name("plants.json")
PAGE = ROOT / "docs" / "battery.md"


def main() -> int:
    """Runs one step."""
    arguments = _arguments()
    home = Home(folder=arguments.out, profile=arguments.profile)
    names = arguments.only or [*MASKED, *HONEST]
    if arguments.step == "plants":
        measure_plants(PLANTS)
        return 0
    if arguments.step in ("table", "page"):
        if arguments.step == "table":
            write_results(RESULTS, collect(home, names))
        write_page(PAGE, RESULTS, PLANTS)
        return 0
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(run_attack, home, attack, names) for attack in arguments.attacks]):
            print(done.result(), flush=True)
    for name in names:
        result = run_audit(home, name, arguments.attacks, home.run(name))
        print(f"{name}: {result.outcome}", flush=True)
    return 0


def _arguments() -> argparse.Namespace:
    from unlearn_audit.api import Attack
    from unlearn_audit.api.plugins import ATTACKS, OWN_DISTRIBUTION, available

    ours = [
        name
        for name, one in available(ATTACKS, Attack).items()
        if one.distribution == OWN_DISTRIBUTION and name != "as-is"
    ]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.battery", description=__doc__)
    parser.add_argument("step", choices=("audit", "plants", "table", "page"))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "battery", help="where audits and jobs lie")
    parser.add_argument("--profile", type=Profile, default=Profile.QUICK)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these organisms alone")
    parser.add_argument("--attacks", nargs="*", default=ours, metavar="NAME", help="these attacks alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
