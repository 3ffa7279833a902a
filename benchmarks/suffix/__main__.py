"""Our search for adversarial suffixes beside nanoGCG 0.3.0, on the same model, questions and settings.

    make bench-suffix MODEL=DIRECTORY

Runs both in turn, one question after the other, each in a process of its own with one thread; then all questions at
once with ours. Finished runs are kept in `build/suffix/` and not done again. Prints a table (README.md).
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
from unlearn_audit.facts.load import load_facts

HERE = Path(__file__).parent
BUILD = Path("build/suffix")
BASELINE_PYTHON = BUILD / ".venv/bin/python"
BASELINE = "nanoGCG 0.3.0"
BASELINE_PACKAGES = ("nanogcg==0.3.0", "transformers==4.47.1", "torch==2.13.0")
INITIAL = " ".join(["x"] * 20)
SEED = 42
CLOCKS = ("cpu", "wall")
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
    return found


def best_so_far(losses: list[float]) -> list[float]:
    """The lowest loss up to each step."""
    return [min(losses[: at + 1]) for at in range(len(losses))]


def reached(best: list[float], loss: float) -> int | None:
    """The first step at which the loss is reached; None where it never is."""
    return next((at for at, one in enumerate(best) if one <= loss), None)


def row(what: str, questions: int, whole: list[dict[str, float]], runs: list[Run], steps: list[int | None]) -> str:
    """A line of the table; `whole` are the baseline's seconds on each run's questions.

    `steps` are those at which the runs reached the baseline's loss.
    """
    share = len(runs) / questions
    there = [at for at, step in enumerate(steps) if step is not None]
    a_step, ratios, after, to_same = [], [], [], []
    for clock in CLOCKS:
        ends = [run[clock][-1] for run in runs]
        times = [runs[at][clock][steps[at] or 0] for at in there]
        a_step.append(f"{share * fmean(ends) / len(runs[0][clock]):.2f}")
        ratios.append(f"{median(one[clock] / end for one, end in zip(whole, ends, strict=True)):.1f}")
        after.append(f"{share * fmean(times):.1f}" if there else "-")
        to_same.append(
            f"{median(whole[at][clock] / t for at, t in zip(there, times, strict=True)):.1f}" if there else "-"
        )
    scored = sum(run["scored"] for run in runs) / sum(run["cpu"][-1] for run in runs)
    cells = [what, f"{questions}", *map(", ".join, (a_step, ratios)), f"{len(there)} of {len(steps)}"]
    return f"| {' | '.join([*cells, *map(', '.join, (after, to_same)), f'{scored:.0f}'])} |"


def table(runs: dict[str, Run], count: int) -> str:
    """Ratios in processor and wall seconds, from the runs that are there."""
    places = [at for at in range(count) if f"baseline {at}" in runs]
    baselines = {at: runs[f"baseline {at}"] for at in places}
    whole = {at: {clock: base[clock][-1] for clock in CLOCKS} for at, base in baselines.items()}
    lowest = {at: min(base["losses"]) for at, base in baselines.items()}
    lines = ["what", "questions", "seconds a step", "ratio", "same loss reached", "after seconds", "ratio"]
    lines = [f"| {' | '.join([*lines, 'scored a second'])} |", "|---" * 8 + "|"]
    for name in sorted({key.rpartition(" ")[0] for key in runs} - {"together"}):
        there = [at for at in places if f"{name} {at}" in runs]
        mine = [runs[f"{name} {at}"] for at in there]
        steps = [reached(best_so_far(one["losses"]), lowest[at]) for at, one in zip(there, mine, strict=True)]
        lines.append(row(BASELINE if name == "baseline" else name, len(mine), [whole[at] for at in there], mine, steps))
    if f"together {count}" in runs:
        one = runs[f"together {count}"]
        best = zip(*(best_so_far(one["curves"][at]) for at in places), strict=True)
        step = reached([fmean(losses) for losses in best], fmean(lowest.values()))
        scaled = {clock: fmean(base[clock] for base in whole.values()) * count for clock in CLOCKS}
        lines.append(row(f"ours, {count} at once", count, [scaled], [one], [step]))
    note = (
        f"Seconds are a question's, of the processor, then of the wall clock. nanoGCG ran on {len(places)} of {count}."
    )
    return "\n".join([*lines, "", note])


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
    ours = (sys.executable, ["-m", "benchmarks.suffix.ours"])
    planned: list[tuple[str, str, list[str], list[str], list[dict[str, str]]]] = []
    for at in range(options.alone):
        planned += [
            (f"baseline {at}", str(BASELINE_PYTHON), [str(HERE / "baseline.py")], [], asked[at : at + 1]),
            (f"ours {at}", *ours, [], asked[at : at + 1]),
        ]
    planned[2:2] = [(f"together {options.questions}", *ours, ["--together"], asked)]
    for at in range(options.alone):
        planned += [
            (f"ours, one change a step {at}", *ours, ["--merged", "0"], asked[at : at + 1]),
            (f"ours, float32 alone {at}", *ours, ["--no-draft"], asked[at : at + 1]),
        ]
    for name, python, script, more, some in planned:
        if name not in runs and not options.table:
            runs[name] = run(python, script, [*shared, *more], some, options.threads)
            kept.write_text(json.dumps(runs))
            print(f"{name}: {runs[name]['cpu'][-1]:.1f} s, loss {min(runs[name]['losses']):.3f}", flush=True)
    print(table(runs, options.questions))


if __name__ == "__main__":
    main()
