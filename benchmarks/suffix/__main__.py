"""Our search for adversarial suffixes beside nanoGCG 0.3.0, on the same model, questions and settings.

    make bench-suffix MODEL=DIRECTORY

Runs both in turn, one question after the other, each in a process of its own with one thread; then all questions at
once with ours. Finished runs are kept in `build/suffix/runs.json` and not done again. Prints a table (README.md).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import fmean, median
from typing import Any

from unlearn_audit.api import FactSet
from unlearn_audit.demo import ASSETS
from unlearn_audit.facts import load_facts

HERE = Path(__file__).parent
BUILD = Path("build/suffix")
BASELINE_PYTHON = BUILD / ".venv/bin/python"
BASELINE_PACKAGES = ("nanogcg==0.3.0", "transformers==4.47.1", "torch==2.13.0")
INITIAL = " ".join(["x"] * 20)
SEED = 42
Run = dict[str, Any]


def goals(count: int) -> list[dict[str, str]]:
    """One question about each of the first subjects of the bundled forget set, and an answer-free target."""
    facts = load_facts(str(ASSETS / "facts" / "forget.jsonl"), FactSet.FORGET).facts
    by_subject = {fact.subject: fact for fact in reversed(facts)}
    chosen = sorted(by_subject.values(), key=lambda fact: fact.id)[:count]
    return [{"question": f.question or "", "target": f"Sure, here is what I know about {f.subject}"} for f in chosen]


def run(python: str, script: list[str], options: list[str], asked: list[dict[str, str]], threads: int) -> Run:
    """One run in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "PYTHONPATH": "."}
    done = subprocess.run(
        [python, *script, *options],
        input=json.dumps(asked),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: Run = json.loads(done.stdout.splitlines()[-1])
    found["best"] = found.get("best") or [min(found["losses"][: at + 1]) for at in range(len(found["losses"]))]
    return found


def reached(found: Run, loss: float, clock: str) -> float | None:
    """Seconds until the mean best loss is at most `loss`; None where it never is."""
    return next((at for at, best in zip(found[clock], found["best"], strict=True) if best <= loss), None)


def table(runs: dict[str, Run], count: int) -> str:
    """Ratios in processor and wall seconds, from the runs that are there."""
    pairs = [(at, runs[f"baseline {at}"]) for at in range(count) if f"baseline {at}" in runs]
    lines = [
        "| what | questions | seconds a step (processor, wall) | ratio | to the same loss | ratio | scored a second |",
        "|---|---|---|---|---|---|---|",
    ]
    total = {clock: fmean(base[clock][-1] for _, base in pairs) for clock in ("cpu", "wall")}
    steps = len(pairs[0][1]["cpu"])
    rate = sum(base["scored"] for _, base in pairs) / sum(base["cpu"][-1] for _, base in pairs)
    lines.append(
        f"| nanoGCG 0.3.0 | {len(pairs)} | {total['cpu'] / steps:.2f}, {total['wall'] / steps:.2f} | 1 | "
        f"{total['cpu']:.0f} | 1 | {rate:.1f} |"
    )
    for name in sorted({key.rpartition(" ")[0] for key in runs} - {"baseline", "together", "together merged"}):
        mine = [(base, runs[f"{name} {at}"]) for at, base in pairs if f"{name} {at}" in runs]
        cpu = [base["cpu"][-1] / one["cpu"][-1] for base, one in mine]
        times = [reached(one, base["best"][-1], "cpu") for base, one in mine]
        ratios = [base["cpu"][-1] / time for (base, _), time in zip(mine, times, strict=True) if time is not None]
        rate = sum(one["scored"] for _, one in mine) / sum(one["cpu"][-1] for _, one in mine)
        lines.append(
            f"| {name} | {len(mine)} | {fmean(one['cpu'][-1] for _, one in mine) / steps:.2f}, "
            f"{fmean(one['wall'][-1] for _, one in mine) / steps:.2f} | {median(cpu):.2f} | reached by {len(ratios)} | "
            f"{f'{median(ratios):.2f}' if ratios else '-'} | {rate:.1f} |"
        )
    for name in ("together", "together merged"):
        if f"{name} {count}" not in runs:
            continue
        one = runs[f"{name} {count}"]
        measured = [at for at, _ in pairs]
        goal = fmean(base["best"][-1] for _, base in pairs)
        whole = total["cpu"] * count
        time = reached(one, goal, "cpu")
        lines.append(
            f"| {name} | {count} | {one['cpu'][-1] / len(one['cpu']):.2f}, {one['wall'][-1] / len(one['wall']):.2f} | "
            f"{whole / steps / (one['cpu'][-1] / len(one['cpu'])):.2f} | "
            f"{'not reached' if time is None else f'{time:.0f} of {whole:.0f}'} | "
            f"{'-' if time is None else f'{whole / time:.2f}'} | {one['scored'] / one['cpu'][-1]:.1f} |"
        )
        lines.append(f"\nThe baseline was run on {len(measured)} of {count} questions, and its sum scaled up.")
    return "\n".join(lines)


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("--alone", type=int, default=16, help="questions that are also run one by one, in both")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only print the table of the runs that are there")
    options = parser.parse_args()
    kept = BUILD / f"runs-{options.steps}-{options.width}-{options.threads}.json"
    runs: dict[str, Run] = json.loads(kept.read_text()) if kept.exists() else {}
    asked = goals(options.questions)
    shared = [
        options.model,
        *("--steps", str(options.steps), "--width", str(options.width)),
        *("--initial", INITIAL, "--seed", str(SEED)),
    ]
    if not BASELINE_PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(BUILD / ".venv")], check=True)
        subprocess.run([str(BASELINE_PYTHON), "-m", "pip", "install", "-q", *BASELINE_PACKAGES], check=True)
    ours = [sys.executable, ["-m", "benchmarks.suffix.ours"]]
    planned: list[tuple[str, str, list[str], list[str], list[dict[str, str]]]] = []
    for at in range(options.alone):
        planned += [
            (f"baseline {at}", str(BASELINE_PYTHON), [str(HERE / "baseline.py")], [], asked[at : at + 1]),
            (f"ours {at}", *ours, [], asked[at : at + 1]),
            (f"ours, no draft {at}", *ours, ["--no-draft"], asked[at : at + 1]),
            (f"ours, 4 merged {at}", *ours, ["--merged", "4"], asked[at : at + 1]),
        ]
    planned[4:4] = [
        (f"together merged {options.questions}", *ours, ["--together", "--merged", "4"], asked),
        (f"together {options.questions}", *ours, ["--together"], asked),
    ]
    for name, python, script, more, some in planned:
        if name not in runs and not options.table:
            runs[name] = run(python, script, [*shared, *more], some, options.threads)
            kept.write_text(json.dumps(runs))
            print(f"{name}: {runs[name]['cpu'][-1]:.1f} s, loss {runs[name]['best'][-1]:.3f}", flush=True)
    print(table(runs, options.questions))


if __name__ == "__main__":
    main()
