"""`python -m benchmarks.battery measure | plants | table | page`: the battery on models whose truth is known.

`measure` runs every attack alone on every organism, cheap ones first, and goes on where it was stopped: what is done is
not done again, and jobs on the original and the controls are shared. `plants` goes on likewise. `table` reads what was
measured so far and writes docs/battery.md; `page` writes it from the stored numbers alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.battery.auditing import measure, measured
from benchmarks.battery.organisms import Organism, bundled, of_folder
from benchmarks.battery.plants import measure_plants
from benchmarks.battery.results import Home, collect, write_results
from benchmarks.battery.tables import write_page
from unlearn_audit.api import Profile

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results.json")
PLANTS = Path(__file__).with_name("plants.json")
PAGE = ROOT / "docs" / "battery.md"

ATTACKS = (
    *("prefill", "ablation", "quantization", "relearning", "soft-prompt", "steering", "latent", "few-shot", "decoding"),
    *("relearning+quantization", "relearning+prefill", "pruning", "noise", "ablation+relearning", "contrast"),
    *("suffix-transfer", "prompt-search", "trigger", "suffix", "best-of-n", "suffix-answer"),
)
"""In this order. `adapter-removal`, `merge` and `served` need what no organism has: an adapter, a base, a file."""


def main() -> int:
    """Runs one step."""
    arguments = _arguments()
    home = Home(folder=arguments.out, profile=arguments.profile)
    if arguments.step == "plants":
        measure_plants(PLANTS)
        return 0
    organisms = [*bundled(home.folder / "facts"), *(of_folder(arguments.organisms) if arguments.organisms else ())]
    if arguments.step == "measure":
        _measure(home, organisms, arguments.attacks, arguments.only)
        return 0
    if arguments.step == "table":
        honest = [one.name for one in organisms if one.honest]
        write_results(RESULTS, collect(home.profile, measured(home), honest))
    write_page(PAGE, RESULTS, PLANTS)
    return 0


def _measure(home: Home, organisms: list[Organism], attacks: list[str], only: list[str]) -> None:
    import torch

    torch.set_num_threads(1)
    for attack in attacks:
        for organism in organisms:
            if not only or organism.name in only:
                print(measure(home, organism, attack), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.battery", description=__doc__)
    parser.add_argument("step", choices=("measure", "plants", "table", "page"))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "battery", help="where audits and jobs lie")
    parser.add_argument("--profile", type=Profile, default=Profile.QUICK)
    parser.add_argument("--organisms", type=Path, default=None, help="a folder with an organisms.json, besides ours")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these organisms alone")
    parser.add_argument("--attacks", nargs="*", default=list(ATTACKS), metavar="NAME", help="these attacks alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
