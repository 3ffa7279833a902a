"""`python -m benchmarks.battery audit | table`: the whole battery on models whose truth is known, then docs/battery.md.

`audit` goes on where it was stopped; cells are shared, so that the original and the controls are paid once.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from benchmarks.battery.results import HONEST, MASKED, Home, collect, write_results
from benchmarks.battery.tables import write_page
from unlearn_audit.api import Profile
from unlearn_audit.audit import audit
from unlearn_audit.demo import demo_spec
from unlearn_audit.plan import make_plan
from unlearn_audit.progress import Lines
from unlearn_audit.result import Result
from unlearn_audit.spec import AuditSpec

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results.json")
PAGE = ROOT / "docs" / "battery.md"

SCALES = {"quantization": {"quantizers": ["nf4", "fp4", "int8", "q4_0", "q8_0"]}}
"""Quantisers that come with the tool; those of extras are left to who has them."""


def spec_of(name: str, profile: Profile, attacks: Sequence[str]) -> AuditSpec:
    """One organism against the original and the retrained models that it is not; with plants, found or not."""
    wanted = {attack: SCALES.get(attack, {}) for attack in ("none", *attacks)}
    update = {"profile": profile, "attacks": wanted, "plant": name == HONEST[0], "seeds": 1}
    return demo_spec(name).model_copy(update=update)


def run_attack(home: Home, attack: str, names: Sequence[str]) -> str:
    """One attack on every organism, for its cells; the audits of all attacks find them done."""
    import torch

    torch.set_num_threads(1)
    for name in names:
        _audit(home, name, [attack], home.parts / attack / name)
    return attack


def _audit(home: Home, name: str, attacks: Sequence[str], out: Path) -> Result:
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    progress = Lines(Console(stderr=True, width=140))
    return audit(make_plan(spec_of(name, home.profile, attacks)), out, progress, cells=home.cells, formats=("json",))


def main() -> int:
    """Runs one step."""
    arguments = _arguments()
    home = Home(folder=arguments.out, profile=arguments.profile)
    names = arguments.only or [*MASKED, *HONEST]
    if arguments.step == "table":
        write_results(RESULTS, collect(home, names))
        write_page(PAGE, RESULTS)
        return 0
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(run_attack, home, attack, names) for attack in arguments.attacks]):
            print(done.result(), flush=True)
    for name in names:
        result = _audit(home, name, arguments.attacks, home.run(name))
        print(f"{name}: {result.outcome}", flush=True)
    return 0


def _arguments() -> argparse.Namespace:
    from unlearn_audit.api import Attack
    from unlearn_audit.plugins import ATTACKS, OWN_DISTRIBUTION, available

    ours = [
        name
        for name, one in available(ATTACKS, Attack).items()
        if one.distribution == OWN_DISTRIBUTION and name != "none"
    ]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.battery", description=__doc__)
    parser.add_argument("step", choices=("audit", "table"))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "battery", help="where audits and cells lie")
    parser.add_argument("--profile", type=Profile, default=Profile.QUICK)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these organisms alone")
    parser.add_argument("--attacks", nargs="*", default=ours, metavar="NAME", help="these attacks alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
