"""Runs our search on goals, one by one or all at once, and prints one JSON object a run, as `baseline.py` does."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

import torch
from unlearn_audit.attacks.suffix.search.gcg import search_each
from unlearn_audit.attacks.suffix.search.goals import Found, Goal, SearchSettings

from unlearn_audit.api import Model, Prompt
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import resolve
from unlearn_audit.spec.spec import ModelOptions


def timed(model: Model, goals: Sequence[Goal], settings: SearchSettings, seed: int) -> dict[str, object]:
    """Times after each step and the curves, the mean over the goals."""
    wall, cpu = time.perf_counter(), time.process_time()
    walls, cpus = [], []
    found: list[Found] = []
    for after_step in search_each(model, goals, settings, seed=seed):
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        found = after_step
    steps = range(1, settings.steps + 1)
    return {
        "wall": walls,
        "cpu": cpus,
        "losses": [sum(each.losses[step] for each in found) / len(found) for step in steps],
        "curves": [list(each.losses[1:]) for each in found],
        "scored": sum(each.scored for each in found),
        "text": found[0].text,
    }


def main() -> None:
    """Reads settings from the command line and goals from standard input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--initial", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--together", action="store_true", help="all goals at once")
    parser.add_argument("--merged", type=int, default=SearchSettings().merged)
    parser.add_argument("--no-draft", action="store_true")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load(resolve(options.model), ModelOptions(device=device, dtype=options.dtype))
    settings = SearchSettings(
        steps=options.steps,
        width=options.width - options.merged,  # the same number of scored texts a step
        initial=options.initial,
        merged=options.merged,
        drafted=not options.no_draft,
    )
    goals = [Goal(prompt=Prompt(text=each["question"]), target=each["target"]) for each in json.load(sys.stdin)]
    for some in [goals] if options.together else [[goal] for goal in goals]:
        print(json.dumps(timed(model, some, settings, options.seed)), flush=True)


if __name__ == "__main__":
    main()
