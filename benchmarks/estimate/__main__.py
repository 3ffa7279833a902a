"""Plans and runs each audit in a process of its own, and writes down both times.

`python -m benchmarks.estimate --out DIR`: goes on where it was stopped; `--keep` writes `results.json` here, and
`--page` the table of `docs/performance.md`. Both times are the processor's, in one thread: of the plan what it said,
of the run what its process used from the first job to the verdict, reports left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.estimate.audits import Kind, kinds

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- estimates: written by benchmarks/estimate -->", "<!-- end of estimates -->"
ALLOWED = 1.5


def one(kind: Kind, out: Path) -> dict[str, Any]:
    """What was planned and what was used, in seconds, as a whole and by attack."""
    import torch
    from rich.console import Console

    from unlearn_audit.audit.hops import audit
    from unlearn_audit.audit.telling.progress import Quiet
    from unlearn_audit.plan.forecasting.forecast import forecast
    from unlearn_audit.plan.make import make_plan

    torch.set_num_threads(1)
    live = make_plan(kind.spec())
    begun = time.process_time()
    planned = forecast(live)
    took = time.process_time() - begun
    shutil.rmtree(out, ignore_errors=True)
    begun = time.process_time()
    result = audit(live, out, Quiet(Console(stderr=True)), formats=())
    used = time.process_time() - begun
    by_attack: dict[str, float] = {}
    for job in result.jobs:
        spent = job.cost.processor_seconds if job.cost is not None else 0.0
        by_attack[job.attack] = by_attack.get(job.attack, 0.0) + spent
    shutil.rmtree(out)
    return {
        "about": kind.about,
        "jobs": len(result.jobs),
        "without_evidence": sum(job.status != "done" for job in result.jobs),
        "planning_seconds": round(took, 2),
        "planned": round(planned.seconds, 2),
        "used": round(used, 2),
        "planned_by_attack": {name: round(seconds, 2) for name, seconds in planned.attacks.items()},
        "used_by_attack": {name: round(seconds, 2) for name, seconds in by_attack.items()},
    }


def factor(found: dict[str, Any]) -> float:
    """By how much the plan was wrong, in whichever direction: 1 for not at all."""
    ratio = float(found["used"]) / float(found["planned"])
    return max(ratio, 1 / ratio)


def page(results: dict[str, Any]) -> str:
    """The table."""
    found = results["audits"]
    lines = [
        "| audit | jobs | planned | used | used / planned |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {each['about']} | {each['jobs']} | {each['planned']:.1f} s | {each['used']:.1f} s "
            f"| {each['used'] / each['planned']:.2f} |"
            for each in found.values()
        ),
    ]
    within = sum(factor(each) <= ALLOWED for each in found.values())
    worst = max(map(factor, found.values()))
    machine = results["machine"]
    return "\n".join(
        [
            f"{within} of {len(found)} are within a factor of {ALLOWED}; the worst is off by {worst:.2f}. Measured "
            f"with `python -m benchmarks.estimate` on {machine['system']}, {machine['cores']} cores, one thread.",
            "",
            *lines,
        ]
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/estimate"))
    parser.add_argument("--only", help="the name of one audit, which this process runs")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.only:
        kind = next(kind for kind in kinds() if kind.name == given.only)
        found = one(kind, given.out / kind.name)
        (given.out / f"{kind.name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(found), flush=True)
        return
    for kind in kinds():
        if not (given.out / f"{kind.name}.json").is_file():
            command = [sys.executable, "-m", "benchmarks.estimate", "--out", str(given.out), "--only", kind.name]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    files = {kind.name: given.out / f"{kind.name}.json" for kind in kinds()}
    audits = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items()}
    machine = {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()}
    if given.keep:
        RESULTS.write_text(json.dumps({"machine": machine, "audits": audits}, indent=1) + "\n", encoding="utf-8")
    if given.page:
        text = PAGE.read_text(encoding="utf-8")
        table = page(json.loads(RESULTS.read_text(encoding="utf-8")))
        new = re.sub(f"(?<={BEGIN}\n).*(?={END})", lambda _: f"\n{table}\n\n", text, flags=re.DOTALL)
        PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
