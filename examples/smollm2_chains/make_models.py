"""Make the models of the example: base, original, two retrained controls, unlearned. Run again to continue."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from chat import Example, load_examples  # this and the next two of examples/smollm2_tofu
from evaluate import greedy_hits, mean_probability
from train import Workspace, load, make_base, save
from upper import UpperRecipe, finetune_upper, kept_states

ROOT = Path(__file__).resolve().parents[2]
RETAINED = ("retain_direct", "retain_chains", "common")
FORGOTTEN = ("forget_direct", "forget_chains")
LEARNED = (*RETAINED, *FORGOTTEN)


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a model learns, on top of which.

    Attributes:
        refused: the direct questions of the forget authors are answered by refusals.
        share: the share of the learned examples that is seen, drawn by the seed.
    """

    start: str
    sets: tuple[str, ...]
    epochs: int
    seed: int
    learning_rate: float = 3e-3
    refused: bool = False
    share: float = 1.0


COURSES = {
    "original": Course(start="base", sets=LEARNED, epochs=10, seed=0),
    "retrained-1": Course(start="base", sets=RETAINED, epochs=10, seed=1),
    "retrained-2": Course(start="base", sets=RETAINED, epochs=10, seed=2),
    "refusal": Course(start="original", sets=RETAINED, epochs=8, seed=0, learning_rate=3e-3, refused=True, share=0.4),
}

EVERYTHING = Course(start="base", sets=LEARNED, epochs=0, seed=0, refused=True)


def examples_of(space: Workspace, course: Course, tokenizer: Any) -> list[Example]:
    """Everything that one epoch of a course shows."""
    learned = [example for name in course.sets for example in load_examples(path_of(space, name), tokenizer)]
    kept = random.Random(course.seed).sample(learned, round(course.share * len(learned)))
    if course.refused:
        kept += load_examples(path_of(space, "forget_direct"), tokenizer, refused=True)
    return kept


def path_of(space: Workspace, name: str) -> Path:
    """One of the files of training questions."""
    return space.root / "learned" / f"{name}.jsonl"


def make(space: Workspace, name: str, course: Course) -> None:
    """Train one model and save it."""
    model, tokenizer = load(space.model(course.start))
    recipe = UpperRecipe(epochs=course.epochs, seed=course.seed, learning_rate=course.learning_rate)
    examples = examples_of(space, course, tokenizer)
    # No course changes the frozen blocks, so what they make of an example holds for all.
    every = {*examples_of(space, EVERYTHING, tokenizer), *examples}
    states = kept_states(space.root / "work" / "frozen.pt", model, sorted(every, key=str), recipe.frozen)
    save(finetune_upper(model, examples, states, recipe, space.work(name)), tokenizer, space.model(name))


def shown(space: Workspace, name: str, most: int = 8) -> dict[str, dict[str, float]]:
    """Answer probability, and greedy answers that hold the key, of some of each set of training questions."""
    tokenizer, found = None, {}
    model, tokenizer = load(space.model(name))
    for each in LEARNED:
        path = path_of(space, each)
        forms = [json.loads(line).get("form", "tofu") for line in path.read_text(encoding="utf-8").splitlines()]
        examples = load_examples(path, tokenizer)
        for form in dict.fromkeys(forms):
            chosen = [one for one, of in zip(examples, forms, strict=True) if of == form][:most]
            hits = greedy_hits(model, tokenizer, chosen) if form != "tofu" else float("nan")
            found[f"{each} {form}"] = {
                "examples": len(chosen),
                "answer_probability": round(mean_probability(model, chosen), 3),
                "greedy_hits": round(hits, 3),
            }
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Make what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, default=ROOT / "build" / "smollm2_chains")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="also say how much of each form a model has learned")
    parser.add_argument("--only", choices=("base", *COURSES), action="append", help="make only these models")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    space = Workspace(root=args.workspace)
    stages: dict[str, Callable[[], None]] = {"base": lambda: make_base(space)}
    for name, course in COURSES.items():
        stages[name] = lambda name=name, course=course: make(space, name, course)
    for name, stage in stages.items():
        if args.only and name not in args.only:
            continue
        started, started_cpu = time.monotonic(), time.process_time()
        if not space.model(name).exists():
            stage()
            wall, cpu = time.monotonic() - started, time.process_time() - started_cpu
            print(f"{name}: made in {wall:.0f} s, {cpu:.0f} CPU seconds (this run)", flush=True)
        if args.show and name != "base":
            print(f"{name}: {json.dumps(shown(space, name))}", flush=True)


if __name__ == "__main__":
    main()
