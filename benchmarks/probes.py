"""What an answer costs in each text probe, against an answer to the plain question (`recall`), measured in one run.

    python -m benchmarks.probes [CHECKPOINT FORGET] [--subjects 16]

Without a checkpoint: the bundled original. Prints, for every probe that has the model answer greedily, how many answers
it asked for, seconds an answer, and the ratio to `recall`; and the same with every prompt read whole.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from unlearn_audit.api import Fact, FactSet, Generation, Model, Probe, Prompt
from unlearn_audit.api.plugins import PROBES, available
from unlearn_audit.demo import ASSETS
from unlearn_audit.facts.load import load_facts
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import resolve
from unlearn_audit.spec.spec import ModelOptions


@dataclass(frozen=True, kw_only=True)
class Timed(Engine):
    """An engine that keeps the time of its greedy answers."""

    spent: list[tuple[int, float]] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[Generation]:
        """The answers, timed."""
        begun = time.perf_counter()
        found = super().generate(prompts, max_new_tokens=max_new_tokens)
        self.spent.append((len(prompts), time.perf_counter() - begun))
        return found

    def cost(self) -> tuple[int, float]:
        """Answers, and seconds for one of them, since the last time of asking."""
        answers, seconds = (sum(column) for column in zip(*self.spent, strict=True)) if self.spent else (0, 0.0)
        self.spent.clear()
        return int(answers), seconds / max(answers, 1)


def measure(probe: Probe[Any], model: Timed, facts: Sequence[Fact], pool: Sequence[Fact]) -> tuple[int, float]:
    """Answers asked for, and seconds for one."""
    model.cost()
    list(probe.observe(model, facts, pool))
    return model.cost()


def timed(model: Model) -> Timed:
    """The same engine, which takes the time."""
    assert isinstance(model, Engine)
    return Timed(**{name: getattr(model, name) for name in Engine.__dataclass_fields__})


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default=str(ASSETS / "original"))
    parser.add_argument("forget", nargs="?", default=str(ASSETS / "facts" / "forget.jsonl"))
    parser.add_argument("--subjects", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(1)
    engine = timed(load(resolve(args.checkpoint), ModelOptions(device="cpu")))
    pool = load_facts(args.forget, FactSet.FORGET).facts
    subjects = list(dict.fromkeys(fact.subject for fact in pool))[: args.subjects]
    facts = [fact for fact in pool if fact.subject in subjects]
    probes = {name: entry.plugin for name, entry in available(PROBES, Probe).items() if entry.plugin is not None}
    recall = probes.pop("recall")
    plain = recall(recall.Parameters(max_paraphrases=0))
    measure(plain, engine, facts, pool)  # warm up
    base = measure(plain, engine, facts, pool)
    print("| probe | answers | seconds an answer | times recall | read whole |\n|---|---|---|---|---|")
    print(f"| recall | {base[0]} | {base[1]:.3f} | 1.0 | {_whole(plain, engine, facts, pool) / base[1]:.1f} |")
    for name, kind in probes.items():
        if kind.reads is not FactSet.FORGET:
            continue
        probe = kind(kind.Parameters())
        answers, seconds = measure(probe, engine, facts, pool)
        if answers:
            whole = _whole(probe, engine, facts, pool)
            print(f"| {name} | {answers} | {seconds:.3f} | {seconds / base[1]:.1f} | {whole / base[1]:.1f} |")


def _whole(probe: Probe[Any], engine: Timed, facts: Sequence[Fact], pool: Sequence[Fact]) -> float:
    return measure(probe, replace(engine, shares_openings=False, spent=[]), facts, pool)[1]


if __name__ == "__main__":
    main()
